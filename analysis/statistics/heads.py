"""The head metrics of `analysis.metrics`, as sums over queries that shards add up document by document.

For each metric, document and head the sum over all counted queries and their number are kept; the metric is their
ratio, and its standard error comes from how documents differ. Rows are reduced in float32 and added in float64.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.capture import AttentionReading
from analysis.datasets.repeated import PERIOD
from analysis.families import absent_metrics, mass_classes
from analysis.metrics import Mass, head_metrics
from analysis.schema import DatasetKind, Sizes

from .batch import Batch

# Queries that give less than this to keys ≥ 1 are left out where those keys' attention is scaled up to sum to 1.
LEAST_OFF_SINK = 1e-4

PerRow = Float[Tensor, "batch head"]


class HeadSums:
    """Sums and counts of each metric of every head, document by document: what a shard adds to a survey."""

    def __init__(
        self, kind: DatasetKind, sizes: Sizes, *, n_documents: int, adds_up: bool = True, family: str = ""
    ) -> None:
        """`adds_up`: whether outputs of heads are summands of the residual stream; else none is compared with it.
        `family`: of a model that is no plain decoder."""
        self.kind = kind
        absent = {*absent_metrics(family), *(() if adds_up else ("output_norm",))}
        self.keys = [metric.key for metric in head_metrics(kind) if metric.key not in absent]
        shape = (len(self.keys), n_documents, sizes.n_layers, sizes.n_heads)
        self.sums, self.counts = np.zeros(shape), np.zeros(shape, dtype=np.int64)
        self._classes = mass_classes(family)
        self.mass = np.zeros((*shape[1:], len(self._classes)))

    def add(
        self, layer: int, reading: AttentionReading, batch: Batch, *, output_share: Float[Tensor, "cell head"]
    ) -> None:
        """Count every row of a batch. `output_share` is the length of each head's output relative to the residual
        stream at the batch's sampled cells. The reading is used up: row and column 0 of the pattern are cleared, and
        the scores are overwritten."""
        if self.kind is DatasetKind.REPEATED:
            self._count(layer, batch, {"induction_repeated": (induction_repeated(reading.pattern), PERIOD)})
            return
        n = batch.length
        sink = reading.pattern[..., 0].clone()
        # every further pass is over contiguous memory, several times faster than over the slice without column 0
        off_sink = reading.pattern
        off_sink[..., 0] = 0
        off_sink[..., 0, :] = 0

        by_self = off_sink.diagonal(dim1=-2, dim2=-1).sum(-1)
        by_previous = off_sink.diagonal(-1, dim1=-2, dim2=-1)[..., 1:].sum(-1)
        duplicate, induction, duplicate_alone, induction_alone = batch.token_cells.sum(off_sink)
        by_sink = sink[..., 1:].sum(-1)
        counted: dict[str, tuple[PerRow, int | Tensor]] = {
            "first_token": (by_sink, n - 1),
            "self": (by_self, n - 1),
            "previous_token": (by_previous, n - 2),
            "duplicate_token": (duplicate, batch.queries_with_duplicates[:, None]),
            "induction": (induction, batch.queries_with_inductions[:, None]),
            "largest_off_sink": (off_sink.amax((-2, -1)), 1),
            "output_norm": _by_row(output_share, batch),
        }
        self._count(layer, batch, counted | _shapes(reading, sink))
        masses = {Mass.SINK: by_sink, Mass.SELF: by_self, Mass.PREVIOUS: by_previous}
        masses |= {Mass.DUPLICATE: duplicate_alone, Mass.INDUCTION: induction_alone}
        masses[Mass.NEXT] = off_sink.diagonal(1, dim1=-2, dim2=-1).sum(-1)
        if Mass.LATER in self._classes:
            masses[Mass.LATER] = off_sink.triu(2).sum((-2, -1))
        parts = [masses[each] for each in self._classes if each is not Mass.OTHER]
        other = (n - 1) - torch.stack(parts).sum(0)
        self._add_by_document(self.mass[:, layer], batch, torch.stack([*parts, other], dim=-1))

    def _count(self, layer: int, batch: Batch, counted: dict[str, tuple[PerRow, int | Tensor]]) -> None:
        """Add the sums and counts of the metrics, in the table's order, one copy from the device for all."""
        shape = counted[self.keys[0]][0].shape
        sums = torch.stack([counted[key][0] for key in self.keys], dim=1)
        numbers = [torch.as_tensor(counted[key][1], device=sums.device).expand(shape) for key in self.keys]
        self._add_by_document(self.sums[:, :, layer].swapaxes(0, 1), batch, sums)
        self._add_by_document(self.counts[:, :, layer].swapaxes(0, 1), batch, torch.stack(numbers, dim=1))

    @staticmethod
    def _add_by_document(target: np.ndarray, batch: Batch, values: Tensor) -> None:
        for document, row in zip(batch.documents, values.cpu().numpy(), strict=True):
            target[document] += row

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored: `head.sum.<key>` float64 and `head.count.<key>` int64 [document, layer, head], and for
        natural text `head.mass` float64 [document, layer, head, class]."""
        sums = {f"head.sum.{key}": array for key, array in zip(self.keys, self.sums, strict=True)}
        counts = {f"head.count.{key}": array for key, array in zip(self.keys, self.counts, strict=True)}
        return sums | counts | ({"head.mass": self.mass} if self.kind is DatasetKind.NATURAL else {})


def _shapes(
    reading: AttentionReading, sink: Float[Tensor, "batch head dest"]
) -> dict[str, tuple[PerRow, int | Tensor]]:
    """Entropy and distance, with and without the sink; the pattern's row and column 0 are clear, the scores used up."""
    off_sink, scores = reading.pattern, reading.scores
    n = off_sink.shape[-1]
    positions = torch.arange(n, device=off_sink.device, dtype=off_sink.dtype)
    mass = off_sink.sum(-1)
    # ln A = score − ln Σ exp(score); the normaliser follows from the largest score and its attention
    largest = torch.maximum(off_sink.amax(-1), sink)
    normaliser = scores.amax(-1) - largest.log()
    # in place: a fresh array of this size costs more than the product
    product = scores.mul_(off_sink)
    log_sum = product.sum(-1) - mass * normaliser  # Σ A ln A over k ≥ 1
    entropy = torch.special.entr(sink) - log_sum
    reach = torch.mul(off_sink, positions, out=product).sum(-1)  # Σ A k
    distance = (mass + sink) * positions - reach

    counted = mass >= LEAST_OFF_SINK
    counted[..., 0] = False
    scale = mass.clamp(min=LEAST_OFF_SINK)
    alone = (mass.log() - log_sum / scale).clamp(min=0).where(counted, 0.0)
    reached = (positions - reach / scale).where(counted, 0.0)
    number = counted.sum(-1)
    return {
        "entropy": (entropy[..., 1:].sum(-1), n - 1),
        "distance_mean": (distance[..., 1:].sum(-1), n - 1),
        "entropy_off_sink": (alone.sum(-1), number),
        "distance_off_sink": (reached.sum(-1), number),
    }


