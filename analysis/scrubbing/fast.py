"""The same scrub at less cost: each distinct row is run once, then only what lies between a node and its children.

Internal evaluations are swept bottom-up by layer, all those of one stage of a layer together.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from analysis.scrubbing.donors import Donors, distinct
from analysis.scrubbing.graph import Graph, Slot
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.reference import diagonal, is_diagonal
from analysis.scrubbing.wiring import Draw, Evaluation, Replaced, Wiring

# How much memory the evaluations of a batch of samples may take, roughly: values of less than 32 MiB, which the C
# library takes from what it has; larger ones it asks the system for each time, which halves the speed.
BATCH_BYTES = 96 * 2**20
# How much of the donors' values is kept at once.
KEPT_BYTES = 4 * 2**30


@runtime_checkable
class Spans(Protocol):
    """How a graph computes several evaluations of one stage at once."""

    def stage(self, part: str) -> tuple[int, int]:
        """Parts of one stage do not read each other, only those of stages before."""

    def needs(self, index: int, evaluation: Evaluation) -> Collection[str]:
        """What is read of the evaluation's own row."""

    def prepare(self, wiring: Wiring, plan: Plan) -> None:
        """Look at what is to be computed."""

    @property
    def read_at(self) -> Sequence[int] | None:
        """The positions at which the output is given; None: all, or the graph has none."""

    def evaluate(self, evaluations: Mapping[int, Evaluation], sources: Sources) -> Mapping[int, Tensor]:
        """The values of evaluations of one stage."""

    @property
    def item_bytes(self) -> int:
        """The memory that one item's largest value takes."""

    def computed_bytes(self, index: int) -> int:
        """The memory that the computation of an evaluation takes for one item, roughly."""


class GeneralSpans:
    """Any graph: each part from its inputs, by itself."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = {part: at for at, part in enumerate(graph.parts.named("*"))}
        self.item_bytes = 8

    def computed_bytes(self, index: int) -> int:
        return self.item_bytes

    def stage(self, part: str) -> tuple[int, int]:
        return self.order[part], 0

    read_at = None

    def prepare(self, wiring: Wiring, plan: Plan) -> None:
        pass

    def needs(self, index: int, evaluation: Evaluation) -> Collection[str]:
        return {*self.graph.parts.inputs(evaluation.part), *(replaced.part for replaced in evaluation.replaced)}

    def evaluate(self, evaluations: Mapping[int, Evaluation], sources: Sources) -> Mapping[int, Tensor]:
        return {index: sources.computed(self.graph, evaluation) for index, evaluation in evaluations.items()}


def read_clean(evaluation: Evaluation, reads: Iterable[str]) -> set[str]:
    """The inputs that are read of the evaluation's own row, at some positions at least."""
    wholly: dict[str, bool] = {}
    for replaced in evaluation.replaced:
        whole = replaced.part == replaced.through and replaced.at is None
        wholly[replaced.through] = wholly.get(replaced.through, True) and whole
    everywhere = {replaced.through for replaced in evaluation.replaced if replaced.offset is None}
    return {read for read in reads if read not in everywhere or not wholly[read]}


