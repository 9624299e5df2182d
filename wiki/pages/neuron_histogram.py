"""How often a neuron's activation is how large: bars on a logarithmic scale."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from analysis.schema import Component
from wiki.experiments.results import SurveyResult

from .numbers import percent, short

WIDTH, HEIGHT = 640, 150  # of the bars, in units of the drawing
LEFT, TOP, BOTTOM, RIGHT = 58, 14, 30, 36  # room for axes


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width; the first and the last bin also hold what is outside."""

    counts: np.ndarray  # [bin]
    low: float
    high: float

    @property
    def edges(self) -> np.ndarray:
        return np.linspace(self.low, self.high, len(self.counts) + 1)

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def to_json(self) -> dict[str, Any]:
        return {"counts": self.counts.tolist(), "low": self.low, "high": self.high}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A histogram as a template draws it."""

    bars: str  # path data
    zero: str  # x of activation 0; empty where it is outside
    x_ticks: list[tuple[str, str]]  # x and words
    y_ticks: list[tuple[str, str]]  # y and words
    sentence: str
    right: int = LEFT + WIDTH
    floor: int = TOP + HEIGHT
    width: int = LEFT + WIDTH + RIGHT
    height: int = TOP + HEIGHT + BOTTOM
    left: int = LEFT
    top: int = TOP


def histogram_of(result: SurveyResult, component: Component) -> Histogram:
    low, high = result.of_component("range", component).tolist()
    return Histogram(result.of_component("histogram", component), low, high)


def draw(histogram: Histogram) -> Drawing:
    """Bars whose height is the logarithm of 1 + count."""
    counts, n_bins = histogram.counts, len(histogram.counts)
    highest = np.log1p(max(1, int(counts.max())))
    heights = HEIGHT * np.log1p(counts) / highest
    step = WIDTH / n_bins
    floor = TOP + HEIGHT
    bars = "".join(
        f"M{LEFT + i * step + 0.5:.1f} {floor}v{-height:.1f}h{step - 1:.1f}v{height:.1f}z"
        for i, height in enumerate(heights.tolist())
        if height > 0
    )
    span = histogram.high - histogram.low
    zero = LEFT + WIDTH * -histogram.low / span if histogram.low < 0 < histogram.high else None
    x_ticks = [(f"{LEFT}", short(histogram.low)), (f"{LEFT + WIDTH}", short(histogram.high))]
    if zero is not None:
        x_ticks.insert(1, (f"{zero:.1f}", "0"))
    y_ticks = [
        (f"{floor - HEIGHT * np.log1p(10**power) / highest:.1f}", f"{10**power:,}")
        for power in range(9)
        if np.log1p(10**power) <= highest
    ]
    return Drawing(bars, "" if zero is None else f"{zero:.1f}", x_ticks, y_ticks, _sentence(histogram))


def _sentence(histogram: Histogram) -> str:
    fullest = int(histogram.counts.argmax())
    low, high = histogram.edges[fullest : fullest + 2].tolist()
    outer = int(histogram.counts[0] + histogram.counts[-1])
    return (
        f"{histogram.n:,} positions, one in eight, in {len(histogram.counts)} bins. The fullest bin, {short(low)} to "
        f"{short(high)}, holds {percent(histogram.counts[fullest] / max(1, histogram.n))}; the first and the last bin, "
        f"which also hold what is outside, hold {outer:,} positions."
    )
