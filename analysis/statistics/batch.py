"""What the statistics of every layer need to know of one batch of rows."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.datasets.rows import Rows

# Tokens that occur so often in a survey have means of their own.
OFTEN = 10
# What would cost too much at every position is read at one in so many.
SAMPLE = 8


class NotFiniteError(Exception):
    """A model computed what is no number."""


def require_finite(values: Float[Tensor, "row part"]) -> None:
    """Raise a `NotFiniteError` where a value is no number."""
    if not torch.isfinite(values).all():
        raise NotFiniteError


@dataclasses.dataclass(frozen=True)
class TokenCells:
    """Cells of the attention pattern that follow tokens: of duplicates, of inductions, and of both without the cells
    that a class of `Mass` before them holds."""

    row: Int[Tensor, " found"]  # of the batch
    cell: Int[Tensor, " found"]  # dest × length + src
    group: Int[Tensor, " found"]  # mask × rows + row
    n_groups: int

    def sum(self, pattern: Float[Tensor, "batch head dest src"]) -> Float[Tensor, "mask batch head"]:
        """Attention to the cells of each mask, summed over each row."""
        found = pattern.flatten(2)[self.row, :, self.cell]
        sums = torch.zeros(self.n_groups, found.shape[1], dtype=found.dtype, device=found.device)
        return sums.index_add_(0, self.group, found).unflatten(0, (-1, len(pattern)))


def frequent_tokens(rows: Rows, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens seen `OFTEN` times or more at positions ≥ 1 of the first rows, and how often: int32, ascending, and
    int64."""
    counts = np.bincount(np.concatenate([rows[row][1:] for row in range(n_rows)]))
    frequent = np.flatnonzero(counts >= OFTEN)
    return frequent.astype(np.int32), counts[frequent]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of one length that go through the model together."""

    rows: range  # of the dataset
    documents: tuple[int, ...]  # of each row: its place among the shard's documents
    tokens: Int[Tensor, "batch pos"]
    frequent: Int[Tensor, "batch pos"]  # the token's place among the frequent ones, −1 for others and at position 0

    @classmethod
    def of(
        cls, rows: Rows, indices: range, *, documents: np.ndarray, frequent: np.ndarray, device: torch.device
    ) -> Batch:
        """`documents`: the shard's documents, ascending; `frequent`: the frequent tokens, ascending."""
        tokens = np.stack([rows[row] for row in indices]).astype(np.int64)
        places = np.searchsorted(frequent, tokens).clip(max=max(len(frequent) - 1, 0))
        found = frequent[places] == tokens if len(frequent) else np.zeros_like(tokens, dtype=bool)
        found[:, 0] = False
        return cls(
            rows=indices,
            documents=tuple(np.searchsorted(documents, rows.documents[list(indices)]).tolist()),
            tokens=torch.from_numpy(tokens).to(device),
            frequent=torch.from_numpy(np.where(found, places, -1)).to(device),
        )

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    @functools.cached_property
    def document_index(self) -> Int[Tensor, " batch"]:
        return torch.tensor(self.documents, device=self.tokens.device)

    @functools.cached_property
    def duplicates(self) -> Bool[Tensor, "batch dest src"]:
        """Whether src is an earlier position (≥ 1) with the same token as dest."""
        same = self.tokens[:, :, None] == self.tokens[:, None, :]
        same[:, :, 0] = False
        return same.tril(-1)

    @functools.cached_property
    def inductions(self) -> Bool[Tensor, "batch dest src"]:
        """Whether src is an earlier position just after one with the same token as dest."""
        return torch.nn.functional.pad(self.duplicates, (1, 0))[..., :-1].tril(-1)

    @functools.cached_property
    def token_cells(self) -> TokenCells:
        """The few cells that follow tokens, found once for all layers and heads."""
        previous = torch.ones(self.length, self.length, dtype=torch.bool, device=self.tokens.device).tril(-1).triu(-1)
        masks = [
            self.duplicates,
            self.inductions,
            self.duplicates & ~previous,
            self.inductions & ~previous & ~self.duplicates,
        ]
        n_rows, n = self.tokens.shape
        mask, row, dest, src = torch.stack(masks).nonzero(as_tuple=True)
        return TokenCells(row, dest * n + src, group=mask * n_rows + row, n_groups=len(masks) * n_rows)

    @functools.cached_property
    def sample(self) -> Int[Tensor, " cell"]:
        """The cells [batch × pos] of the positions p ≥ 1 with (p + row) % `SAMPLE` == 0: one in eight."""
        rows = torch.arange(self.rows.start, self.rows.stop, device=self.tokens.device)[:, None]
        positions = torch.arange(self.length, device=self.tokens.device)
        return (((positions + rows) % SAMPLE == 0) & (positions > 0)).flatten().nonzero().squeeze(1)

    @functools.cached_property
    def sampled_rows(self) -> Int[Tensor, " cell"]:
        """The place in the batch of each sampled cell's row."""
        return self.sample // self.length

    @functools.cached_property
    def queries_with_duplicates(self) -> Int[Tensor, " batch"]:
        return self.duplicates.any(-1).sum(-1)

    @functools.cached_property
    def queries_with_inductions(self) -> Int[Tensor, " batch"]:
        return self.inductions.any(-1).sum(-1)

    @functools.cached_property
    def _frequent_cells(self) -> tuple[Int[Tensor, " cell"], Int[Tensor, " token"], Int[Tensor, " token"]]:
        """The cells [batch × pos] that hold frequent tokens, ordered by token; where each token's cells begin among
        them; and the tokens' places."""
        places, cells = self.frequent.flatten().sort(stable=True)
        first = int((places < 0).sum())
        tokens, counts = places[first:].unique_consecutive(return_counts=True)
        return cells[first:], counts.cumsum(0) - counts, tokens

    def sum_by_token(
        self, values: Float[Tensor, "cell part"]
    ) -> tuple[Float[Tensor, "token part"], Int[Tensor, " token"]]:
        """Sums over the cells of each frequent token that occurs in the batch, and those tokens' places."""
        cells, starts, tokens = self._frequent_cells
        return torch.nn.functional.embedding_bag(cells, values, starts, mode="sum"), tokens


def uniform_attention(batches: Sequence[Batch]) -> dict[str, float]:
    """What uniform attention over all earlier keys and the query itself would give for the metrics that follow
    tokens: the mean over their queries of the number of cells in the mask divided by q + 1."""
    sums = {"duplicate_token": 0.0, "induction": 0.0}
    counts = {"duplicate_token": 0, "induction": 0}
    for batch in batches:
        visible = torch.arange(1, batch.length + 1, device=batch.tokens.device)
        for key, mask in (("duplicate_token", batch.duplicates), ("induction", batch.inductions)):
            cells = mask.sum(-1)
            sums[key] += float((cells / visible).sum())
            counts[key] += int((cells > 0).sum())
    return {key: sums[key] / counts[key] for key in sums if counts[key]}