class Sources:
    """Where the evaluations of a batch of samples find what they read."""

    def __init__(self, wiring: Wiring, plan: Plan, donors: Donors, *, samples: slice) -> None:
        self.wiring, self.plan, self.donors, self.samples = wiring, plan, donors, samples
        self.values: dict[int, Tensor] = {}
        self.given: dict[int, tuple[int, ...]] = {}  # the positions of values that do not have all

    def rows(self, draw: Draw) -> np.ndarray:
        """The rows of a draw, one a sample or one a sample and position."""
        return self.plan.rows[draw][self.samples]

    def clean(self, name: str, draw: Draw, *, at: Sequence[int] | None = None) -> Tensor:
        """A value on the rows of a draw, at some positions or all."""
        return self.donors.values(name, self.rows(draw).ravel(), at=at)

    def new(self, replaced: Replaced, reader: Evaluation, *, at: Sequence[int] | None = None) -> Tensor:
        """What an evaluation reads in place of what its row gives, a value for each of its items, at some positions or
        all."""
        read = self.wiring.evaluations[replaced.value]
        crosses = is_diagonal(read, reader, plan=self.plan)
        rows = self.rows(read.draw)
        if read.replaced:
            value, given = self.values[replaced.value], self.given.get(replaced.value)
            if crosses:
                value = diagonal(value, rows.shape[1])
            if at is None or tuple(at) == given:
                return value
            return value[:, [at_ if given is None else given.index(at_) for at_ in at]]
        if crosses:
            return self.donors.diagonal(read.part, rows, at=at)
        return self.donors.values(read.part, rows.ravel(), at=at)

    def at(self, replaced: Replaced) -> Bool[np.ndarray, "items pos"] | None:
        """The positions at which a value is replaced, for each item; None: all."""
        if replaced.at is None:
            return None
        at = self.plan.at[replaced.at][self.samples]
        return at.reshape(-1, at.shape[-1])

    def mask_rows(self, evaluation: Evaluation) -> Int[np.ndarray, " items"]:
        return self.rows(evaluation.mask).ravel()

    def inputs(self, graph: Graph, evaluation: Evaluation) -> dict[Slot, Tensor]:
        """The inputs of an evaluation's part, replaced where they are; clean ones that nothing reads are left out."""
        inputs: dict[Slot, Tensor] = {}
        for read in read_clean(evaluation, graph.parts.inputs(evaluation.part)):
            inputs[read, None] = self.clean(read, evaluation.draw)
        for replaced in evaluation.replaced:
            slot = (replaced.through, replaced.offset)
            new, at = self.new(replaced, evaluation), self.at(replaced)
            if replaced.part == replaced.through and at is None:
                inputs[slot] = new
                continue
            before = inputs[slot] if slot in inputs else self.clean(replaced.through, evaluation.draw)
            old = self.clean(replaced.part, evaluation.draw)
            inputs[slot] = graph.replace(before, part=replaced.part, old=old, new=new, at=at)
        return inputs

    def computed(self, graph: Graph, evaluation: Evaluation) -> Tensor:
        """An evaluation's value from its inputs, as `reference` computes it."""
        inputs = self.inputs(graph, evaluation)
        return graph.compute(evaluation.part, inputs, mask_rows=self.mask_rows(evaluation))


def scrub_fast(
    spans: Spans,
    wiring: Wiring,
    plan: Plan,
    *,
    donors: Donors,
    batch_bytes: int = BATCH_BYTES,
    kept_bytes: int = KEPT_BYTES,
) -> Iterator[tuple[slice, Tensor]]:
    """The scrubbed values of the graph's output, batch of samples by batch. What `donors` keeps is used and added to;
    it is emptied between batches where more than `kept_bytes` would be kept."""
    spans.prepare(wiring, plan)
    size = _batch_size(spans, wiring, plan, batch_bytes=batch_bytes)
    for start in range(0, plan.n, size):
        samples = slice(start, min(start + size, plan.n))
        if donors.has_all(names_of(spans, wiring)):
            yield samples, _scrub(spans, Sources(wiring, plan, donors, samples=samples))
            continue
        if donors.bytes > kept_bytes:
            donors.clear()
        ahead = slice(0, plan.n) if start == 0 else samples
        wanted = needed(spans, wiring, plan, samples=ahead, n_rows=donors.n_rows)
        if donors.bytes + size_of(donors.missing(wanted), spans) > kept_bytes:
            wanted = needed(spans, wiring, plan, samples=samples, n_rows=donors.n_rows)
        all_of = size_of(dict.fromkeys(wanted, np.arange(donors.n_rows)), spans)
        donors.ensure(wanted, may_keep_all=all_of <= kept_bytes)
        yield samples, _scrub(spans, Sources(wiring, plan, donors, samples=samples))