def _by_row(values: Float[Tensor, "cell head"], batch: Batch) -> tuple[PerRow, Tensor]:
    """Values at the sampled cells, summed over each row, and how many a row has."""
    rows, n_rows = batch.sampled_rows, len(batch.rows)
    sums = torch.zeros(n_rows, values.shape[1], dtype=values.dtype, device=values.device)
    return sums.index_add_(0, rows, values), torch.bincount(rows, minlength=n_rows)[:, None]


def induction_repeated(pattern: Float[Tensor, "batch head dest src"]) -> PerRow:
    """Σ A[q,q−49] over the second half of BOS + 2 × 50 tokens: the token after the previous occurrence; in [0, 50]."""
    expected = 1 + 2 * PERIOD
    if pattern.shape[-1] != expected:
        raise ValueError(f"Measuring induction_repeated: expected rows of {expected} tokens, got {pattern.shape[-1]}.")
    # the diagonal at −(PERIOD − 1) starts at q = PERIOD − 1; the second half at q = PERIOD + 1
    return pattern.diagonal(-(PERIOD - 1), dim1=-2, dim2=-1)[..., 2:].sum(-1)


def output_gram(w_o: Float[Tensor, "head d_model d_head"]) -> Float[Tensor, "head d_head d_head"]:
    """W_Oᵀ W_O of each head: the length of W_O z is √(zᵀ W_Oᵀ W_O z), without a vector of d_model for each head."""
    return w_o.mT @ w_o


def output_length(
    z: Float[Tensor, "cell head d_head"], gram: Float[Tensor, "head d_head d_head"]
) -> Float[Tensor, "cell head"]:
    """The length of each head's output W_O z (its bias belongs to no head); ≥ 0."""
    by_head = z.transpose(0, 1)
    squares = (torch.bmm(by_head, gram) * by_head).sum(-1)
    return squares.clamp(min=0).sqrt().T
