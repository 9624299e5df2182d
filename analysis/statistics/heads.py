"""The head metrics of `analysis.schema.HEAD_METRICS`, as sums over queries that shards add up.

For each metric and head the sum over all counted queries and their number are kept; the metric is their ratio. Sums
are float64, so that a mean over millions of queries keeps the digits of a float32 pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.datasets.repeated import PERIOD
from analysis.schema import Metric, Sizes

Pattern = Float[Tensor, "batch head dest src"]
PerQuery = Float[Tensor, "batch head query"]


def previous_token(pattern: Pattern) -> PerQuery:
    """A[q,q−1] for q ≥ 2; in [0, 1]."""
    return pattern.diagonal(-1, dim1=-2, dim2=-1)[..., 1:]


def self_attention(pattern: Pattern) -> PerQuery:
    """A[q,q] for q ≥ 1; in [0, 1]."""
    return pattern.diagonal(0, dim1=-2, dim2=-1)[..., 1:]


def first_token(pattern: Pattern) -> PerQuery:
    """A[q,0] for q ≥ 1; in [0, 1]."""
    return pattern[..., 1:, 0]


def entropy(pattern: Pattern) -> PerQuery:
    """−Σₖ A[q,k] ln A[q,k] for q ≥ 1, in nats; in [0, ln(keys)]."""
    return torch.special.entr(pattern[..., 1:, :]).sum(-1)


def distance_mean(pattern: Pattern) -> PerQuery:
    """Σₖ A[q,k]·(q−k) for q ≥ 1, in tokens; in [0, q] where attention is causal."""
    positions = torch.arange(pattern.shape[-1], device=pattern.device, dtype=pattern.dtype)
    # rows sum to 1, so Σ A (q−k) = q − Σ A k
    return (positions - pattern @ positions)[..., 1:]


def induction_repeated(pattern: Pattern) -> PerQuery:
    """A[q,q−49] over the second half of BOS + 2 × 50 tokens: the token after the previous occurrence; in [0, 1]."""
    expected = 1 + 2 * PERIOD
    if pattern.shape[-1] != expected:
        raise ValueError(f"Measuring induction_repeated: expected rows of {expected} tokens, got {pattern.shape[-1]}.")
    # the diagonal at −(PERIOD − 1) starts at q = PERIOD − 1; the second half at q = PERIOD + 1
    return pattern.diagonal(-(PERIOD - 1), dim1=-2, dim2=-1)[..., 2:]


_PER_QUERY: dict[str, Callable[[Pattern], PerQuery]] = {
    "previous_token": previous_token,
    "self": self_attention,
    "first_token": first_token,
    "entropy": entropy,
    "distance_mean": distance_mean,
    "induction_repeated": induction_repeated,
}


class HeadSums:
    """Sums of each metric over queries, for every head: what a shard adds to a survey."""

    def __init__(self, metrics: Sequence[Metric], sizes: Sizes) -> None:
        self.sums = {metric.key: np.zeros((sizes.n_layers, sizes.n_heads)) for metric in metrics}
        self.counts = {metric.key: np.zeros(sizes.n_layers, dtype=np.int64) for metric in metrics}

    def add(self, layer: int, pattern: Pattern) -> None:
        """Count every row of one layer's pattern."""
        for key, sums in self.sums.items():
            values = _PER_QUERY[key](pattern)
            sums[layer] += values.double().sum(dim=(0, 2)).cpu().numpy()
            self.counts[key][layer] += values.shape[0] * values.shape[2]

    def arrays(self) -> dict[str, np.ndarray]:
        """The sums as they are stored: `sum.<key>` float64 [layer, head], `count.<key>` int64 [layer]."""
        return {f"sum.{key}": sums for key, sums in self.sums.items()} | {
            f"count.{key}": counts for key, counts in self.counts.items()
        }
