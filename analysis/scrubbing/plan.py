"""The sampling plan of a hypothesis: for each node and sample, which row of the dataset it reads. Integers alone.

Random numbers are keyed by (seed, node path, sample[, position]), so that editing a node changes only its own draws and
those below it, and two hypotheses can be compared on the same draws.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from analysis.scrubbing.expressions import is_by_position
from analysis.scrubbing.hypothesis import Hypothesis, Node, Sampler, SamplerKind
from analysis.scrubbing.legality import World, from_the_root, map_all
from analysis.scrubbing.routes import common_route, offsets_differ
from analysis.scrubbing.wiring import Draw

# A condition with fewer rows than this says little: hardly anything is swapped in.
FEW = 10

# Which rows agree, by what they agree on; only for the planner to read.
Known = dict[str, Any]

# The value of an expression for each row, or each position of each row.
Evaluate = Callable[[Any], np.ndarray]


class PlanError(Exception):
    """A hypothesis that the rows of its dataset do not allow to be sampled; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What a node's draws came to."""

    donors: int  # distinct rows that were read
    draws: int
    few: int  # draws whose condition fewer than FEW rows meet
    only_one: int  # draws whose condition the parent's datum alone meets: nothing is swapped in


@dataclasses.dataclass(frozen=True)
class Plan:
    """The rows that every evaluation reads."""

    n: int
    rows: Mapping[Draw, Int[np.ndarray, " n"] | Int[np.ndarray, "n pos"]]
    at: Mapping[str, Bool[np.ndarray, "n *items pos"]]  # by path of the nodes that name positions: where they are read
    drawn: Mapping[str, Drawn]  # by path

    @property
    def reference(self) -> Int[np.ndarray, " n"]:
        """The rows whose labels and loss positions count."""
        return next(rows for draw, rows in self.rows.items() if "/" not in draw.path and not draw.is_other)

    def only(self, samples: Int[np.ndarray, " chosen"]) -> Plan:
        """The draws of some samples."""
        rows = {draw: of[samples] for draw, of in self.rows.items()}
        return Plan(len(samples), rows, {path: at[samples] for path, at in self.at.items()}, self.drawn)

    def __str__(self) -> str:
        """A table: a line a draw, with the rows of the first samples."""
        lines = []
        for draw, rows in self.rows.items():
            first = " ".join(str(row) for row in rows.ravel()[:8])
            axes = " by position" if rows.ndim == 2 else ""
            lines.append(f"{draw!s:40s} {first} …{axes}")
        return "\n".join(lines)


