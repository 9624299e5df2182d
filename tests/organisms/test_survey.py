"""Surveys of models that attend both ways, or have no MLP: by loops over eager attention; and what is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.datasets.table import read_rows
from analysis.datasets.task import Split
from analysis.datasets.tasks.brackets import make_rows
from analysis.families import mass_classes
from analysis.metrics import HEAD_METRICS, LAYER_METRICS, NEURON_METRICS
from analysis.models import load_model, model_path
from analysis.prompt import PromptError, measure_prompt, tokens_of
from analysis.schema import DatasetKind, PromptSpec, WeightsSpec
from analysis.store import Artifact, open_artifact, prompt_path, survey_path, weights_path
from tests.oracles import eager_attentions, slow_metric

from .measured import Measured

# What follows from where attention may go is absent where it goes both ways.
MEASURED_BOTH_WAYS = (
    "previous_token", "first_token", "self", "entropy", "entropy_off_sink", "largest_off_sink",
)  # fmt: skip


def survey_of(measured: Measured, dataset: str) -> Artifact:
    return open_artifact(survey_path(measured.store, measured.specs[dataset].hash))


def rows_of(measured: Measured, dataset: str) -> list[list[int]]:
    spec = measured.specs[dataset]
    model = open_artifact(model_path(measured.store, spec.model))
    rows = read_rows(measured.store, model, dataset, expected_hash=spec.dataset_hash)
    return [rows[row].tolist() for row in range(spec.rows)]


@pytest.fixture(scope="module")
def eager(brackets: Measured) -> tuple[list[list[int]], list[np.ndarray]]:
    """The rows of the survey, and each one's patterns [layer, head, dest, src]."""
    spec = brackets.specs["bracket-strings"]
    model = load_model(brackets.store, spec.model, expected_hash=spec.model_hash, device="cpu")
    rows = rows_of(brackets, "bracket-strings")
    return rows, [eager_attentions(model, row) for row in rows]


def test_strings_end_where_they_end_and_are_of_the_split_that_nothing_was_trained_on(brackets: Measured) -> None:
    rows = rows_of(brackets, "bracket-strings")
    assert {(row[0], row[-1]) for row in rows} == {(0, 2)}
    assert {token for row in rows for token in row[1:-1]} == {3, 4}
    assert [len(row) for row in rows] == sorted(len(row) for row in rows)
    assert {len(row) % 2 for row in rows} == {0}
    trained = {tuple(row[mask]) for row, mask in _trained()}
    assert not trained & {tuple(row) for row in rows}


def _trained() -> list[tuple[np.ndarray, np.ndarray]]:
    some = make_rows(Split.SEARCH, n=5000, seed=0)
    return list(zip(some.tokens, some.mask, strict=True))


@pytest.mark.parametrize("key", MEASURED_BOTH_WAYS)
def test_figures_of_heads_equal_loops_over_eager_attention(
    brackets: Measured, eager: tuple[list[list[int]], list[np.ndarray]], key: str
) -> None:
    rows, patterns = eager
    found = survey_of(brackets, "bracket-strings").read(f"head.{key}", file="summary")
    for layer, head in ((0, 0), (1, 1), (2, 0)):
        slow, _ = slow_metric(key, [pattern[layer, head] for pattern in patterns], rows)
        assert found[layer, head] == pytest.approx(slow, rel=1e-3, abs=1e-4)


def test_the_mass_is_divided_by_where_a_key_is(
    brackets: Measured, eager: tuple[list[list[int]], list[np.ndarray]]
) -> None:
    found = survey_of(brackets, "bracket-strings").read("head.mass", file="summary")
    names = [each.value for each in mass_classes("bracket_classifier")]
    assert names == ["first token", "self", "previous token", "next token", "later tokens", "other"]
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    totals, queries = np.zeros((3, 2, 6)), 0
    for pattern in eager[1]:
        n = pattern.shape[-1]
        queries += n - 1
        for q in range(1, n):
            for k in range(n):
                place = 0 if k == 0 else {0: 1, -1: 2, 1: 3}.get(k - q, 4 if k > q else 5)
                totals[:, :, place] += pattern[:, :, q, k]
    np.testing.assert_allclose(found, totals / queries, atol=1e-4)
    assert (found[..., 4] > 0.05).all()


def test_the_tokens_that_are_looked_at_are_counted_by_all_other_queries(
    brackets: Measured, eager: tuple[list[list[int]], list[np.ndarray]]
) -> None:
    artifact = survey_of(brackets, "bracket-strings")
    sums, counts = {2: 0.0, 3: 0.0, 4: 0.0}, {2: 0, 3: 0, 4: 0}
    for row, pattern in zip(*eager, strict=True):
        for k in range(1, len(row)):
            received = [pattern[1, 0, q, k] for q in range(1, len(row)) if q != k]
            sums[row[k]] += sum(received) / len(received)
            counts[row[k]] += 1
    tokens, means = (artifact.read(f"head.key_{name}", 0, file="layer-1").tolist() for name in ("tokens", "means"))
    found = {token: mean for token, mean in zip(tokens, means, strict=True) if token >= 0}
    assert found == pytest.approx({token: sums[token] / counts[token] for token in sums}, rel=1e-3)


