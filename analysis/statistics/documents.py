"""Means over the queries or positions of many documents, and how sure they are. No torch."""

from __future__ import annotations

import numpy as np


def mean_and_error(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ratio of the totals and its standard error over documents, float64 [*parts].

    `sums` and `counts` are [document, *parts]. Documents are the unit that was sampled, so the error is that of a ratio
    of two totals over documents (linearised): √(D/(D−1) · Σ_d (S_d − R n_d)²) / Σ_d n_d. It is NaN where fewer than two
    documents count, and the mean is NaN where none does.
    """
    total, number = sums.sum(0), counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        n_documents = (counts > 0).sum(0)
        squares = ((sums - mean * counts) ** 2).sum(0)
        error = np.sqrt(n_documents / (n_documents - 1) * squares) / number
    return mean, np.where(n_documents > 1, error, np.nan)