def _batch_size(spans: Spans, wiring: Wiring, plan: Plan, *, batch_bytes: int) -> int:
    """How many samples are computed together: as many as leave the largest stage its room, four times over."""
    by_stage: dict[tuple[int, int], dict[tuple[Draw, str], int]] = {}
    for index, evaluation in enumerate(wiring.evaluations):
        if evaluation.replaced:
            size = plan.rows[evaluation.draw][0].size * spans.computed_bytes(index)
            of_stage = by_stage.setdefault(spans.stage(evaluation.part), {})
            key = evaluation.draw, evaluation.part
            of_stage[key] = max(of_stage.get(key, 0), size)
    largest = max((sum(of_stage.values()) for of_stage in by_stage.values()), default=0)
    return max(1, batch_bytes // max(1, largest * 4))


def size_of(missing: Mapping[str, np.ndarray], spans: Spans) -> int:
    """The memory that values would take, roughly."""
    return sum(len(rows) for rows in missing.values()) * spans.item_bytes


def names_of(spans: Spans, wiring: Wiring) -> set[str]:
    """What is read that is not scrubbed, of a wiring that `spans` is prepared for."""
    return {name for index in _reading(wiring) for name in _names(spans, wiring, index)}


def needed(
    spans: Spans, wiring: Wiring, plan: Plan, *, samples: slice, n_rows: int
) -> dict[str, Int[np.ndarray, " some"]]:
    """The rows on which each value is read that is not scrubbed, of a wiring that `spans` is prepared for."""
    rows: dict[str, list[np.ndarray]] = {}
    for index in _reading(wiring):
        for name in _names(spans, wiring, index):
            rows.setdefault(name, []).append(plan.rows[wiring.evaluations[index].draw][samples].ravel())
    return {name: distinct(pieces, n_rows) for name, pieces in rows.items()}


def _reading(wiring: Wiring) -> list[int]:
    """The evaluations that are made: those that are replaced in part, those that others read, and the output."""
    read = {replaced.value for evaluation in wiring.evaluations for replaced in evaluation.replaced}
    last = len(wiring.evaluations) - 1
    return [at for at, evaluation in enumerate(wiring.evaluations) if evaluation.replaced or at in read or at == last]


def _names(spans: Spans, wiring: Wiring, index: int) -> Collection[str]:
    evaluation = wiring.evaluations[index]
    return spans.needs(index, evaluation) if evaluation.replaced else [evaluation.part]


def _scrub(spans: Spans, sources: Sources) -> Tensor:
    evaluations = sources.wiring.evaluations
    last = len(evaluations) - 1
    if not evaluations[last].replaced:
        return sources.clean(evaluations[last].part, evaluations[last].draw, at=spans.read_at)
    internal = [index for index, evaluation in enumerate(evaluations) if evaluation.replaced]
    internal.sort(key=lambda index: spans.stage(evaluations[index].part))
    for stage, indices in _by_stage(spans, sources.wiring, internal):
        sources.values |= spans.evaluate({index: evaluations[index] for index in indices}, sources)
        for index in _read_for_the_last_time(spans, sources.wiring, stage):
            sources.values.pop(index, None)
    return sources.values[last]


def _by_stage(spans: Spans, wiring: Wiring, indices: Iterable[int]) -> Iterator[tuple[tuple[int, int], list[int]]]:
    for stage, group in itertools.groupby(indices, key=lambda index: spans.stage(wiring.evaluations[index].part)):
        yield stage, list(group)


def _read_for_the_last_time(spans: Spans, wiring: Wiring, stage: tuple[int, int]) -> list[int]:
    """The evaluations that no later stage reads."""
    later = {
        replaced.value
        for evaluation in wiring.evaluations
        if evaluation.replaced and spans.stage(evaluation.part) > stage
        for replaced in evaluation.replaced
    }
    return [index for index in range(len(wiring.evaluations) - 1) if index not in later]


def layer_rows(graph: Graph, wiring: Wiring, plan: Plan, *, run: int) -> int:
    """How many layers were evaluated on how many sequences: `run` of rows alone, and for each node those between it and
    its children."""
    computed = {
        (evaluation.node, layer): plan.rows[evaluation.draw].size
        for evaluation in wiring.internal
        if (layer := graph.layer(evaluation.part)) is not None
    }
    return run + sum(computed.values())
