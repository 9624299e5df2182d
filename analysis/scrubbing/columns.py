"""At which positions an evaluation must be computed: where it is read, and where it is not what its own row gives."""

from __future__ import annotations

import dataclasses

import numpy as np

from analysis.scrubbing.parts import ROOT, place_of
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.reference import is_diagonal
from analysis.scrubbing.wiring import Replaced, Wiring

# None: all positions.
Positions = tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class Columns:
    """The positions of an evaluation's value."""

    read: Positions  # at which something reads it
    changed: Positions  # at which something that it reads is replaced; elsewhere it is what its row gives

    @property
    def computed(self) -> Positions:
        """Those at which it has to be computed."""
        if self.changed is None:
            return self.read
        return self.changed if self.read is None else tuple(sorted(set(self.read) & set(self.changed)))


def columns_of(wiring: Wiring, plan: Plan, *, read_at: Positions) -> list[Columns]:
    """The positions of each evaluation, if the output is read at some alone. Heads carry what they read from
    everywhere: only their queries are at the positions at which they are read."""
    read = _read(wiring, plan, read_at=read_at)
    changed: list[Positions] = []
    for evaluation in wiring.evaluations:
        if not evaluation.replaced or not is_position_wise(evaluation.part):
            changed.append(None)
            continue
        sets = [_changed_by(replaced, plan) for replaced in evaluation.replaced]
        changed.append(None if None in sets else tuple(sorted(set().union(*(set(of or ()) for of in sets)))))
    return [Columns(*of) for of in zip(read, changed, strict=True)]


def is_position_wise(part: str) -> bool:
    """Whether a part's value at a position depends on its inputs there alone."""
    return part == ROOT or place_of(part).kind != "head"


def _read(wiring: Wiring, plan: Plan, *, read_at: Positions) -> list[Positions]:
    everywhere = [False] * len(wiring.evaluations)
    sets: list[set[int]] = [set() for _ in wiring.evaluations]
    last = len(wiring.evaluations) - 1
    if read_at is None:
        everywhere[last] = True
    else:
        sets[last] = set(read_at)
    for index in range(last, -1, -1):
        reader = wiring.evaluations[index]
        for replaced in reader.replaced:
            crosses = is_diagonal(wiring.evaluations[replaced.value], reader, plan=plan)
            here = is_position_wise(reader.part) or _is_query(replaced.through)
            if everywhere[index] or not here or crosses:
                everywhere[replaced.value] = True
            sets[replaced.value] |= sets[index]
    return [None if all_of else tuple(sorted(some)) for all_of, some in zip(everywhere, sets, strict=True)]


def _is_query(part: str) -> bool:
    return part != ROOT and part.endswith(".q")


def _changed_by(replaced: Replaced, plan: Plan) -> Positions:
    """Where a replaced input is another one: at the positions of its node, where all samples have the same."""
    if replaced.at is None:
        return None
    at = plan.at[replaced.at].reshape(-1, plan.at[replaced.at].shape[-1])
    return tuple(np.flatnonzero(at[0]).tolist()) if (at == at[0]).all() else None
