"""How much of a graph a hypothesis leaves alone: the share of its paths that still read the reference. No torch.

A permissive hypothesis passes because it scrubs next to nothing.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float

from analysis.scrubbing.parts import Parts, TransformerParts, place_of
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.wiring import Draw, Evaluation, Replaced, Wiring


def share_intact(wiring: Wiring, plan: Plan, parts: Parts, *, positions: int = 1) -> float:
    """The mean over samples of the share of paths, from an input of the graph to its output, whose datum is the
    reference; from 0 (nothing mapped) to 1 (all is exact). Of a path that is replaced at some positions, at one
    offset, or for some neurons, that part counts."""
    return _Counting(wiring, plan, parts, positions).share()


class _Counting:
    def __init__(self, wiring: Wiring, plan: Plan, parts: Parts, positions: int) -> None:
        self.wiring, self.plan, self.parts, self.positions = wiring, plan, parts, positions
        self.below = functools.cache(self._below)
        self.counts: list[Float[np.ndarray, ...]] = []

    def share(self) -> float:
        for evaluation in self.wiring.evaluations:
            self.counts.append(self._count(evaluation))
        return float(self.counts[-1].mean() / self.below(self.wiring.evaluations[-1].part))

    def _below(self, part: str) -> float:
        """How many paths lead from the inputs of the graph to a part."""
        return sum(self.below(self.parts.carrier(read)) for read in self.parts.inputs(part)) or 1.0

    def _same(self, draw: Draw) -> Float[np.ndarray, ...]:
        rows = self.plan.rows[draw]
        reference = self.plan.reference
        return (rows == (reference if rows.ndim == 1 else reference[:, None])).astype(float)

    def _count(self, evaluation: Evaluation) -> Float[np.ndarray, ...]:
        """How many paths below an evaluation read the reference, for each of its items."""
        same = self._same(evaluation.draw)
        if not evaluation.replaced:
            return self.below(evaluation.part) * same
        total = np.zeros_like(same)
        for read in self.parts.inputs(evaluation.part):
            count = self.below(read) * same
            for replaced in evaluation.replaced:
                if replaced.through == read:
                    share = self._share(replaced, same.shape)
                    count = count * (1 - share) + share * self._of_value(replaced, same.shape)
            total += count
        return total

    def _of_value(self, replaced: Replaced, shape: tuple[int, ...]) -> Float[np.ndarray, ...]:
        value = self.counts[replaced.value]
        value = value.mean(axis=1) if value.ndim > len(shape) else value
        return value * (self.below(replaced.through) / self.below(self.wiring.evaluations[replaced.value].part))

    def _share(self, replaced: Replaced, shape: tuple[int, ...]) -> Float[np.ndarray, ...]:
        share = np.ones(shape)
        if replaced.at is not None:
            share = share * self.plan.at[replaced.at].mean(axis=-1).reshape(shape)
        if replaced.offset is not None:
            share = share / self.positions
        if replaced.part != replaced.through:
            share = share * _of_carrier(replaced.part, self.parts)
        return share


def _of_carrier(part: str, parts: Parts) -> float:
    """Which share of what carries it a part is."""
    place = place_of(part)
    assert isinstance(parts, TransformerParts)
    return len(place.neurons) / parts.sizes.d_mlp if place.kind == "neurons" else 0.5
