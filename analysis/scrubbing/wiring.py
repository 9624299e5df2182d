"""A hypothesis as the evaluations that it takes, each of one part: on which draw, and with which inputs replaced.

A part between a node and its parent belongs to no node: it reads what the parent reads. So it becomes an evaluation on
the parent's other datum, once for each set of children that reach the parent through it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from analysis.scrubbing.hypothesis import Hypothesis, MaskOf
from analysis.scrubbing.legality import from_the_root
from analysis.scrubbing.parts import Parts
from analysis.scrubbing.routes import Mapped, map_node


@dataclasses.dataclass(frozen=True)
class Draw:
    """A column of the plan: the row that a node's datum, or its other datum, is for each sample."""

    path: str
    is_other: bool = False

    def __str__(self) -> str:
        return f"{self.path} (other)" if self.is_other else self.path


@dataclasses.dataclass(frozen=True)
class Replaced:
    """What an evaluation reads in place of what its own row gives."""

    through: str  # the input that is replaced, or of which a share is
    part: str  # what is replaced: that input itself, or its share
    value: int  # the evaluation that gives it
    at: str | None = None  # the path of the node whose positions these are; None: all
    offset: int | None = None  # only from the position so many further on


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One part, computed for every sample."""

    part: str
    node: str  # path of the node that it belongs to
    draw: Draw  # the row that all is read from which is not replaced
    replaced: tuple[Replaced, ...]  # empty: the part as it is on the row
    mask: Draw  # the row whose padding mask is used


@dataclasses.dataclass(frozen=True)
class Wiring:
    """The evaluations of a hypothesis, each after those that it reads; the last is the output."""

    evaluations: tuple[Evaluation, ...]

    @property
    def internal(self) -> tuple[Evaluation, ...]:
        return tuple(evaluation for evaluation in self.evaluations if evaluation.replaced)


def wire(hypothesis: Hypothesis, parts: Parts) -> Wiring:
    """The evaluations of a legal hypothesis."""
    mapped: dict[str, Mapped] = {}
    for node in from_the_root(hypothesis):
        mapped[node.name] = map_node(node, mapped.get(node.parent or ""), parts=parts)
    wirer = _Wirer(hypothesis, parts, mapped)
    wirer.of_node(hypothesis.root.name)
    return Wiring(tuple(wirer.evaluations))


class _Wirer:
    def __init__(self, hypothesis: Hypothesis, parts: Parts, mapped: Mapping[str, Mapped]) -> None:
        self.hypothesis, self.parts, self.mapped = hypothesis, parts, mapped
        self.evaluations: list[Evaluation] = []
        self.values: dict[str, dict[str, int]] = {}  # by node and part
        self.between: dict[tuple[str, str, frozenset[str]], int] = {}

    def of_node(self, name: str) -> None:
        children = self.hypothesis.children(name)
        for child in children:
            self.of_node(child.name)
        alive = frozenset(child.name for child in children)
        self.values[name] = {part: self._part(name, part, alive=alive) for part in self.mapped[name].parts}

    def _part(self, name: str, part: str, *, alive: frozenset[str]) -> int:
        """The evaluation of a part that belongs to a node, with those of its children that reach it."""
        if (name, part, alive) in self.between:
            return self.between[name, part, alive]
        replaced = tuple(
            replaced
            for through in self.parts.inputs(part)
            for offset in self._offsets(name, part, through=through, alive=alive)
            for replaced in self._replaced(name, part, through=through, offset=offset, alive=alive)
        )
        path, is_root = self.hypothesis.path(name), name == self.hypothesis.root.name
        draw = Draw(path, is_other=bool(self.hypothesis.children(name)) or is_root)
        # what is not computed anew was computed with its row's own mask
        mask = Draw(path) if replaced and self.hypothesis.mask is MaskOf.DATUM else draw
        self.evaluations.append(Evaluation(part, path, draw, replaced, mask))
        self.between[name, part, alive] = len(self.evaluations) - 1
        return len(self.evaluations) - 1

    def _offsets(self, name: str, part: str, *, through: str, alive: frozenset[str]) -> list[int | None]:
        """The offsets at which keys or values of a node's own head differ; elsewhere, and beside them, None."""
        if part not in self.mapped[name].parts or not self.parts.by_source(through):
            return [None]
        offsets = {self.mapped[child].node.offset for child in alive} - {None}
        return [None, *sorted(offset for offset in offsets if offset is not None)]

    def _replaced(
        self, name: str, part: str, *, through: str, offset: int | None, alive: frozenset[str]
    ) -> list[Replaced]:
        is_own = part in self.mapped[name].parts and self.parts.by_source(through)
        reaching = [child for child in sorted(alive) if not is_own or self.mapped[child].node.offset in (None, offset)]
        found: list[Replaced] = []
        passing = frozenset(child for child in reaching if through in self.mapped[child].passes)
        if passing:
            found.append(Replaced(through, through, self._part(name, through, alive=passing), offset=offset))
        for child in reaching:
            at = self.hypothesis.path(child) if self.mapped[child].node.positions is not None else None
            found += [
                Replaced(through, own, value, at, offset)
                for own, value in self.values[child].items()
                if self.parts.carrier(own) == through
            ]
        return found
