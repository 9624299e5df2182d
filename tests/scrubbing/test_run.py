"""An experiment from its file to its artifact, on a tiny model of a store; and one sentence for what cannot be run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.anatomy import layers_of
from analysis.commands import run as run_command
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.plan import PlanError
from analysis.scrubbing.run import scrub, scrub_path
from analysis.sources import ModelError
from analysis.store import StoreError, open_artifact
from tests.scrubbing.saying import node
from tests.tiny import build, put_into

NODES = [node("out"), node("induction", "out", "L1H0", sampler="end_token", via=["L1.mlp", "L2.mlp"])]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    put_into(store, "tiny-gpt2")
    broken = build("tiny-gpt2")
    with torch.no_grad():
        next(layers_of(broken)[1].parameters()).fill_(float("nan"))
    put_into(store, "broken", broken)
    return store


def asked(store: Path, *, model: str = "tiny-gpt2", **more: Any) -> dict[str, Any]:
    model_hash = open_artifact(store / "models" / model).meta["hash"]
    about = {"model": model, "model_hash": model_hash, "task": "induction-random", "rows": 30, "n": 12}
    return {**about, "nodes": NODES, **more}


def experiment(store: Path, **more: Any) -> Experiment:
    return Experiment.from_json(asked(store, **more))


def test_a_file_is_scrubbed_printed_and_kept(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(asked(store, criterion=0.5, end_point="labels permuted")))
    assert run_command(argparse.Namespace(command="scrub", file=str(file)), store) == 0
    printed = capsys.readouterr().out
    for expected in (
        "recovered: ",
        "criterion ≥ 50 %: ",
        "n = 12 samples",
        "100 %, the model: ",
        "0 %, labels permuted: ",
        "searching 96 new rows of the split search, 12 samples: the worst ",
    ):
        assert expected in printed
    artifact = open_artifact(scrub_path(store, experiment(store, criterion=0.5, end_point="labels permuted").hash))
    artifact.verify()
    result = artifact.meta["result"]
    samples = artifact.read("scrubbed", file="samples")
    assert samples.shape == (12,)
    assert result["losses"]["scrubbed"]["value"] == pytest.approx(samples.mean())
    assert artifact.meta["about"]["device"] == "cpu"


def test_the_same_experiment_has_the_same_figures(store: Path) -> None:
    first, second = (scrub(experiment(store), store, assignments=1) for _ in range(2))
    assert first.result.to_json() == second.result.to_json()


def test_a_file_that_is_not_there_is_one_sentence(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(argparse.Namespace(command="scrub", file="nowhere.yaml"), store) == 1
    assert capsys.readouterr().err == "Reading nowhere.yaml: expected a text file, got none that can be read.\n"


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown feature": (
        {"nodes": [node("out"), node("a", "out", "L1H0", sampler="colour")]},
        HypothesisError,
        "Reading node out/a, sampler: expected a feature among",
    ),
    "another model's hash": (
        {"model_hash": "f" * 64},
        HypothesisError,
        "expected weights with hash ffffffffffff…, got",
    ),
    "another dataset's hash": ({"dataset_hash": "f" * 64}, HypothesisError, "expected those with hash ffffffffffff…"),
    "a row that is not there": (
        {"nodes": [node("out"), node("a", "out", "L1H0", sampler={"fixed": 30})]},
        HypothesisError,
        "expected a row from 0 to 29, got 30.",
    ),
    "a cycle": (
        {"nodes": [node("out"), node("a", "b", "L1H0", sampler="exact"), node("b", "a", "L0H0", sampler="exact")]},
        HypothesisError,
        "expected a way to the root, got a cycle: a → b → a.",
    ),
    "weights that are no numbers": ({"model": "broken"}, ScrubError, "got NaN or infinity"),
    "a part that is not there": (
        {"nodes": [node("out"), node("a", "out", "L7H0", sampler="exact")]},
        HypothesisError,
        "Reading node out/a: expected one of 3 layers, got number 7, counted from 0.",
    ),
    "a sampler that means nothing": (
        {"nodes": [node("out"), node("a", "out", "L1H0", sampler={"agree": {"bin": ["end_token", [2, 1]]}})]},
        PlanError,
        "Sampling node out/a: Reading the feature at bin[1]: expected 1 to 100 numbers in ascending order",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_is_one_sentence(name: str, store: Path) -> None:
    more, error, sentence = REFUSED[name]
    with pytest.raises(error) as raised:
        scrub(experiment(store, **more), store, assignments=0)
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_a_model_that_is_not_there_is_said(store: Path) -> None:
    with pytest.raises((StoreError, ModelError), match="expected a complete artifact, found none"):
        scrub(Experiment.from_json({**asked(store), "model": "nobody"}), store)
