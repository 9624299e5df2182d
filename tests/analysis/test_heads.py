"""The six head metrics: by hand, by closed form, and against loops over transformers' eager attentions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analysis.datasets.rows import Rows
from analysis.metrics import HEAD_METRICS, head_metrics
from analysis.schema import DatasetKind, Sizes, SurveySpec
from analysis.statistics.heads import HeadSums
from analysis.survey import measure_rows
from tests import tiny
from tests.oracles import eager_attentions, slow_metric

NATURAL = head_metrics(DatasetKind.NATURAL)
SIZES = Sizes(n_layers=1, n_heads=1, n_kv_heads=1, d_model=1, d_head=1, d_mlp=1, d_vocab=1)


def means(pattern: torch.Tensor, kind: DatasetKind) -> dict[str, float]:
    """The metrics of one pattern [dest, src] of one head."""
    sums = HeadSums(head_metrics(kind), SIZES)
    sums.add(0, pattern[None, None])
    return {key: float(sums.sums[key][0, 0] / sums.counts[key][0]) for key in sums.sums}


def test_metrics_of_a_pattern_worked_out_by_hand() -> None:
    pattern = torch.tensor([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.75, 0, 0], [0, 0, 0, 1.0]])
    assert means(pattern, DatasetKind.NATURAL) == pytest.approx(
        {
            "previous_token": (0.75 + 0) / 2,
            "self": (0.5 + 0 + 1) / 3,
            "first_token": (0.5 + 0.25 + 0) / 3,
            "entropy": (math.log(2) + 0.25 * math.log(4) + 0.75 * math.log(4 / 3) + 0) / 3,
            "distance_mean": (0.5 * 1 + (0.25 * 2 + 0.75 * 1) + 0) / 3,
        }
    )


def test_metrics_of_uniform_attention_have_their_closed_forms() -> None:
    n = 101
    uniform = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    mean_reciprocal = sum(1 / (q + 1) for q in range(1, n)) / (n - 1)
    natural = means(uniform, DatasetKind.NATURAL)
    assert natural["self"] == pytest.approx(mean_reciprocal)
    assert natural["first_token"] == pytest.approx(mean_reciprocal)
    assert natural["previous_token"] == pytest.approx(sum(1 / (q + 1) for q in range(2, n)) / (n - 2))
    assert natural["entropy"] == pytest.approx(sum(math.log(q + 1) for q in range(1, n)) / (n - 1))
    assert natural["distance_mean"] == pytest.approx(sum(q / 2 for q in range(1, n)) / (n - 1))
    repeated = means(uniform, DatasetKind.REPEATED)
    assert repeated == pytest.approx({"induction_repeated": sum(1 / (q + 1) for q in range(51, 101)) / 50})


def test_a_perfect_induction_head_scores_one_and_its_neighbours_nothing() -> None:
    for offset, expected in ((49, 1.0), (50, 0.0), (48, 0.0)):
        pattern = torch.zeros(101, 101)
        for q in range(101):
            pattern[q, max(q - offset, 0)] = 1.0
        assert means(pattern, DatasetKind.REPEATED)["induction_repeated"] == expected


def test_induction_on_rows_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected rows of 101 tokens, got 7"):
        means(torch.eye(7), DatasetKind.REPEATED)


@pytest.mark.parametrize("slug", tiny.FAMILIES)
@pytest.mark.parametrize("kind", list(DatasetKind))
def test_metrics_of_whole_models_equal_loops_over_eager_attentions(slug: str, kind: DatasetKind) -> None:
    model = tiny.build(slug)
    random = np.random.default_rng(3)
    rows = [[0, *random.integers(1, tiny.VOCABULARY, 100 if kind is DatasetKind.REPEATED else n)] for n in (30, 30, 41)]
    dataset = "repeated-random" if kind is DatasetKind.REPEATED else "sotu"
    spec = SurveySpec(slug, "-", dataset, "-", rows=3, pattern_rows=1, shard_rows=3, batch_rows=2)
    laid = Rows.of(rows, titles=["a", "b", "c"], documents=range(3), offsets=[0] * 3)
    arrays = measure_rows(model, laid, spec, range(3), on_batch=lambda rows_done: None)
    eager = [eager_attentions(model, row) for row in rows]
    for metric in head_metrics(kind):
        found = arrays[f"sum.{metric.key}"] / arrays[f"count.{metric.key}"][:, None]
        for layer, head in np.ndindex(*found.shape):
            slow = slow_metric(metric.key, [patterns[layer, head] for patterns in eager])
            assert found[layer, head] == pytest.approx(slow, abs=2e-5 if metric.high is None else 2e-6)
    # kept patterns are rounded to 255 steps
    assert np.abs(arrays["pattern.0"] / 255 - eager[0]).max() <= 0.5 / 255 + 1e-6


def test_every_metric_stays_in_the_range_that_its_table_row_states() -> None:
    random = torch.rand(101, 101, generator=torch.Generator().manual_seed(0)).tril()
    random /= random.sum(-1, keepdim=True)
    for metric in HEAD_METRICS:
        value = means(random, metric.dataset_kind)[metric.key]
        assert metric.low <= value <= (math.inf if metric.high is None else metric.high)
