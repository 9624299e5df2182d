"""Where a value stands among the same metric of all heads of a model."""

from __future__ import annotations

import numpy as np


def ranks_from_top(values: np.ndarray) -> np.ndarray:
    """1 + the number of strictly greater values, for each value; 0 where the value is not a number.

    Equal values share a rank, and the rank after them counts all of them: 3, 2, 2, 1 rank 1, 2, 2, 4.
    """
    counted = np.sort(values[np.isfinite(values)])
    ranks = 1 + counted.size - np.searchsorted(counted, values, side="right")
    return np.where(np.isfinite(values), ranks, 0).astype(int)


def ranks_from_bottom(values: np.ndarray) -> np.ndarray:
    """1 + the number of strictly smaller values, for each value; 0 where the value is not a number."""
    return ranks_from_top(-values)


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st, …, 1,234th"""
    if rank % 100 in (11, 12, 13):
        return f"{rank:,}th"
    return f"{rank:,}{({1: 'st', 2: 'nd', 3: 'rd'}).get(rank % 10, 'th')}"
