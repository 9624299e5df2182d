"""What the neurons of a layer do on many rows: moments, histogram, means by token, examples with windows.

Position 0, the BOS token, is left out of everything: activations there are of another size and say nothing of a text.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from analysis.schema import Sizes
from analysis.windows import N_INTERVALS

from .batch import Batch, require_finite
from .neuron_examples import Extremes, IntervalExamples, Strongest

HISTOGRAM_BINS = 64


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the first batch of a survey fixes for all of it, so that shards agree: float32 [neuron] of one layer."""

    low: np.ndarray  # ends of the histogram
    high: np.ndarray
    centre: np.ndarray  # what third and fourth powers are taken around
    edges: np.ndarray  # [neuron, 4]: between the intervals of the sequence maximum

    @classmethod
    def of(cls, activation: Float[Tensor, "batch pos neuron"]) -> Calibration:
        """The ends of the histogram are the extremes, a tenth of their distance farther apart on each side."""
        live = activation[:, 1:].float()
        highest, lowest = live.amax(1).cpu().numpy(), live.amin(1).cpu().numpy()
        high, low = highest.max(0), lowest.min(0)
        margin = np.maximum((high - low) / 10, np.float32(1e-6))
        edges = np.quantile(highest, (0.2, 0.4, 0.6, 0.8), axis=0).astype(np.float32)
        centre = live.mean((0, 1)).cpu().numpy()
        return cls(low - margin, high + margin, centre, np.ascontiguousarray(edges.T))


@dataclasses.dataclass(frozen=True)
class Known:
    """What other shards of a survey have shown, so that this one need not look at rows that cannot be examples.

    It changes what a shard does, never what the survey finds.
    """

    strongest: Float[Tensor, " end"]
    full: Bool[Tensor, "neuron interval"]  # by earlier rows

    @classmethod
    def nothing(cls, n: int) -> Known:
        return cls(torch.full((2 * n,), -torch.inf), torch.zeros(n, N_INTERVALS, dtype=torch.bool))


def join_known(shown: dict[int, list[Known]], *, before: int) -> list[Known]:
    """By layer, all that the shards of a survey have shown to one of them: `shown` is by shard, `before` its number."""
    joined = []
    for layers in zip(*shown.values(), strict=True):
        full = torch.zeros_like(layers[0].full)
        for shard, known in zip(shown, layers, strict=True):
            full |= known.full if shard < before else full
        joined.append(Known(torch.stack([known.strongest for known in layers]).amax(0), full))
    return joined


class NeuronSums:
    """What a shard knows of the neurons of one layer."""

    def __init__(
        self,
        sizes: Sizes,
        calibration: Calibration | None,
        *,
        known: Known,
        n_documents: int,
        n_frequent: int,
        n_sampled: int,
        n_sampled_together: int,
        length: int,
        device: torch.device,
    ) -> None:
        """`calibration`: None in the shard whose first batch calibrates; `n_sampled`: the most positions that its
        samples may have, and `n_sampled_together` those of one document; `length`: tokens of the longest row."""
        n = sizes.d_mlp
        self.calibration = calibration

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        self.sums, self.active = zeros(n_documents, n), zeros(n_documents, n, dtype=_counting(n_sampled_together))
        self.powers = zeros(5, n, dtype=torch.float64)  # of the sample, around the calibration's centre
        self.extreme = zeros(2 * n).fill_(-torch.inf)  # of each end
        self.histogram = zeros(n, HISTOGRAM_BINS, dtype=_counting(n_sampled))
        self.by_token = zeros(n_frequent, n)
        self.strongest = Strongest(known.strongest.to(device), length=length)
        self.intervals = IntervalExamples(known.full.to(device), length=length)
        self._first_bin = torch.arange(n, device=device, dtype=torch.int32) * HISTOGRAM_BINS

    def add_gates(self, gates: Float[Tensor, "batch pos neuron"], batch: Batch) -> None:
        """Count where, of the sampled positions, the neurons are active: where what is given is above 0."""
        sample = gates.flatten(0, 1).index_select(0, batch.sample)
        self.active.index_add_(0, batch.document_index[batch.sampled_rows], (sample > 0).to(self.active.dtype))

    def add(self, activation: Float[Tensor, "batch pos neuron"], batch: Batch) -> None:
        """Count every row of a batch; a `NotFiniteError` where an activation is no number."""
        activation = activation.float()
        by_row = activation[:, 1:].sum(1)
        require_finite(by_row)
        self.calibration = self.calibration or Calibration.of(activation)
        self.sums.index_add_(0, batch.document_index, by_row)
        if len(self.by_token):
            sums, places = batch.sum_by_token(activation.flatten(0, 1))
            self.by_token[places] += sums
        self._add_sample(activation.flatten(0, 1).index_select(0, batch.sample), self.calibration)

        extremes = Extremes(activation)
        # in place: what stays must not lie among what is freed
        torch.maximum(self.extreme, extremes.scores.amax(0), out=self.extreme)
        self.strongest.add(extremes, batch)
        self.intervals.add(extremes, batch, edges=self.calibration.edges)

    def _add_sample(self, sample: Float[Tensor, "cell neuron"], calibration: Calibration) -> None:
        n = sample.shape[1]
        low, high, centre = (
            torch.from_numpy(each).to(sample.device) for each in (calibration.low, calibration.high, calibration.centre)
        )
        bins = ((sample - low) * (HISTOGRAM_BINS / (high - low))).clamp_(0, HISTOGRAM_BINS - 1).to(torch.int32)
        bins += self._first_bin
        self.histogram += (
            torch.bincount(bins.flatten(), minlength=n * HISTOGRAM_BINS).view(n, -1).to(self.histogram.dtype)
        )
        around = sample - centre
        square = around * around
        powers = (around, square, square * around, square * square)
        self.powers += torch.stack([torch.full_like(centre, len(sample)), *(power.sum(0) for power in powers)])

    @property
    def known(self) -> Known:
        """What this shard, and those it knew of, show to others."""
        return Known(self.strongest.floor.cpu(), self.intervals.full.cpu())

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored: first axis document, frequent token or neuron."""
        n = len(self.histogram)
        own = {
            "sums": self.sums,
            "active": self.active,
            "powers": self.powers,
            "highest": self.extreme[:n],
            "lowest": -self.extreme[n:],
            "histogram": self.histogram,
            "by_token": self.by_token,
        }
        return (
            {name: array.cpu().numpy() for name, array in own.items()}
            | {f"strongest.{name}": array[:n] for name, array in self.strongest.arrays().items()}
            | {f"weakest.{name}": array[n:] for name, array in self.strongest.arrays().items()}
            | {f"interval.{name}": array for name, array in self.intervals.arrays().items()}
        )


def _counting(most: int) -> torch.dtype:
    """The smallest whole numbers to count so far with."""
    return next(dtype for dtype in (torch.uint8, torch.int16, torch.int32) if most <= torch.iinfo(dtype).max)


def central_moments(powers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard deviation (of the sample, n − 1), skewness and kurtosis (3 for a normal distribution) from sums of the
    powers 0 to 4 around any centre, float64 [5, neuron]; the last two are NaN where the activation never varies."""
    number = powers[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second, third, fourth = powers[1:] / number
        variance = np.maximum(second - first**2, 0)
        skewness = (third - 3 * first * second + 2 * first**3) / variance**1.5
        kurtosis = (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2
    varies = variance > 1e-12 * second
    deviation = np.sqrt(variance * number / (number - 1))
    return deviation, np.where(varies, skewness, np.nan), np.where(varies, kurtosis, np.nan)
