"""Addresses, metrics and specs."""

from __future__ import annotations

import dataclasses

import pytest

from analysis.metrics import HEAD_METRICS, METRICS
from analysis.schema import Component, ComponentKind, SchemaError, Sizes, SurveySpec

SIZES = Sizes(n_layers=30, n_heads=9, n_kv_heads=3, d_model=576, d_head=64, d_mlp=1536, d_vocab=49152)
SPEC = SurveySpec(
    "m", "a" * 64, "sotu", "b" * 64, rows=10, pattern_rows=0, in_depth=False, lens_rows=0, shard_rows=4, batch_rows=2
)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("L5H1", "L5H1"),
        ("l5h1", "L5H1"),
        (" L5.H1 ", "L5H1"),
        ("L05H01", "L5H1"),
        ("5.1", "L5H1"),
        ("a5.h1", "L5H1"),
        ("blocks.5.attn.hook_z[1]", "L5H1"),
        ("blocks.5.attn.hook_pattern[1]", "L5H1"),
        ("L3N1024", "L3N1024"),
        ("blocks.3.mlp.hook_post[1024]", "L3N1024"),
        ("L5KV2", "L5KV2"),
        ("l05.kv2", "L5KV2"),
        ("L5", "L5"),
        ("blocks.5", "L5"),
    ],
)
def test_what_people_type_is_read(typed: str, canonical: str) -> None:
    assert str(Component.parse(typed)) == canonical
    assert Component.parse(canonical) == Component.parse(typed)


@pytest.mark.parametrize("typed", ["", "5", "H1", "L5H", "L5H1H2", "L-1H1", "L5H1; DROP", "٥.١", "L999999H1", "5.1.2"])
def test_what_is_no_address_is_refused_with_what_was_expected_and_what_came(typed: str) -> None:
    with pytest.raises(SchemaError, match=r"expected something like L5H1, .* got “"):
        Component.parse(typed)


def test_a_component_exists_if_the_sizes_allow_it() -> None:
    assert Component.parse("L29H8").exists_in(SIZES)
    assert not Component.parse("L30H0").exists_in(SIZES)
    assert not Component.parse("L0H9").exists_in(SIZES)
    assert Component.parse("L0N1535").exists_in(SIZES)
    assert not Component.parse("L0N1536").exists_in(SIZES)
    assert Component.parse("L29KV2").exists_in(SIZES)
    assert not Component.parse("L29KV3").exists_in(SIZES)
    assert [Component.parse(text).kind for text in ("L1", "L1H1", "L1N1", "L1KV1")] == [
        ComponentKind.LAYER,
        ComponentKind.HEAD,
        ComponentKind.NEURON,
        ComponentKind.KV_HEAD,
    ]


def test_metric_keys_are_those_that_were_promised() -> None:
    assert [metric.key for metric in HEAD_METRICS] == [
        "induction_repeated",
        "induction",
        "previous_token",
        "ov_copying",
        "first_token",
        "self",
        "duplicate_token",
        "entropy",
        "entropy_off_sink",
        "distance_mean",
        "distance_off_sink",
        "largest_off_sink",
        "output_norm",
    ]
    keys = [(metric.component, metric.key) for metric in METRICS]
    assert len(keys) == len(set(keys))


def test_shards_cut_all_rows_once() -> None:
    assert [list(SPEC.shard(i)) for i in range(SPEC.n_shards)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(SchemaError, match="expected a shard from 0 to 2, got 3"):
        SPEC.shard(3)


def test_the_hash_of_a_spec_changes_with_every_field() -> None:
    changed = {
        dataclasses.replace(SPEC, **{field.name: value if isinstance(value, str) else value + 1}).hash
        for field in dataclasses.fields(SPEC)
        for value in [getattr(SPEC, field.name) + "x" if field.type == "str" else getattr(SPEC, field.name)]
    }
    assert len(changed | {SPEC.hash}) == len(dataclasses.fields(SPEC)) + 1
    assert SurveySpec.from_json(SPEC.to_json()) == SPEC


def test_impossible_specs_are_refused() -> None:
    with pytest.raises(SchemaError, match="expected rows ≥ 1, got 0"):
        dataclasses.replace(SPEC, rows=0)
    with pytest.raises(SchemaError, match=r"0 ≤ pattern_rows ≤ rows \(10\), got 11"):
        dataclasses.replace(SPEC, pattern_rows=11)
    with pytest.raises(SchemaError, match="unexpected keyword argument 'colour'"):
        SurveySpec.from_json({**SPEC.to_json(), "colour": "red"})