def test_what_has_no_meaning_for_a_classifier_that_attends_both_ways_is_absent_with_a_reason(
    brackets: Measured,
) -> None:
    meta = survey_of(brackets, "bracket-strings").meta
    absent = {"induction", "duplicate_token", "distance_mean", "distance_off_sink", "lens_agreement", "lens_divergence"}
    assert {key for key in meta["absent"] if key not in ("induction_repeated", "ov_copying")} == absent
    of_heads = {metric.key for metric in HEAD_METRICS if metric.dataset_kind is DatasetKind.NATURAL}
    measured = {name.partition(".")[2] for name in meta["metrics"] if name.startswith("head.")}
    assert measured == of_heads - absent == {*MEASURED_BOTH_WAYS, "output_norm"}
    assert all(reason.startswith("not measured: ") and reason.endswith(".") for reason in meta["absent"].values())
    assert "uniform" not in meta
    assert meta["causal"] is False


def test_a_survey_of_attention_alone_has_every_figure_of_heads_and_none_of_neurons(attention: Measured) -> None:
    meta = survey_of(attention, "sotu").meta
    names = set(meta["metrics"])
    assert {f"head.{metric.key}" for metric in HEAD_METRICS if metric.dataset_kind is DatasetKind.NATURAL} <= names
    assert {f"layer.{metric.key}" for metric in LAYER_METRICS} - names == {"layer.mlp_written"}
    assert not {f"neuron.{metric.key}" for metric in NEURON_METRICS} & names
    assert set(meta["absent"]) == {"mlp_written"}
    assert meta["causal"] is True
    assert not [name for name in survey_of(attention, "sotu").names(file="layer-0") if name.startswith("neuron.")]


def test_the_logit_lens_of_attention_alone_is_that_of_its_layers(attention: Measured) -> None:
    artifact = survey_of(attention, "sotu")
    agreement = artifact.read("layer.lens_agreement", file="summary")
    assert agreement[-1] == 1
    spec = attention.specs["sotu"]
    model = load_model(attention.store, spec.model, expected_hash=spec.model_hash, device="cpu")
    rows = torch.tensor(rows_of(attention, "sotu"))
    with torch.no_grad():
        out = model(rows, output_hidden_states=True)
        first = model.lm_head(model.model.norm(out.hidden_states[1]))
    at = [31, 63, 95, 127]
    expected = (first.argmax(-1) == out.logits.argmax(-1))[:, at].double().mean()
    assert agreement[0] == pytest.approx(float(expected))


def test_weights_say_of_each_model_what_it_has(brackets: Measured, attention: Measured) -> None:
    def names(measured: Measured) -> tuple[set[str], dict[str, str]]:
        spec: WeightsSpec = measured.weights
        artifact = open_artifact(weights_path(measured.store, spec.hash))
        return set(artifact.names(file="layer-1")) | set(artifact.names(file="summary")), artifact.meta["absent"]

    of_brackets, absent = names(brackets)
    assert {
        "head.qk_tokens",
        "head.v_composition",
        "neuron.input_tokens",
        "neuron.nearest_output_neurons",
    } <= of_brackets
    assert not {"head.ov_tokens", "ov_copying", "neuron.promoted_tokens"} & of_brackets
    assert {"ov_copying", "ov_tokens", "promoted_tokens"} <= set(absent)
    of_attention, absent = names(attention)
    assert {"head.ov_tokens", "ov_copying", "head.qk_tokens"} <= of_attention
    assert not [name for name in of_attention if name.startswith("neuron.")]
    assert set(absent) == {"neurons"}


def test_a_text_of_ones_own_is_read_with_its_end_and_refused_where_it_has_other_tokens(brackets: Measured) -> None:
    spec = PromptSpec("paren-balance", brackets.specs["bracket-strings"].model_hash, "())(")
    measure_prompt(brackets.store, spec)
    artifact = open_artifact(prompt_path(brackets.store, spec.hash))
    assert artifact.meta["pattern_rows"][0]["tokens"] == ["[start]", "(", ")", ")", "(", "[end]"]
    assert artifact.meta["causal"] is False
    tokenizer = model_path(brackets.store, "paren-balance") / "tokenizer.json"
    assert tokens_of(tokenizer, "()", bos=0, end=2, limit=4).tolist() == [0, 3, 4, 2]
    with pytest.raises(PromptError, match=r"expected tokens of the model alone \(\( \)\), got others\."):
        tokens_of(tokenizer, "[pad]", bos=0, end=2)
    with pytest.raises(PromptError, match="expected 1 to 2 tokens, got 3; shorten it"):
        tokens_of(tokenizer, "(((", bos=0, end=2, limit=4)


def test_a_text_of_ones_own_on_attention_alone_keeps_patterns_and_no_neurons(attention: Measured) -> None:
    spec = PromptSpec("tiny-attention-only", attention.specs["sotu"].model_hash, "The cat sat")
    measure_prompt(attention.store, spec)
    names = open_artifact(prompt_path(attention.store, spec.hash)).names(file="layer-0")
    assert "pattern.0" in names
    assert not [name for name in names if name.startswith("neuron")]
