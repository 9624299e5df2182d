"""Examples of neurons: the rows with the highest and lowest activations, and some of every interval between.

Each example is a row, the position of its extreme, and a window of activations around it in 127 steps. All choices
follow a total order (score, then the dataset's random order of rows), so that shards merge into what one pass finds.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.windows import N_IN_INTERVAL, N_INTERVALS, N_STRONGEST, WINDOW

from .batch import Batch

BLOCK = 8  # positions whose extreme is noted together
BEFORE = (WINDOW - BLOCK) // 2  # positions of a window before the block that has the extreme
PAIRS = 4096  # of rows and neurons whose windows are cut out together: more of them leave the processor's cache

Pairs = Int[Tensor, "pair"]


class Extremes:
    """Both ends of every neuron's activations at positions ≥ 1 of a batch, and, only for the rows and ends that ask,
    where they are and what is around them.

    Ends are numbered: of n neurons first the highest activations, from 0 on, then the lowest, from n on. The score of
    a lowest one is its negative, so that at both ends more is stronger.
    """

    def __init__(self, activation: Float[Tensor, "batch pos neuron"]) -> None:
        self._activation = activation
        live = activation[:, 1:]
        batch, length, n = live.shape
        whole = length // BLOCK
        # written where it stays: to join parts costs as much as to find them
        self._in_blocks = activation.new_empty(batch, -(-length // BLOCK), 2 * n)
        blocks, rest = live[:, : whole * BLOCK].unflatten(1, (whole, BLOCK)), live[:, whole * BLOCK :]
        for into, part in ((self._in_blocks[:, :whole], blocks), (self._in_blocks[:, whole:], rest[:, None])):
            if into.shape[1]:
                torch.amax(part, 2, out=into[..., :n])
                torch.amin(part, 2, out=into[..., n:])
        self._in_blocks[..., n:].neg_()

    @functools.cached_property
    def scores(self) -> Float[Tensor, "batch end"]:
        """The extreme of each row."""
        return self._in_blocks.amax(1)

    def windows(
        self, rows: Pairs, ends: Pairs, *, width: int
    ) -> tuple[Pairs, Int[Tensor, "pair width"], Float[Tensor, " pair"]]:
        """For each pair: the first position of the extreme; the activations in the window around it, in steps of a
        127th of the largest of them; and that largest. `window_starts` says where the window begins."""
        _, length, n = self._activation.shape
        block = 1 + BLOCK * self._gather(
            self._in_blocks, rows, torch.zeros_like(rows), ends, self._in_blocks.shape[1]
        ).argmax(1)
        start = (block - BEFORE).clamp(min=1, max=length - width)
        values = self._gather(self._activation, rows, start, ends % n, width)
        places = torch.arange(width, device=start.device) - (block - start)[:, None]
        in_block = (places >= 0) & (places < BLOCK)
        signs = torch.where(ends < n, 1, -1)[:, None]
        positions = start + (values * signs).masked_fill_(~in_block, -torch.inf).argmax(1)
        scale = values.abs().amax(1)
        steps = values.mul_((127 / scale.clamp(min=torch.finfo(scale.dtype).tiny))[:, None]).round_().to(torch.int8)
        return positions, steps, scale

    @staticmethod
    def _gather(
        source: Float[Tensor, "batch pos part"], rows: Pairs, start: Pairs, parts: Pairs, number: int
    ) -> Float[Tensor, "pair number"]:
        """`number` positions from `start` on."""
        _, length, n = source.shape
        dtype = torch.int32 if source.numel() < 2**31 else torch.int64  # half the memory to go through
        first = ((rows * length + start) * n + parts).to(dtype)
        cells = first[:, None] + torch.arange(0, number * n, n, dtype=dtype, device=start.device)
        return source.flatten().index_select(0, cells.flatten()).view(len(rows), number)


class _Examples:
    """Slots of examples for every end of a run of neurons' activations that `Extremes` numbers from 0 on."""

    def __init__(self, n: int, n_slots: int, *, length: int, device: torch.device) -> None:
        self.width = min(WINDOW, length - 1)
        shape = (n, n_slots)
        self.scores = torch.full(shape, -torch.inf, device=device)
        self.rows = torch.full(shape, -1, dtype=torch.int32, device=device)
        self.positions = torch.zeros(shape, dtype=torch.int16, device=device)
        self.scales = torch.zeros(shape, device=device)
        self.windows = torch.zeros((*shape, self.width), dtype=torch.int8, device=device)
        self._first_row = 0
        self._document_of = torch.zeros(0, dtype=torch.int64, device=device)  # of each row from the first on

    def _look_at(self, batch: Batch) -> None:
        """Note which documents the batch's rows are of."""
        if not len(self._document_of):
            self._first_row = batch.rows.start
        self._document_of = torch.cat([self._document_of, batch.document_index])

    def _documents_of(self, rows: Int[Tensor, "pair slot"]) -> Int[Tensor, "pair slot"]:
        """The documents of the rows in some slots; anything for an empty slot."""
        return self._document_of[(rows - self._first_row).clamp(min=0).long()]

    def _put(self, ends: Pairs, slots: Pairs, batch_rows: Pairs, extremes: Extremes, batch: Batch) -> None:
        width = min(self.width, batch.length - 1)
        self.scores[ends, slots] = extremes.scores[batch_rows, ends]
        self.rows[ends, slots] = (batch_rows + batch.rows.start).to(torch.int32)
        for part in zip(ends.split(PAIRS), slots.split(PAIRS), batch_rows.split(PAIRS), strict=True):
            at, rows = part[:2], part[2]
            positions, steps, scales = extremes.windows(rows, at[0], width=width)
            self.positions[at] = positions.to(torch.int16)
            self.scales[at] = scales
            self.windows[at] = torch.nn.functional.pad(steps, (0, self.width - width))

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored: `score`, `row` (−1: an empty slot), `position`, `scale`
        [end, slot], `window` int8 [end, slot, token]."""
        arrays = {
            "score": self.scores,
            "row": self.rows,
            "position": self.positions,
            "scale": self.scales,
            "window": self.windows,
        }
        return {name: array.cpu().numpy() for name, array in arrays.items()}


class Strongest(_Examples):
    """The `N_STRONGEST` rows with the highest scores, one a document; of equal scores the earlier row.

    `floor`: scores below it need not be looked at, since as many documents are known to be better.
    """

    def __init__(self, floor: Float[Tensor, " end"], *, length: int) -> None:
        super().__init__(len(floor), N_STRONGEST, length=length, device=floor.device)
        self._floor = floor
        self._seen: set[int] = set()  # documents

    @property
    def floor(self) -> Float[Tensor, " end"]:
        """The floor for other rows of the survey."""
        return torch.maximum(self._floor, self.scores.amin(1))

    def add(self, extremes: Extremes, batch: Batch) -> None:
        """Let the batch's rows take the places of weaker ones. Of rows with exactly equal scores the earlier stays."""
        candidates = extremes.scores.T.clone()
        worse = (candidates <= self.scores.amin(1, keepdim=True)) | (candidates < self._floor[:, None])
        candidates.masked_fill_(worse, -torch.inf)
        self._look_at(batch)
        self._keep_best_of_each_document(candidates, batch)
        n_slots = self.scores.shape[1]
        rows = torch.arange(batch.rows.start, batch.rows.stop, device=candidates.device)
        ranked = torch.cat([_rank(self.scores, self.rows), _rank(candidates, rows)], dim=1)
        kept = ranked >= ranked.topk(n_slots, dim=1, sorted=False).values.amin(1, keepdim=True)
        newcomers = kept[:, n_slots:] & (candidates > -torch.inf)
        free = ~kept[:, :n_slots] | (self.rows < 0)
        # both lists of pairs are ordered by end: its first free slots go to its newcomers
        taken = free & (free.cumsum(1) <= newcomers.sum(1, keepdim=True))
        ends, slots = taken.nonzero(as_tuple=True)
        if len(ends):
            rows = newcomers.nonzero(as_tuple=True)[1]
            by_row = rows.argsort(stable=True)  # a row's activations lie together in memory
            self._put(ends[by_row], slots[by_row], rows[by_row], extremes, batch)
        self._seen.update(batch.documents)

    def _keep_best_of_each_document(self, candidates: Float[Tensor, "end batch"], batch: Batch) -> None:
        """Take out, as −∞, candidates of a document that has a score as good, in this batch or in a slot; a slot that
        is beaten by its own document is emptied."""
        for i, document in enumerate(batch.documents):
            for j in range(i):
                if batch.documents[j] == document:
                    worse = candidates[:, i] <= candidates[:, j]
                    candidates[:, i].masked_fill_(worse, -torch.inf)
                    candidates[:, j].masked_fill_(~worse, -torch.inf)
        seen = [i for i, document in enumerate(batch.documents) if document in self._seen]
        ends, places = (candidates[:, seen] > -torch.inf).nonzero(as_tuple=True)
        if len(ends):
            columns = torch.tensor(seen, device=candidates.device)[places]
            scores = candidates[ends, columns]
            same = self._documents_of(self.rows[ends]) == batch.document_index[columns, None]
            old = self.scores[ends].masked_fill(~same, -torch.inf).amax(1)
            candidates[ends, columns] = scores.masked_fill(scores <= old, -torch.inf)
            at, slots = (same & (scores > old)[:, None]).nonzero(as_tuple=True)
            self.scores[ends[at], slots] = -torch.inf
            self.rows[ends[at], slots] = -1


