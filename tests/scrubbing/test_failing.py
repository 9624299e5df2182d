"""The worst inputs of an experiment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.scrubbing.failing import failure, worst_samples
from analysis.scrubbing.further import samples_of
from tests.scrubbing.saying import node
from tests.scrubbing.subjects import a_subject, an_experiment, decode

NODES = [
    node("out", other="exact"),
    node("late", "out", "L2H0", "L2H1", sampler="count_test", via=["L2.mlp"]),
    node("by position", "out", "L1H0", sampler="horizon_class", via=["L1.mlp", "L2.mlp"]),
]


@pytest.fixture(scope="module")
def subject():
    return a_subject()


@pytest.fixture(scope="module")
def said(subject):
    return dataclasses.replace(an_experiment(*NODES, n=80).hypothesis, dataset_hash=subject.dataset_hash)


def test_the_worst_samples_are_those_whose_loss_rises_most(subject, said) -> None:
    scrubbed = subject.scrub(said)
    samples = samples_of(subject, scrubbed, subject.ends(said, scrubbed.plan))
    worst = worst_samples(subject, scrubbed, samples, decode=decode, count=5)
    rises = sorted(((samples.scrubbed[i] - samples.model[i]) for i in range(80)), reverse=True)[:5]
    assert [of["losses"]["scrubbed"] - of["losses"]["model"] for of in worst] == pytest.approx(rises)
    first = worst[0]
    assert set(first["text"]) <= set("[$()")
    assert len(first["text"]) == subject.rows.mask[first["row"]].sum()
    drawn = {of["draw"]: of for of in first["swapped_in"]}
    assert set(drawn) == {"out (other)", "out/late", "out/by position"}
    assert drawn["out/late"]["row"] == next(
        rows[first["sample"]] for draw, rows in scrubbed.plan.rows.items() if str(draw) == "out/late"
    )
    assert len(drawn["out/by position"]["rows"]) == 42


def test_what_mends_a_failure_is_the_node_made_exact_on_that_sample(subject, said) -> None:
    scrubbed = subject.scrub(said)
    samples = samples_of(subject, scrubbed, subject.ends(said, scrubbed.plan))
    worst = worst_samples(subject, scrubbed, samples, decode=decode, count=3)
    nodes = [NODES[0], {**NODES[1], "sampler": "exact"}, NODES[2]]
    other = dataclasses.replace(an_experiment(*nodes, n=80).hypothesis, dataset_hash=subject.dataset_hash)
    losses = subject.scrub(other).scored.losses
    for of in worst:
        expected = samples.scrubbed[of["sample"]] - losses[of["sample"]]
        assert of["mended_by"]["out/late"] == pytest.approx(expected)


def test_of_a_logit_difference_what_falls_fails(subject, said) -> None:
    scrubbed = subject.scrub(said)
    samples = samples_of(subject, scrubbed, subject.ends(said, scrubbed.plan))
    fails = failure(samples, higher_is_better=True)
    np.testing.assert_allclose(fails, -failure(samples, higher_is_better=False))
