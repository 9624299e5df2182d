"""Shades: a magnitude from 0 to 1 as one of the CSS classes `a0` to `a20`."""

from __future__ import annotations

import numpy as np

N_LEVELS = 20


def attention_levels(weights: np.ndarray) -> np.ndarray:
    """Shades of attention weights in 0..1; the square root keeps small weights visible."""
    return np.rint(N_LEVELS * np.sqrt(np.clip(weights, 0, 1))).astype(int)


def linear_levels(values: np.ndarray, *, low: float, high: float) -> np.ndarray:
    """Shades of values between `low` and `high`; -1 where the value is not a number."""
    scaled = np.zeros(values.shape) if low == high else (values - low) / (high - low)
    return np.where(np.isfinite(values), np.rint(N_LEVELS * np.nan_to_num(scaled)), -1).astype(int)
