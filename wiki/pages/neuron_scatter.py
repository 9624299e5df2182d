"""Two metrics of a layer's neurons against each other."""

from __future__ import annotations

import dataclasses

import numpy as np

from analysis.metrics import Metric

from .numbers import metric_value

WIDTH, HEIGHT = 640, 400
LEFT, TOP, RIGHT, BOTTOM = 64, 14, 16, 46
# An axis is logarithmic where all values are above 0 and the highest is so many times the lowest.
LOGARITHMIC = 50


@dataclasses.dataclass(frozen=True)
class Axis:
    """One metric along one side of the scatter."""

    metric: Metric
    low: float
    high: float
    logarithmic: bool

    @property
    def low_text(self) -> str:
        return metric_value(self.metric, self.low)

    @property
    def high_text(self) -> str:
        return metric_value(self.metric, self.high)

    def place(self, values: np.ndarray) -> np.ndarray:
        """0 for the lowest value, 1 for the highest."""
        low, high = self.low, self.high
        if self.logarithmic:
            values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
        return np.full(values.shape, 0.5) if low == high else (values - low) / (high - low)


@dataclasses.dataclass(frozen=True)
class Scatter:
    """What the page says of the scatter; the points are bytes that the page's element fetches."""

    x: Axis
    y: Axis
    n: int
    correlation: float  # of ranks; not a number where an axis never varies

    @property
    def sentence(self) -> str:
        correlation = "" if np.isnan(self.correlation) else f" Rank correlation {self.correlation:.2f}."
        return (
            f"{self.n:,} neurons; {self.x.metric.label} from {self.x.low_text} to {self.x.high_text}, "
            f"{self.y.metric.label} from {self.y.low_text} to {self.y.high_text}.{correlation} "
            "The table below has every figure."
        )


def scatter_of(values: dict[str, np.ndarray], *, x: Metric, y: Metric) -> Scatter | None:
    """`None` where no neuron has both values."""
    both = np.isfinite(values[x.key]) & np.isfinite(values[y.key])
    if not both.any():
        return None
    first, second = values[x.key][both], values[y.key][both]
    return Scatter(_axis(x, first), _axis(y, second), int(both.sum()), _rank_correlation(first, second))


def _axis(metric: Metric, values: np.ndarray) -> Axis:
    low, high = float(values.min()), float(values.max())
    return Axis(metric, low, high, logarithmic=low > 0 and high > LOGARITHMIC * low)


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of places in the order; ties keep the order of neurons, which among thousands changes nothing seen."""
    places = [np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float) for values in (first, second)]
    if any(np.ptp(values) == 0 for values in (first, second)):
        return float("nan")
    return float(np.corrcoef(places[0], places[1])[0, 1])


def points(scatter: Scatter, values: dict[str, np.ndarray]) -> str:
    """Every neuron as a small square: path data for a drawing of `WIDTH` by `HEIGHT` with its margins."""
    first, second = values[scatter.x.metric.key], values[scatter.y.metric.key]
    both = np.isfinite(first) & np.isfinite(second)
    x = LEFT + WIDTH * scatter.x.place(first[both].astype(float))
    y = TOP + HEIGHT * (1 - scatter.y.place(second[both].astype(float)))
    return "".join(f"M{a:.1f} {b:.1f}h2v2h-2z" for a, b in zip((x - 1).tolist(), (y - 1).tolist(), strict=True))
