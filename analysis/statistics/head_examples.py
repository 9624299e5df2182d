"""On which rows, and at which tokens, each head picks something out: its examples and its top tokens.

The score of a row is the head's largest attention off the sink, A[q,k] with q ≥ 1 and k ≥ 1.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.schema import Sizes

from .batch import Batch

N_TOP = 10  # examples in the highest interval
N_IN_INTERVAL = 3  # examples in each other interval
N_INTERVALS = 5
N_TOKENS = 10
N_EXAMPLES = N_TOP + N_IN_INTERVAL * (N_INTERVALS - 1)
HISTOGRAM_BINS = 20


class HeadRows:
    """Every row's score for every head, with the query that has it and its attention; and sums by frequent token."""

    def __init__(self, sizes: Sizes, *, rows: range, width: int, n_frequent: int, causal: bool = True) -> None:
        """`width`: tokens of the longest row; `causal`: whether no key is after its query."""
        shape = (len(rows), sizes.n_layers, sizes.n_heads)
        self.first, self._causal = rows.start, causal
        self.scores = np.zeros(shape, dtype=np.float32)
        self.queries = np.zeros(shape, dtype=np.int16)
        self.weights = np.zeros((*shape, width), dtype=np.uint8)
        self.by_query = np.zeros((n_frequent, sizes.n_layers, sizes.n_heads))
        self.by_key = np.zeros((n_frequent, sizes.n_layers, sizes.n_heads))
        self.key_counts = np.zeros(n_frequent, dtype=np.int64)

    def count(self, batch: Batch) -> None:
        """Count the batch's frequent tokens at positions that other queries read; once a batch."""
        places = batch.frequent[:, 1 : -1 if self._causal else None].flatten().cpu().numpy()
        self.key_counts += np.bincount(places[places >= 0], minlength=len(self.key_counts))

    def add(self, layer: int, off_sink: Float[Tensor, "batch head dest src"], batch: Batch) -> None:
        """Note one layer's attention, its row and column 0 clear."""
        largest = off_sink.amax(-1)
        score, query = largest.max(-1)
        weights = off_sink.take_along_dim(query[..., None, None], dim=2).squeeze(2)
        rows = slice(batch.rows.start - self.first, batch.rows.stop - self.first)
        self.scores[rows, layer] = score.cpu().numpy()
        self.queries[rows, layer] = query.cpu().numpy()
        self.weights[rows, layer, :, : batch.length] = (weights * 255).round().byte().cpu().numpy()

        by_self = off_sink.diagonal(dim1=-2, dim2=-1)
        n = batch.length
        if self._causal:
            others = torch.arange(n - 1, -1, -1, device=off_sink.device).clamp(min=1)
        else:
            others = torch.full((n,), n - 2, device=off_sink.device)
        received = (off_sink.sum(2) - by_self) / others  # mean over the other queries that can read it
        if self._causal:
            received[..., -1] = 0
        if len(self.key_counts):
            by_query, places = batch.sum_by_token(_by_cell(largest))
            by_key, _ = batch.sum_by_token(_by_cell(received))
            at = places.cpu().numpy()
            self.by_query[at, layer] += by_query.cpu().numpy()
            self.by_key[at, layer] += by_key.cpu().numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored: `row.score` float32, `row.query` int16 [row, layer, head], `row.weights` uint8 [row,
        layer, head, src]; `token.by_query`, `token.by_key` float64 [frequent, layer, head], `token.key_counts`."""
        return {
            "row.score": self.scores,
            "row.query": self.queries,
            "row.weights": self.weights,
            "token.by_query": self.by_query,
            "token.by_key": self.by_key,
            "token.key_counts": self.key_counts,
        }


def _by_cell(values: Float[Tensor, "batch head pos"]) -> Float[Tensor, "cell head"]:
    return values.transpose(1, 2).flatten(0, 1).contiguous()


def choose_examples(scores: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The rows that stand for each head: int32 [*parts, `N_EXAMPLES`], −1 where there are no more.

    `scores` is [row, *parts]. First the `N_TOP` highest, then, of each of the four lower of five equal-frequency
    intervals from high to low, the first `N_IN_INTERVAL` in the dataset's random order. All are of different documents:
    a document that an interval has taken is passed over in the lower ones.
    """
    flat = scores.reshape(len(scores), -1)
    order = np.argsort(-flat, axis=0, kind="stable")
    edges = [round(len(scores) * i / N_INTERVALS) for i in range(N_INTERVALS + 1)]
    chosen = np.full((flat.shape[1], N_EXAMPLES), -1, dtype=np.int32)
    for part in range(flat.shape[1]):
        ranked = order[:, part]
        taken = np.zeros(0, dtype=documents.dtype)
        for interval, (start, stop) in enumerate(itertools.pairwise(edges)):
            if interval == 0:
                rows, slot, number = ranked[start:stop], 0, N_TOP
            else:
                rows, slot, number = np.sort(ranked[start:stop]), N_TOP + N_IN_INTERVAL * (interval - 1), N_IN_INTERVAL
            picked = _one_a_document(rows[~np.isin(documents[rows], taken)], documents, number)
            chosen[part, slot : slot + len(picked)] = picked
            taken = np.concatenate([taken, documents[picked]])
    return chosen.reshape(*scores.shape[1:], N_EXAMPLES)


def _one_a_document(rows: np.ndarray, documents: np.ndarray, number: int) -> np.ndarray:
    """The first rows, each of another document."""
    _, first = np.unique(documents[rows], return_index=True)
    return rows[np.sort(first)[:number]]


def histogram(scores: np.ndarray) -> np.ndarray:
    """How many rows have their score in each of `HISTOGRAM_BINS` equal bins of [0, 1]: int32 [*parts, bin]."""
    bins = np.minimum((scores * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    return np.stack([(bins == i).sum(0) for i in range(HISTOGRAM_BINS)], axis=-1).astype(np.int32)


def top_tokens(sums: np.ndarray, counts: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frequent tokens with the highest means: ids int32 and means float32 [*parts, `N_TOKENS`], −1 and 0 where
    there are fewer. `sums` is [frequent, *parts], `counts` [frequent]."""
    parts = sums.shape[1:]
    ids = np.full((*parts, N_TOKENS), -1, dtype=np.int32)
    means = np.zeros((*parts, N_TOKENS), dtype=np.float32)
    seen = np.flatnonzero(counts > 0)
    if len(seen):
        ratio = sums[seen] / counts[seen].reshape(-1, *(1 for _ in parts))
        order = np.argsort(-ratio, axis=0, kind="stable")[:N_TOKENS]
        ids[..., : len(order)] = np.moveaxis(tokens[seen][order], 0, -1)
        means[..., : len(order)] = np.moveaxis(np.take_along_axis(ratio, order, axis=0), 0, -1)
    return ids, means