def uniform(seed: int, key: str, *shape: int) -> Float[np.ndarray, ...]:
    """Numbers in [0, 1), each of its own counter under this key: a longer first axis begins with the same numbers."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    words = np.frombuffer(digest[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=words)).random(shape)


def make_plan(
    hypothesis: Hypothesis,
    world: World,
    *,
    evaluate: Evaluate,
    roles: Mapping[str, Int[np.ndarray, " rows"]] | None = None,
    reference: Int[np.ndarray, " n"] | None = None,
    known: Known | None = None,
) -> Plan:
    """Sample a legal hypothesis: each node's datum among the rows that agree with its parent's, each internal node's
    other datum among all. `evaluate` gives an expression's values, `roles` where each row has a role (−1: nowhere),
    `reference` the root's rows where they are not to be drawn. `known` keeps which rows agree for the next hypothesis
    on the same rows."""
    sampler = _Sampler(
        hypothesis,
        world,
        evaluate=evaluate,
        roles=roles or {},
        reference=reference,
        known={} if known is None else known,
    )
    for node in from_the_root(hypothesis):
        sampler.draw(node)
    sampler.refuse_roles_in_one_place()
    return Plan(hypothesis.n, sampler.rows, sampler.at, sampler.drawn)


class _Sampler:
    def __init__(
        self,
        hypothesis: Hypothesis,
        world: World,
        *,
        evaluate: Evaluate,
        roles: Mapping[str, Int[np.ndarray, " rows"]],
        reference: Int[np.ndarray, " n"] | None,
        known: Known,
    ) -> None:
        self.known = known
        self.hypothesis, self.world, self.evaluate, self.roles = hypothesis, world, evaluate, roles
        self.reference = reference
        self.rows: dict[Draw, Any] = {}
        self.at: dict[str, Bool[np.ndarray, "n *items pos"]] = {}
        self.drawn: dict[str, Drawn] = {}
        self.shared: dict[str, np.ndarray] = {}

    def draw(self, node: Node) -> None:
        path = self.hypothesis.path(node.name)
        own, other = Draw(path), Draw(path, is_other=True)
        if node.parent is None:
            drawn = self._anywhere(path, (self.hypothesis.n,)) if self.reference is None else self.reference
            self.rows[own] = drawn
        else:
            parent = self.rows[Draw(self.hypothesis.path(node.parent))]
            self.rows[own], counts = self._drawn(node.sampler, parent, key=path, role=_role(node))
            self._refuse_unshared(node.sampler, self.rows[own], path)
            self.drawn[path] = _said(self.rows[own], counts)
            self._place(node, path, parent)
        if node.parent is None or self.hypothesis.children(node.name):
            self.rows[other], _ = self._drawn(node.other, self.rows[own], key=f"{path}\nother", role=None)
            self._refuse_unshared(node.other, self.rows[other], path)

    def _anywhere(self, key: str, shape: tuple[int, ...]) -> Int[np.ndarray, ...]:
        chosen: Int[np.ndarray, ...] = (uniform(self.hypothesis.seed, key, *shape) * self.world.rows).astype(np.int64)
        return chosen

    def _drawn(
        self, sampler: Sampler, parent: np.ndarray, *, key: str, role: str | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows for each of the parent's, and how many met each condition (None: no condition)."""
        key = key if sampler.shared is None else f"shared\n{sampler.shared}"
        match sampler.kind:
            case SamplerKind.EXACT:
                return parent, None
            case SamplerKind.FIXED:
                assert sampler.row is not None
                return np.full(parent.shape, sampler.row), None
            case SamplerKind.UNCONDITIONAL if role is None:
                return self._anywhere(key, parent.shape), None
        groups = self._groups(sampler, role)
        if isinstance(groups, _Groups):
            return groups.draw(parent, uniform(self.hypothesis.seed, key, *parent.shape))
        by_position = len(groups)
        chances = uniform(self.hypothesis.seed, key, len(parent), by_position)
        columns = parent if parent.ndim == 2 else np.repeat(parent[:, None], by_position, axis=1)
        drawn, counts = np.empty_like(columns), np.empty_like(columns)
        for at in range(by_position):
            drawn[:, at], counts[:, at] = groups[at].draw(columns[:, at], chances[:, at])
        return drawn, counts

    def _groups(self, sampler: Sampler, role: str | None) -> _Groups | list[_Groups]:
        """The rows that agree, in all or at each position; looked for once."""
        key = json.dumps([sampler.kind.value, sampler.feature, role], sort_keys=True)
        if key not in self.known:
            values = self._condition(sampler, role)
            by_position = [] if values.ndim == 1 else [_Groups.of(of) for of in np.ascontiguousarray(values.T)]
            self.known[key] = by_position or _Groups.of(values)
        return self.known[key]

    def _condition(self, sampler: Sampler, role: str | None) -> np.ndarray:
        """What rows must agree on: the feature and, where positions go by a role, where that is."""
        conditions = [] if sampler.kind is SamplerKind.UNCONDITIONAL else [np.asarray(self.evaluate(sampler.feature))]
        for values in conditions:
            by_position = is_by_position(sampler.feature, self.world.features)
            expected = (self.world.rows, self.world.positions) if by_position else (self.world.rows,)
            if values.shape != expected or not np.issubdtype(values.dtype, np.integer):
                raise PlanError(
                    f"Reading the feature {sampler.feature}: expected whole numbers of shape {expected}, got "
                    f"{values.dtype} of shape {values.shape}."
                )
        if role is not None:
            places = self.roles[role]
            conditions.append(places if not conditions or conditions[0].ndim == 1 else places[:, None])
        numbered = [np.unique(values, return_inverse=True)[1].reshape(values.shape) for values in conditions]
        if len(numbered) == 1:
            return numbered[0]
        return numbered[0] * (int(numbered[1].max()) + 1) + numbered[1]

    def _refuse_unshared(self, sampler: Sampler, rows: np.ndarray, path: str) -> None:
        if sampler.shared is None:
            return
        if not np.array_equal(self.shared.setdefault(sampler.shared, rows), rows):
            raise PlanError(
                f"Sampling node {path}: expected the rows that others share as {sampler.shared}, but its positions, or "
                "those of a node above it, ask for others."
            )

    def _place(self, node: Node, path: str, parent: np.ndarray) -> None:
        """Where a node that names positions is read, for each sample (and, below draws by position, each of those)."""
        if node.positions is None:
            return
        assert self.world.positions is not None
        if isinstance(node.positions, tuple):
            chosen = np.zeros(self.world.positions, bool)
            chosen[list(node.positions)] = True
            self.at[path] = np.broadcast_to(chosen, (*parent.shape, self.world.positions))
        else:
            places = self.roles[node.positions][parent]
            self.at[path] = places[..., None] == np.arange(self.world.positions)

    def refuse_roles_in_one_place(self) -> None:
        """Two children that map one path at different roles are apart only where the roles are."""
        if not self.at:
            return
        mapped, _ = map_all(self.hypothesis, self.world)
        for node in self.hypothesis.nodes:
            named = [child for child in self.hypothesis.children(node.name) if child.positions is not None]
            for first, second in itertools.combinations(named, 2):
                paths = [self.hypothesis.path(child.name) for child in (first, second)]
                if offsets_differ(first, second) or not (self.at[paths[0]] & self.at[paths[1]]).any():
                    continue
                top, pair = mapped[node.name], (mapped[first.name], mapped[second.name])
                part = common_route(*pair, top=top, parts=self.world.parts)
                if part is not None:
                    raise PlanError(
                        f"Sampling node {paths[1]}: expected other positions than those of {first.name}, which maps "
                        f"{part} too, but in some rows both are in one place."
                    )


def _role(node: Node) -> str | None:
    return node.positions if isinstance(node.positions, str) else None


@dataclasses.dataclass(frozen=True)
class _Groups:
    """The rows of a dataset by a value of theirs."""

    values: Int[np.ndarray, " rows"]  # numbered from 0
    order: Int[np.ndarray, " rows"]  # the rows, by value
    counts: Int[np.ndarray, " groups"]
    starts: Int[np.ndarray, " groups"]

    @classmethod
    def of(cls, values: Int[np.ndarray, " rows"]) -> _Groups:
        counts = np.bincount(values)
        return cls(values, np.argsort(values, kind="stable"), counts, np.cumsum(counts) - counts)

    def draw(self, parent: np.ndarray, chances: Float[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """For each of the parent's rows one with an equal value, uniformly; and how many rows have that value."""
        wanted = self.values[parent]
        counts = self.counts[wanted]
        return self.order[self.starts[wanted] + (chances * counts).astype(np.int64)], counts


def _said(rows: np.ndarray, counts: np.ndarray | None) -> Drawn:
    few, only_one = (0, 0) if counts is None else (int((counts < FEW).sum()), int((counts == 1).sum()))
    return Drawn(int(np.count_nonzero(np.bincount(rows.ravel()))), rows.size, few, only_one)
