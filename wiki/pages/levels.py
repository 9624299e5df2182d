"""Shades: a magnitude from 0 to 1 as one of the CSS classes `a0` to `a20`; of either sign, below 0 `m1` to `m20`."""

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


def signed_levels(values: np.ndarray, *, largest: float) -> np.ndarray:
    """Shades of values of either sign, from −`N_LEVELS` to `N_LEVELS`, which stands for `largest` and more; the square
    root keeps small values visible."""
    scaled = np.clip(np.abs(values) / largest, 0, 1) if largest > 0 else np.zeros(values.shape)
    return (np.sign(values) * np.rint(N_LEVELS * np.sqrt(scaled))).astype(int)


def level_class(level: int) -> str:
    """The CSS class of a signed level."""
    return f"m{-level}" if level < 0 else f"a{level}"
