"""What is wrong of an experiment is said before its model is loaded, and what a worker takes is not refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from analysis.anatomy import is_parallel, sizes_of
from analysis.models import model_path
from analysis.schema import Sizes
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.foreseen import foresee, parallel_by_config
from tests import tiny

SIZES = Sizes(n_layers=3, n_heads=4, n_kv_heads=2, d_model=8, d_head=2, d_mlp=16, d_vocab=32)
OUT = {"name": "out", "parts": ["out"]}


def node(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "parent": "out", "parts": ["L1H2"], "sampler": {"agree": "end_token"}} | changes


def sentences(*nodes: dict[str, Any], **changes: Any) -> list[str]:
    asked = {"model": "tiny", "model_hash": "h", "task": "induction-random", "nodes": [OUT, *nodes]}
    experiment = Experiment.from_json({**asked, **changes})
    return [problem.sentence for problem in foresee(experiment, SIZES, model_hash="h", parallel=False)]


@pytest.mark.parametrize("slug", tiny.FAMILIES)
def test_a_stored_config_says_whether_layers_are_parallel_as_the_loaded_one_does(store: Path, slug: str) -> None:
    path = model_path(store, slug)
    config = AutoConfig.from_pretrained(path)
    assert parallel_by_config(json.loads((path / "config.json").read_text())) == is_parallel(config)
    assert sizes_of(config).n_layers > 0


def test_a_legal_experiment_has_no_problem_at_any_position_or_role() -> None:
    assert sentences(node(positions=[5000]), node(name="b", parts=["L0H0"], positions="end")) == []
    keys = node(name="k", parent="a", parts=["L1H2.k"], sampler="exact")
    assert sentences(node(), keys, rewrites=[{"kind": "ungroup", "head": "L1H2"}]) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"parts": ["L9H0"]}, "Reading node out/a: expected one of 3 layers, got number 9, counted from 0."),
        ({"parts": ["L1H2.k"]}, "expected L1KV1.k, which several heads read, or a rewrite that ungroups L1H2"),
        ({"sampler": {"agree": "nothing"}}, "expected a feature among after_position,"),
        ({"positions": "S2"}, "expected a role among after, earlier, end, got S2."),
        ({"sampler": {"agree": {"equal": [{"all": ["token"]}, "token"]}}}, "Reading node out/a: Reading the feature"),
    ],
)
def test_what_is_wrong_is_said_of_its_node(changes: dict[str, Any], sentence: str) -> None:
    (found,) = sentences(node(**changes))
    assert sentence in found


def test_weights_that_are_others_and_rewrites_of_no_head_are_said() -> None:
    assert "expected the model tiny (h), got tiny (other)" in sentences(node(), model_hash="other")[0]
    rewrites = [{"kind": "ungroup", "head": "L1.mlp"}, *[{"kind": "ungroup", "head": "L1H1"}] * 2]
    assert sentences(node(), rewrites=rewrites) == [
        "Rewriting L1.mlp: expected one head of the model, got another part.",
        "Rewriting L1H1: expected one ungroup of it, got two.",
    ]
