"""Recovered shares against slow ways of saying the same: loops over documents, and distributions that are known."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest

from analysis.scrubbing import recovery
from analysis.scrubbing.recovery import difference, mean_of, recover

generator = np.random.default_rng(3)
N = 120
DOCUMENTS = np.repeat(np.arange(40), 3)[generator.permutation(N)]
OF_DOCUMENT = generator.normal(size=40)[DOCUMENTS]
MODEL = 0.2 + 0.05 * OF_DOCUMENT + 0.05 * generator.normal(size=N)
NOTHING = 2.0 + 0.3 * OF_DOCUMENT + 0.2 * generator.normal(size=N)
SCRUBBED = 0.6 + 0.2 * OF_DOCUMENT + 0.1 * generator.normal(size=N)


def share(scrubbed: list[float], model: list[float], nothing: list[float]) -> float:
    zero = statistics.fmean(nothing)
    return (statistics.fmean(scrubbed) - zero) / (statistics.fmean(model) - zero)


def resampled_by_hand(times: int) -> list[float]:
    """Shares of documents drawn one by one, each with all its samples, all three losses together."""
    chance = random.Random(8)  # noqa: S311 (no secret)
    samples = [[i for i in range(N) if DOCUMENTS[i] == document] for document in range(40)]
    found = []
    for _ in range(times):
        drawn = [i for _ in range(40) for i in samples[chance.randrange(40)]]
        found.append(share(*([float(of[i]) for i in drawn] for of in (SCRUBBED, MODEL, NOTHING))))
    return found


def test_the_share_its_error_and_its_interval_are_those_of_resampling_by_hand() -> None:
    recovered = recover(SCRUBBED, MODEL, NOTHING, documents=DOCUMENTS, seed=0)
    assert recovered.value == pytest.approx(share(list(SCRUBBED), list(MODEL), list(NOTHING)))
    by_hand = sorted(resampled_by_hand(3_000))
    spread = statistics.stdev(by_hand)
    assert recovered.error == pytest.approx(spread, rel=0.1)
    assert recovered.low == pytest.approx(by_hand[75], abs=0.15 * spread)
    assert recovered.high == pytest.approx(by_hand[-75], abs=0.15 * spread)


def test_samples_of_one_document_are_not_counted_as_many() -> None:
    """Every sample four times, of the same document, says no more than once."""
    once = recover(SCRUBBED, MODEL, NOTHING, documents=DOCUMENTS, seed=0)
    four = recover(*(np.tile(of, 4) for of in (SCRUBBED, MODEL, NOTHING)), documents=np.tile(DOCUMENTS, 4), seed=0)
    assert four.value == pytest.approx(once.value)
    assert four.error == pytest.approx(once.error)
    alone = recover(*(np.tile(of, 4) for of in (SCRUBBED, MODEL, NOTHING)), documents=np.arange(4 * N), seed=0)
    assert alone.error < 0.7 * once.error


def test_shares_are_never_clamped() -> None:
    for factor in (-0.5, 1.5):
        scrubbed = NOTHING + factor * (MODEL - NOTHING)
        recovered = recover(scrubbed, MODEL, NOTHING, documents=DOCUMENTS, seed=0)
        assert recovered.value == pytest.approx(factor)
        assert recovered.error == pytest.approx(0, abs=1e-12)
        assert recovered.low == pytest.approx(factor)


def test_a_difference_is_paired() -> None:
    better = SCRUBBED - 0.1
    found = difference(better, SCRUBBED, MODEL, NOTHING, documents=DOCUMENTS, seed=0)
    shares = [recover(of, MODEL, NOTHING, documents=DOCUMENTS, seed=0) for of in (better, SCRUBBED)]
    assert found.value == pytest.approx(shares[0].value - shares[1].value)
    assert found.low > 0
    assert found.error < 0.2 * shares[0].error


def test_end_points_that_are_equal_give_no_share() -> None:
    recovered = recover(SCRUBBED, MODEL, MODEL, documents=DOCUMENTS, seed=0)
    assert recovered.value is None
    assert "are equal" in recovered.absent


def test_the_error_of_a_mean_is_that_of_means_of_documents() -> None:
    means = [statistics.fmean(SCRUBBED[document == DOCUMENTS].tolist()) for document in range(40)]
    expected = statistics.stdev(means) / 40**0.5
    assert mean_of(SCRUBBED, DOCUMENTS).error == pytest.approx(expected, rel=1e-9)


def test_one_document_has_no_error() -> None:
    assert mean_of(SCRUBBED, np.zeros(N, dtype=int)).error is None


def test_intervals_hold_what_they_say() -> None:
    """Of experiments drawn from a known distribution 95 in 100 intervals hold the true share, within 3 SE."""
    draws, held = np.random.default_rng(5), 0
    for trial in range(150):
        of_document = draws.normal(size=60)
        model, nothing = 0.2 + 0.1 * of_document, 2.2 + 0.5 * draws.normal(size=60)
        scrubbed = 0.7 + 0.3 * of_document + 0.2 * draws.normal(size=60)
        recovered = recover(scrubbed, model, nothing, documents=np.arange(60), seed=trial)
        held += recovered.low <= 0.75 <= recovered.high
    assert abs(held / 150 - recovery.INTERVAL) <= 3 * (0.95 * 0.05 / 150) ** 0.5 + 0.01
