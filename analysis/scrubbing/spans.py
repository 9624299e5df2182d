"""What lies between a node and its children in a transformer: residual streams with a few summands exchanged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.scrubbing.columns import Columns, Positions, columns_of
from analysis.scrubbing.donors import kept_name
from analysis.scrubbing.fast import Sources, read_clean
from analysis.scrubbing.graph import Slot
from analysis.scrubbing.parts import ROOT, place_of
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.streams import before, middle
from analysis.scrubbing.transformer import TransformerGraph
from analysis.scrubbing.wiring import Draw, Evaluation, Replaced, Wiring

_STAGES = {"q": 0, "k": 0, "v": 0, "head": 1, "mlp": 2, "neurons": 2}

Stream = Float[Tensor, "items some d_model"]
Key = tuple[Draw, Positions]


class TransformerSpans:
    """A part that reads the residual stream reads that of its own row, plus what its replaced summands add more; and it
    is computed only at positions at which it is read and is another than its row's."""

    def __init__(self, graph: TransformerGraph, *, read_at: Sequence[int] | None = None) -> None:
        self.graph = graph
        self.read_at: Positions = None if read_at is None else tuple(read_at)
        self.element_bytes = graph.w_o[0].o.element_size()
        self.item_bytes = graph.n_positions * graph.d_model * self.element_bytes
        self._columns: list[Columns] = []
        # By draw and positions, the last difference that was made: the next one often begins with the same summands.
        self._last: dict[Key, tuple[tuple[Replaced, ...], Stream | None]] = {}
        self._of: Sources | None = None  # whose differences these are

    def prepare(self, wiring: Wiring, plan: Plan) -> None:
        self._parts = [evaluation.part for evaluation in wiring.evaluations]
        self._columns = columns_of(wiring, plan, read_at=self.read_at)

    def computed_bytes(self, index: int) -> int:
        columns, sizes = self._columns[index].computed, self.graph.parts.sizes
        match self.stage(self._parts[index])[1]:
            case 2:
                width = max(sizes.d_mlp, sizes.d_model)
            case _ if self._parts[index] == ROOT:
                width = sizes.d_model
            case _:
                width = 3 * sizes.d_head
        positions = self.graph.n_positions if columns is None else len(columns)
        return positions * width * self.element_bytes

    def stage(self, part: str) -> tuple[int, int]:
        if part == ROOT:
            return self.graph.layers, 0
        place = place_of(part)
        return place.layer, _STAGES[place.kind]

    def needs(self, index: int, evaluation: Evaluation) -> Collection[str]:
        columns = self._columns[index]
        if not self._reads_stream(evaluation.part):
            query, *_ = self.graph.parts.inputs(evaluation.part)
            clean = read_clean(evaluation, self.graph.parts.inputs(evaluation.part))
            return {kept_name(read, columns.read if read == query else None) for read in clean}
        own = {kept_name(evaluation.part, columns.read)} if self._is_patched(index) else set()
        if columns.computed == ():
            return own
        read = {self._stream(evaluation.part), *(replaced.part for replaced in evaluation.replaced)}
        return {kept_name(part, columns.computed) for part in read} | own

    def _reads_stream(self, part: str) -> bool:
        return part == ROOT or place_of(part).kind != "head"

    def _is_patched(self, index: int) -> bool:
        """Whether a value is that of its row but for some of the positions at which it is read."""
        columns = self._columns[index]
        return columns.computed != columns.read

    def _stream(self, part: str) -> str:
        if part == ROOT:
            return ROOT
        place = place_of(part)
        return middle(place.layer) if place.kind in ("mlp", "neurons") else before(place.layer)

    @torch.no_grad()
    def evaluate(self, evaluations: Mapping[int, Evaluation], sources: Sources) -> Mapping[int, Tensor]:
        for index in evaluations:
            if (read := self._columns[index].read) is not None:
                sources.given[index] = read
        if self.stage(next(iter(evaluations.values())).part)[1] == 1:
            return {index: self._head(index, evaluation, sources) for index, evaluation in evaluations.items()}
        values: dict[int, Tensor] = {}
        for at in {self._columns[index].computed for index in evaluations}:
            some = {index: of for index, of in evaluations.items() if self._columns[index].computed == at}
            values |= self._at(at, some, sources) if at != () else {}
        return {
            index: self._patched(index, evaluation, values.get(index), sources)
            for index, evaluation in evaluations.items()
        }

    def _patched(self, index: int, evaluation: Evaluation, value: Tensor | None, sources: Sources) -> Tensor:
        """A value at all positions at which it is read, from one at those at which it was computed."""
        if value is not None and not self._is_patched(index):
            return value
        columns = self._columns[index]
        assert columns.computed is not None
        whole = sources.clean(evaluation.part, evaluation.draw, at=columns.read)
        places = columns.computed if columns.read is None else [columns.read.index(at) for at in columns.computed]
        if value is not None:
            whole[:, list(places)] = value
        return whole

    def _head(self, index: int, evaluation: Evaluation, sources: Sources) -> Tensor:
        """A head from its queries at the positions at which it is read, and its keys and values everywhere."""
        at = self._columns[index].read
        inputs: dict[Slot, Tensor] = {}
        query, *_ = self.graph.parts.inputs(evaluation.part)
        for read in read_clean(evaluation, self.graph.parts.inputs(evaluation.part)):
            inputs[read, None] = sources.clean(read, evaluation.draw, at=at if read == query else None)
        for replaced in evaluation.replaced:
            slot, some = (replaced.through, replaced.offset), at if replaced.through == query else None
            new, places = sources.new(replaced, evaluation, at=some), _columns_of_at(sources.at(replaced), some)
            if slot not in inputs and places is not None:
                inputs[slot] = sources.clean(replaced.through, evaluation.draw, at=some)
            old = inputs.get(slot, new)
            inputs[slot] = self.graph.replace(old, part=replaced.part, old=old, new=new, at=places)
        return self.graph.attend(evaluation.part, inputs, mask_rows=sources.mask_rows(evaluation), at=at)

    def _at(self, at: Positions, evaluations: Mapping[int, Evaluation], sources: Sources) -> dict[int, Tensor]:
        """The values of evaluations of one stage that read the residual stream, at the same positions."""
        groups: dict[tuple[Draw, tuple[Replaced, ...]], list[int]] = {}
        for index, evaluation in evaluations.items():
            groups.setdefault((evaluation.draw, evaluation.replaced), []).append(index)
        streams = [self._mixed(evaluations[indices[0]], sources, at=at) for indices in groups.values()]
        together = streams[0] if len(streams) == 1 else torch.cat(streams)
        first = next(iter(evaluations.values())).part
        if first == ROOT:
            return {next(iter(evaluations)): together}
        parts = {evaluation.part for evaluation in evaluations.values()}
        read = self.graph.read_together(sorted(parts), self.graph.normalise(first, together), at=at)
        starts = np.cumsum([0, *(len(stream) for stream in streams)])
        return {
            index: read[evaluations[index].part][starts[number] : starts[number + 1]]
            for number, indices in enumerate(groups.values())
            for index in indices
        }

    def _mixed(self, evaluation: Evaluation, sources: Sources, *, at: Positions) -> Stream:
        """The stream that an evaluation reads: its own row's, and the difference that what is replaced makes."""
        stream = sources.clean(self._stream(evaluation.part), evaluation.draw, at=at)
        if self._of is not sources:
            self._of, self._last = sources, {}
        key = evaluation.draw, at
        done, difference = self._last.get(key, ((), None))
        if done != evaluation.replaced[: len(done)]:
            done, difference = (), None
        for replaced in evaluation.replaced[len(done) :]:
            more = self._difference(replaced, evaluation, sources, at=at)
            difference = more if difference is None else difference + more
        assert difference is not None, "an evaluation that replaces nothing is not made here"
        self._last[key] = evaluation.replaced, difference
        return stream.add_(difference)

    def _difference(self, replaced: Replaced, evaluation: Evaluation, sources: Sources, *, at: Positions) -> Stream:
        new = sources.new(replaced, evaluation, at=at)
        added = self.graph.contribution(replaced.part, new - sources.clean(replaced.part, evaluation.draw, at=at))
        places = _columns_of_at(sources.at(replaced), at)
        return added if places is None else added * torch.from_numpy(places.copy()).to(added.device)[..., None]


def _columns_of_at(at: np.ndarray | None, columns: Positions) -> np.ndarray | None:
    return at if at is None or columns is None else at[:, list(columns)]
