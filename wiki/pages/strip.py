"""Strip plots: one metric of all heads on a line, as a few SVG paths."""

from __future__ import annotations

import dataclasses

import numpy as np

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


def strip_of(values: np.ndarray, *, here: float) -> Strip:
    """The strip plot of flat, finite `values` with the head at `here` marked; lowest value left, highest right."""
    low, high = float(values.min()), float(values.max())
    positions = _place(values, low=low, high=high)
    bins, counts = np.unique(np.round(positions * (BINS - 1)).astype(int), return_counts=True)
    levels = np.searchsorted(LEVELS, counts) + 1
    paths = tuple(
        (int(level), "".join(f"M{_x(position / (BINS - 1))} 6V20" for position in bins[levels == level]))
        for level in np.unique(levels)
    )
    return Strip(paths, _x(float(_place(np.array([here]), low=low, high=high)[0])), low, high)


def _place(values: np.ndarray, *, low: float, high: float) -> np.ndarray:
    """0 for the lowest, 1 for the highest; the middle when all are equal."""
    return np.full(values.shape, 0.5) if low == high else (values - low) / (high - low)


def _x(position: float) -> str:
    return f"{MARGIN + position * (WIDTH - 2 * MARGIN):.1f}"
