"""The head metrics: by hand, by closed form, and against loops over transformers' eager attentions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from analysis.capture import AttentionReading
from analysis.datasets.rows import Rows
from analysis.metrics import HEAD_METRICS, head_metrics
from analysis.schema import DatasetKind, Sizes, SurveySpec
from analysis.statistics.batch import Batch, uniform_attention
from analysis.statistics.documents import mean_and_error
from analysis.statistics.heads import HeadSums, output_gram, output_length
from analysis.survey import measure_rows
from tests import tiny
from tests.oracles import eager_attentions, hidden_states, slow_masses, slow_metric

SIZES = Sizes(n_layers=1, n_heads=1, n_kv_heads=1, d_model=1, d_head=1, d_mlp=1, d_vocab=1)


def laid(rows: list[list[int]]) -> Rows:
    """Rows that are documents of their own."""
    n = len(rows)
    return Rows.of(rows, titles=[f"document {i}" for i in range(n)], documents=range(n), offsets=[0] * n)


def batch_of(rows: list[list[int]]) -> Batch:
    nothing = np.zeros(0, dtype=np.int32)
    indices = range(len(rows))
    return Batch.of(laid(rows), indices, documents=np.arange(len(rows)), frequent=nothing, device=torch.device("cpu"))


def means(pattern: torch.Tensor, kind: DatasetKind, tokens: list[int]) -> dict[str, float]:
    """The metrics of one pattern [dest, src] of one head."""
    sums = HeadSums(kind, SIZES, n_documents=1)
    batch = batch_of([tokens])
    n = len(tokens)
    nothing = torch.zeros(1, 1, n, 1), torch.zeros(1, n, 1, 1)
    scores = pattern.log().clamp(min=torch.finfo(torch.float32).min)[None, None]
    reading = AttentionReading(scores.clone(), pattern[None, None].clone(), *nothing)
    sums.add(0, reading, batch, output_share=torch.full((len(batch.sample), 1), 0.25))
    return {
        key: float(sums.sums[i, 0, 0, 0] / sums.counts[i, 0, 0, 0])
        for i, key in enumerate(sums.keys)
        if sums.counts[i, 0, 0, 0]
    }


def test_metrics_of_a_pattern_worked_out_by_hand() -> None:
    pattern = torch.tensor(
        [
            [1.0, 0, 0, 0, 0],
            [0.5, 0.5, 0, 0, 0],
            [0.25, 0.75, 0, 0, 0],
            [0, 0.125, 0.5, 0.375, 0],
            [0, 0, 0, 0, 1.0],
        ]
    )
    # the token at position 3 stands at 1 too, so 2 follows its duplicate
    found = means(pattern, DatasetKind.NATURAL, [0, 7, 8, 7, 9])
    thirds = [0.125, 0.5, 0.375]
    entropy = -sum(a * math.log(a) for a in thirds)
    assert found.pop("output_norm", 0.25) == 0.25
    assert found == pytest.approx(
        {
            "previous_token": (0.75 + 0.5 + 0) / 3,
            "self": (0.5 + 0 + 0.375 + 1) / 4,
            "first_token": (0.5 + 0.25 + 0 + 0) / 4,
            "duplicate_token": 0.125,
            "induction": 0.5,
            "entropy": (math.log(2) + 0.25 * math.log(4) + 0.75 * math.log(4 / 3) + entropy + 0) / 4,
            "entropy_off_sink": (0 + 0 + entropy + 0) / 4,
            "distance_mean": (0.5 * 1 + (0.25 * 2 + 0.75 * 1) + (0.125 * 2 + 0.5) + 0) / 4,
            "distance_off_sink": (0 + 1 + (0.125 * 2 + 0.5) + 0) / 4,
            "largest_off_sink": 1.0,
        },
        abs=1e-6,
    )


def test_metrics_of_uniform_attention_have_their_closed_forms() -> None:
    n = 101
    uniform = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    mean_reciprocal = sum(1 / (q + 1) for q in range(1, n)) / (n - 1)
    half = list(range(1, 51))
    tokens = [0, *half, *half]
    natural = means(uniform, DatasetKind.NATURAL, tokens)
    assert natural["self"] == pytest.approx(mean_reciprocal)
    assert natural["first_token"] == pytest.approx(mean_reciprocal)
    assert natural["previous_token"] == pytest.approx(sum(1 / (q + 1) for q in range(2, n)) / (n - 2))
    assert natural["entropy"] == pytest.approx(sum(math.log(q + 1) for q in range(1, n)) / (n - 1))
    assert natural["entropy_off_sink"] == pytest.approx(sum(math.log(q) for q in range(1, n)) / (n - 1), rel=1e-5)
    assert natural["distance_mean"] == pytest.approx(sum(q / 2 for q in range(1, n)) / (n - 1))
    assert natural["distance_off_sink"] == pytest.approx(sum((q - 1) / 2 for q in range(1, n)) / (n - 1), rel=1e-5)
    # each token of the second half has one duplicate, 50 earlier, and one token after it
    expected = sum(1 / (q + 1) for q in range(51, 101)) / 50
    assert natural["duplicate_token"] == natural["induction"] == pytest.approx(expected)
    stated = uniform_attention([batch_of([tokens])])
    assert stated == pytest.approx({"duplicate_token": expected, "induction": expected})
    repeated = means(uniform, DatasetKind.REPEATED, tokens)
    assert repeated == pytest.approx({"induction_repeated": expected})


def test_a_perfect_induction_head_scores_one_and_its_neighbours_nothing() -> None:
    half = list(range(1, 51))
    for offset, expected in ((49, 1.0), (50, 0.0), (48, 0.0)):
        pattern = torch.zeros(101, 101)
        for q in range(101):
            pattern[q, max(q - offset, 0)] = 1.0
        assert means(pattern, DatasetKind.REPEATED, [0, *half, *half])["induction_repeated"] == expected
        natural = means(pattern, DatasetKind.NATURAL, [0, *half, *half])
        assert natural["induction"] == expected
        assert natural["duplicate_token"] == (offset == 50)


def test_induction_on_rows_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected rows of 101 tokens, got 7"):
        means(torch.eye(7), DatasetKind.REPEATED, list(range(7)))


def survey_of(model: PreTrainedModel, kind: DatasetKind, rows: list[list[int]]) -> dict[str, np.ndarray]:
    dataset = "repeated-random" if kind is DatasetKind.REPEATED else "sotu"
    n = len(rows)
    spec = SurveySpec("-", "-", dataset, "-", n, 0, in_depth=False, lens_rows=0, shard_rows=n, batch_rows=2)
    shard = measure_rows(model, laid(rows), spec, range(n), None, on_batch=lambda rows_done: None)
    return shard.files()["sums"]


def some_rows(kind: DatasetKind) -> list[list[int]]:
    """Rows with many repeated tokens."""
    random = np.random.default_rng(3)
    lengths = (100, 100, 100) if kind is DatasetKind.REPEATED else (30, 30, 41)
    return [[0, *random.integers(1, 12, n).tolist()] for n in lengths]


@pytest.mark.parametrize("slug", [*tiny.FAMILIES, *tiny.CAPPED])
@pytest.mark.parametrize("kind", list(DatasetKind))
def test_metrics_of_whole_models_equal_loops_over_eager_attentions(slug: str, kind: DatasetKind) -> None:
    model, rows = tiny.unsettle(tiny.build(slug)), some_rows(kind)
    sums = survey_of(model, kind, rows)
    eager = [eager_attentions(model, row) for row in rows]
    for metric in head_metrics(kind):
        if metric.key == "output_norm":
            assert (f"head.sum.{metric.key}" in sums) == (slug not in ("tiny-olmo2", "tiny-gemma2"))
            continue  # below
        mean, error = mean_and_error(sums[f"head.sum.{metric.key}"], sums[f"head.count.{metric.key}"])
        for layer, head in np.ndindex(*mean.shape):
            slow = slow_metric(metric.key, [patterns[layer, head] for patterns in eager], rows)
            tolerance = 5e-5 if metric.high is None else 3e-6
            assert (mean[layer, head], error[layer, head]) == pytest.approx(slow, abs=tolerance), metric.key


@pytest.mark.parametrize("slug", [*tiny.FAMILIES, *tiny.CAPPED])
def test_where_attention_goes_equals_loops_and_adds_up_to_one(slug: str) -> None:
    model, rows = tiny.unsettle(tiny.build(slug)), some_rows(DatasetKind.NATURAL)
    sums = survey_of(model, DatasetKind.NATURAL, rows)
    mean = sums["head.mass"] / sums["head.count.self"][..., None]
    np.testing.assert_allclose(mean.sum(-1), 1, atol=1e-5)
    for document, row in enumerate(rows):
        eager = eager_attentions(model, row)
        for layer, head in np.ndindex(*mean.shape[1:3]):
            np.testing.assert_allclose(mean[document, layer, head], slow_masses(eager[layer, head], row), atol=3e-6)


@pytest.mark.parametrize("slug", [slug for slug in tiny.FAMILIES if slug != "tiny-olmo2"])
def test_the_output_norm_is_that_of_each_heads_own_part_of_the_output(slug: str) -> None:
    model, rows = tiny.unsettle(tiny.build(slug)), some_rows(DatasetKind.NATURAL)
    sums = survey_of(model, DatasetKind.NATURAL, rows)
    found = sums["head.sum.output_norm"].sum(0) / sums["head.count.output_norm"].sum(0)
    blocks = model.transformer.h if slug == "tiny-gpt2" else getattr(model, "gpt_neox", None) or model.model
    blocks = blocks if slug == "tiny-gpt2" else blocks.layers
    shares = []
    for layer, block in enumerate(blocks):
        attention = getattr(block, "attn", None) or getattr(block, "self_attn", None) or block.attention
        out = next(getattr(attention, name) for name in ("c_proj", "o_proj", "dense") if hasattr(attention, name))
        weight = out.weight.detach().double().numpy()
        weight = weight if slug == "tiny-gpt2" else weight.T  # [heads × d_head, d_model]
        n_heads = found.shape[1]
        values: list[list[float]] = [[] for _ in range(n_heads)]
        for index, row in enumerate(rows):
            states = hidden_states(model, row, {"z": out, "before": block})
            parts = states["z"].reshape(len(row), n_heads, -1)
            for position in range(1, len(row)):
                if (position + index) % 8 == 0:
                    length = np.linalg.norm(states["before"][position])
                    for head in range(n_heads):
                        d_head = parts.shape[-1]
                        own = parts[position, head] @ weight[head * d_head : (head + 1) * d_head]
                        values[head].append(np.linalg.norm(own) / length)
        shares.append([np.mean(value) for value in values])
        assert layer < len(found)
    np.testing.assert_allclose(found, shares, rtol=1e-4)


def test_the_length_of_an_output_is_that_of_the_vector_it_never_makes() -> None:
    generator = torch.Generator().manual_seed(0)
    z, w_o = torch.randn(5, 3, 4, generator=generator), torch.randn(3, 16, 4, generator=generator)
    naive = torch.einsum("chd,hmd->chm", z, w_o).norm(dim=-1)
    torch.testing.assert_close(output_length(z, output_gram(w_o)), naive)


def test_every_metric_stays_in_the_range_that_its_table_row_states() -> None:
    random = torch.rand(101, 101, generator=torch.Generator().manual_seed(0)).tril()
    random /= random.sum(-1, keepdim=True)
    half = list(range(1, 51))
    for kind in DatasetKind:
        found = means(random, kind, [0, *half, *half])
        for metric in HEAD_METRICS:
            if metric.dataset_kind is kind:
                assert metric.low <= found[metric.key] <= (math.inf if metric.high is None else metric.high)


def test_the_standard_error_is_that_of_repeated_sampling_of_documents() -> None:
    random = np.random.default_rng(0)
    population_counts = random.integers(5, 50, 4000)
    population_sums = population_counts * (0.3 + 0.1 * random.normal(size=4000))
    means_found, errors = [], []
    for _ in range(400):
        chosen = random.integers(0, 4000, 60)
        mean, error = mean_and_error(population_sums[chosen, None], population_counts[chosen, None])
        means_found.append(mean[0])
        errors.append(error[0])
    assert np.mean(errors) == pytest.approx(np.std(means_found), rel=0.1)


def test_one_document_has_no_standard_error() -> None:
    mean, error = mean_and_error(np.array([[2.0]]), np.array([[4]]))
    assert mean[0] == 0.5
    assert np.isnan(error[0])
