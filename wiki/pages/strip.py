"""Strip plots: one metric of all heads on a line, as a few SVG paths."""

from __future__ import annotations

import dataclasses

import numpy as np
from django.utils.safestring import SafeString, mark_safe

WIDTH, MARGIN, BINS = 200, 4, 96
# Up to so many heads in a bin are drawn at this level of darkness; level n is CSS class `s<n>`.
LEVELS = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class Strip:
    """What a template draws: paths of ticks by darkness, and where this head is."""

    paths: tuple[tuple[int, str], ...]  # (level, path data)
    here: str  # x of this head
    low: float
    high: float

    def marking(self, value: float) -> Strip:
        """The same with the head of this value marked."""
        place = 0.5 if self.low == self.high else (value - self.low) / (self.high - self.low)
        return dataclasses.replace(self, here=_x(place))

    @property
    def svg(self) -> SafeString:
        """The paths of all heads."""
        return mark_safe("".join(f'<path class="s{level}" d="{path}"/>' for level, path in self.paths))  # noqa: S308


def strip_of(values: np.ndarray) -> Strip:
    """The strip plot of flat, finite `values`, nothing marked; lowest value left, highest right."""
    low, high = float(values.min()), float(values.max())
    positions = _place(values, low=low, high=high)
    counts = np.bincount(np.rint(positions * (BINS - 1)).astype(int), minlength=BINS)
    ticks: dict[int, list[str]] = {}
    for tick, count, level in zip(_TICKS, counts.tolist(), np.searchsorted(LEVELS, counts).tolist(), strict=True):
        if count:
            ticks.setdefault(level + 1, []).append(tick)
    paths = tuple((level, "".join(ticks[level])) for level in sorted(ticks))
    return Strip(paths, "", low, high)


def _place(values: np.ndarray, *, low: float, high: float) -> np.ndarray:
    """0 for the lowest, 1 for the highest; the middle when all are equal."""
    return np.full(values.shape, 0.5) if low == high else (values - low) / (high - low)


def _x(position: float) -> str:
    return f"{MARGIN + position * (WIDTH - 2 * MARGIN):.1f}"


# The line of each bin.
_TICKS = [f"M{_x(i / (BINS - 1))} 6V20" for i in range(BINS)]