def _rank(scores: Float[Tensor, "end slot"], rows: Int[Tensor, "*end slot"]) -> Int[Tensor, "end slot"]:
    """Whole numbers in the order of examples: the higher score first, of equal scores the earlier row."""
    bits = (scores + 0.0).view(torch.int32).long()  # + 0.0: −0 is 0
    ascending = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # the bits of negative numbers ascend as they fall
    return (ascending << 32) - rows


class IntervalExamples(_Examples):
    """The first `N_IN_INTERVAL` rows, one a document, whose maximum is in each interval, from low to high.

    `full`: intervals for which earlier rows of the survey are known to be enough.
    """

    def __init__(self, full: Bool[Tensor, "neuron interval"], *, length: int) -> None:
        super().__init__(len(full), N_INTERVALS * N_IN_INTERVAL, length=length, device=full.device)
        self._counts = full.long() * N_IN_INTERVAL

    @property
    def full(self) -> Bool[Tensor, "neuron interval"]:
        """What is known to be enough for later rows of the survey."""
        return self._counts >= N_IN_INTERVAL

    def add(self, extremes: Extremes, batch: Batch, *, edges: np.ndarray) -> None:
        """Put the batch's rows, in their order, into the free slots of their intervals. `edges`: between the
        intervals, float32 [neuron, 4]."""
        scores = extremes.scores[:, : len(self._counts)]
        intervals = torch.zeros_like(scores, dtype=torch.int64)
        for edge in torch.from_numpy(edges).to(scores.device).unbind(1):
            intervals += scores > edge
        every = torch.arange(scores.shape[1], device=scores.device)
        self._look_at(batch)
        # most intervals are full soon: only pairs of a neuron and a row that its interval may want are looked at
        neurons, rows = (~self.full[every, intervals]).T.nonzero(as_tuple=True)
        wanted = ~self._has_document(neurons, rows, intervals[rows, neurons], batch)
        neurons, rows = neurons[wanted], rows[wanted]
        if len(neurons):
            interval = intervals[rows, neurons]
            slots = self._counts[neurons, interval] + _places(neurons * N_INTERVALS + interval)
            kept = slots < N_IN_INTERVAL
            neurons, rows, interval, slots = (each[kept] for each in (neurons, rows, interval, slots))
            self._counts.index_put_((neurons, interval), torch.ones_like(neurons), accumulate=True)
            self._put(neurons, interval * N_IN_INTERVAL + slots, rows, extremes, batch)

    def _has_document(self, neurons: Pairs, rows: Pairs, intervals: Pairs, batch: Batch) -> Bool[Tensor, " pair"]:
        """Whether the row's document is that of an example of the interval, or of an earlier row that it wants. The
        pairs are ordered by neuron, then row."""
        documents = batch.document_index[rows]
        slots = (intervals * N_IN_INTERVAL)[:, None] + torch.arange(N_IN_INTERVAL, device=rows.device)
        of_slots = self.rows[neurons[:, None], slots]
        known = ((self._documents_of(of_slots) == documents[:, None]) & (of_slots >= 0)).any(1)
        if len(set(batch.documents)) < len(batch.documents):
            groups = (neurons * N_INTERVALS + intervals) * (max(batch.documents) + 1) + documents
            known |= _places(groups) > 0
        return known


