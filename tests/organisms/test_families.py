"""What is said of families fits the table of metrics and the architectures."""

from __future__ import annotations

import pytest

from analysis.anatomy import FAMILIES
from analysis.datasets.table import DATASETS
from analysis.families import (
    BRACKETS,
    absent_from_weights,
    absent_metrics,
    has_mlp,
    is_causal,
    mass_classes,
    metric_datasets,
    predicts_tokens,
    typed_text,
    words_of_kind,
)
from analysis.metrics import METRICS, Mass
from analysis.plans import PLANS
from analysis.schema import DatasetKind


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_without_neurons_or_unembedding_is_said_to_be_so(family: str) -> None:
    assert has_mlp(family) == FAMILIES[family].has_mlp
    assert predicts_tokens(family) == (FAMILIES[family].readout is None)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_known_metrics_are_absent_each_with_one_sentence(family: str) -> None:
    absent = absent_metrics(family)
    assert set(absent) <= {metric.key for metric in METRICS}
    for reason in (*absent.values(), *absent_from_weights(family).values()):
        assert reason.startswith("not measured: ")
        assert reason.endswith(".")
        assert reason.count(". ") == 0
    assert (absent == {}) == (family not in ("attention_only", BRACKETS))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_classes_of_mass_hold_every_key_once(family: str) -> None:
    classes = mass_classes(family)
    assert len(set(classes)) == len(classes) == 6
    assert classes[0] is Mass.SINK
    assert classes[-1] is Mass.OTHER
    assert (Mass.LATER in classes) == (not is_causal(family))
    assert (Mass.INDUCTION in classes) == is_causal(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_metrics_are_measured_on_planned_datasets_of_their_kind_that_the_family_reads(family: str) -> None:
    for kind, name in metric_datasets(family).items():
        assert DATASETS[name].kind is kind
        assert DATASETS[name].family == (BRACKETS if family == BRACKETS else None)
        assert name in PLANS
    assert set(PLANS) == set(DATASETS)


def test_what_is_typed_of_a_row_of_brackets_has_no_end() -> None:
    assert typed_text(BRACKETS, ["(", ")", "[end]"]) == "()"
    assert typed_text("llama", ["a", "[end]"]) == "a[end]"
    assert words_of_kind(BRACKETS, DatasetKind.NATURAL) == "strings of brackets"
    assert words_of_kind("llama", DatasetKind.NATURAL) == "natural text"
