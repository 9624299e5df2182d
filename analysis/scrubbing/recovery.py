"""How much of the loss a scrub leaves: the recovered share, never clamped, with its error and interval. No torch.

recovered = (E_scrubbed − E_0) / (E_model − E_0). Reference documents, not tokens or rows, are what is resampled, and
both end points with them: a sample brings its three losses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

RESAMPLED = 2_000
INTERVAL = 0.95
Losses = Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over samples, and its standard error over documents (None: of a single document)."""

    value: float
    error: float | None


@dataclasses.dataclass(frozen=True)
class Recovered:
    """A recovered share: 1 is the model's own loss, 0 the end point's; below 0 and above 1 are possible."""

    value: float | None
    error: float | None = None  # standard error over documents, by linearisation
    low: float | None = None  # of the interval that holds 95 % of resampled shares
    high: float | None = None
    absent: str = ""  # why there is no value


def mean_of(values: Losses, documents: Int[np.ndarray, " n"]) -> Mean:
    """A mean over samples; samples of one document are not independent."""
    total = float(values.mean())
    return Mean(total, _error_of_sum(values - total, documents, scale=float(len(values))))


def recover(
    scrubbed: Losses, model: Losses, nothing: Losses, *, documents: Int[np.ndarray, " n"], seed: int
) -> Recovered:
    """The share that a scrub recovers of what lies between the end points."""
    between = model - nothing
    distance = float(between.mean())
    if distance == 0:
        return Recovered(None, absent="the model's loss and that of the end point are equal on these samples")
    value = float((scrubbed - nothing).mean() / distance)
    rest = (scrubbed - nothing) - value * between
    of_ratio = _error_of_sum(rest, documents, scale=float(len(between)) * abs(distance))
    if of_ratio is None:
        return Recovered(value)
    sums = [sum_by_document(losses, documents) for losses in (scrubbed, model, nothing)]
    shares = _resampled_shares(sums[0], sums[1], sums[2], seed=seed)
    low, high = np.quantile(shares, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Recovered(value, of_ratio, float(low), float(high))


def difference(
    first: Losses,
    second: Losses,
    model: Losses,
    nothing: Losses,
    *,
    documents: Int[np.ndarray, " n"],
    seed: int,
) -> Recovered:
    """What the first of two scrubs of the same samples recovers more than the second, as a share between the same end
    points."""
    return recover(first - second + nothing, model, nothing, documents=documents, seed=seed)


def sum_by_document(values: Losses, documents: Int[np.ndarray, " n"]) -> Float[np.ndarray, " documents"]:
    """The sum of a document's samples, for each document there is."""
    _, number = np.unique(documents, return_inverse=True)
    return np.bincount(number, weights=values)


def _error_of_sum(rests: Losses, documents: Int[np.ndarray, " n"], *, scale: float) -> float | None:
    """The standard error of a sum of rests about 0 that is divided by `scale`."""
    sums = sum_by_document(rests, documents)
    if len(sums) < 2:
        return None
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / scale)


def _resampled_shares(scrubbed: np.ndarray, model: np.ndarray, nothing: np.ndarray, *, seed: int) -> np.ndarray:
    """The share in each of `RESAMPLED` draws of as many documents."""
    shares = []
    sums = np.stack([scrubbed, model, nothing], axis=1)
    for times in _times_drawn(len(scrubbed), seed=seed):
        drawn = times @ sums
        with np.errstate(divide="ignore", invalid="ignore"):
            shares.append((drawn[:, 0] - drawn[:, 2]) / (drawn[:, 1] - drawn[:, 2]))
    together = np.concatenate(shares)
    return together[np.isfinite(together)]


def _times_drawn(n_documents: int, *, seed: int) -> Iterator[np.ndarray]:
    """How often each document is drawn, [draws, documents], some draws at a time."""
    generator = np.random.default_rng([seed, n_documents])
    at_once = max(1, min(RESAMPLED, 4_000_000 // n_documents))
    for start in range(0, RESAMPLED, at_once):
        n = min(at_once, RESAMPLED - start)
        chosen = generator.integers(0, n_documents, (n, n_documents))
        counts = np.bincount((chosen + np.arange(n)[:, None] * n_documents).ravel(), minlength=n * n_documents)
        yield counts.reshape(n, n_documents).astype(np.float64)