def _places(groups: Pairs) -> Pairs:
    """The place of each among those of its group, from 0 on."""
    order = groups.argsort(stable=True)
    counts = groups[order].unique_consecutive(return_counts=True)[1]
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device) - starts)


def window_starts(positions: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Where the windows around extremes begin, in rows of these lengths: int16. The whole window is in the row, without
    position 0, whose activation is of another size."""
    block = 1 + (positions - 1) // BLOCK * BLOCK
    return np.maximum(np.minimum(block - BEFORE, lengths - np.minimum(width, lengths - 1)), 1).astype(np.int16)


def merge_strongest(parts: list[dict[str, np.ndarray]], documents: np.ndarray) -> dict[str, np.ndarray]:
    """The strongest examples of all shards, best first, from each shard's `arrays()`. `documents`: of each row."""
    joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    by_row = np.argsort(joined["row"], axis=1, kind="stable")
    falling = np.argsort(-np.take_along_axis(joined["score"], by_row, axis=1), axis=1, kind="stable")
    return _first_of_documents(joined, np.take_along_axis(by_row, falling, axis=1), documents, N_STRONGEST)


def merge_intervals(parts: list[dict[str, np.ndarray]], documents: np.ndarray) -> dict[str, np.ndarray]:
    """The first examples of each interval over all shards, from low to high, from each shard's `arrays()`."""
    n_neurons = len(parts[0]["row"])
    joined = {}
    for name in parts[0]:
        cells = [part[name].reshape(-1, N_IN_INTERVAL, *part[name].shape[2:]) for part in parts]  # neuron × interval
        joined[name] = np.concatenate(cells, axis=1)
    rows = np.where(joined["row"] < 0, np.iinfo(np.int32).max, joined["row"])
    merged = _first_of_documents(joined, np.argsort(rows, axis=1, kind="stable"), documents, N_IN_INTERVAL)
    return {name: array.reshape(n_neurons, -1, *array.shape[2:]) for name, array in merged.items()}


def _first_of_documents(
    examples: dict[str, np.ndarray], order: np.ndarray, documents: np.ndarray, number: int
) -> dict[str, np.ndarray]:
    """The first examples in an order of slots, each of another document; row −1 where there are fewer."""
    rows = np.take_along_axis(examples["row"], order, axis=1)
    found = np.where(rows >= 0, documents[rows], -1)
    by_document = np.argsort(found, axis=1, kind="stable")
    ordered = np.take_along_axis(found, by_document, axis=1)
    again = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(again, by_document[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    rows = np.where(again, -1, rows)
    first = np.argsort(rows < 0, axis=1, kind="stable")[:, :number]
    # only here are windows moved, and only those that stay
    chosen = np.arange(len(rows))[:, None], np.take_along_axis(order, first, axis=1)
    return {name: array[chosen] for name, array in examples.items()} | {"row": np.take_along_axis(rows, first, axis=1)}
