"""What the file of an experiment may say, its hash, and the sentence for what it may not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.scrubbing.experiment import Experiment, read_experiment
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.json_schema import experiment_schema
from tests.scrubbing.saying import node

MINIMAL: dict[str, Any] = {
    "model": "paren-balance",
    "model_hash": "a" * 64,
    "task": "brackets",
    "nodes": [node("out"), node("count", "out", "L1H0", sampler="count_test")],
}


def experiment(**more: Any) -> Experiment:
    return Experiment.from_json({**MINIMAL, **more})


def test_an_experiment_is_read_from_yaml_and_written_as_json() -> None:
    text = """
    model: paren-balance
    model_hash: aaaa
    task: brackets
    split: confirm
    rows: 500
    n: 100
    seed: 3
    end_point: labels permuted
    criterion: 0.8
    nodes:
    - {name: out, parts: [out]}
    - {name: count, parent: out, parts: [L1H0], sampler: {agree: count_test}}
    """
    read = read_experiment(text)
    assert (read.task, read.split, read.rows, read.hypothesis.n) == ("brackets", "confirm", 500, 100)
    assert read.hypothesis.dataset == "brackets/confirm"
    assert read.hypothesis.criterion == 0.8
    assert Experiment.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_the_hash_is_of_what_is_asked() -> None:
    asked = experiment()
    assert experiment(title="Which heads count").hash == asked.hash
    others = [{"seed": 1}, {"split": "confirm"}, {"rows": 20}, {"rows_seed": 2}, {"n": 20}, {"criterion": 0.5}]
    others += [{"end_point": "labels permuted"}, {"model_hash": "b" * 64}, {"nodes": MINIMAL["nodes"][:1]}]
    assert len({asked.hash, *(experiment(**other).hash for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"task": "chess"}, "Reading an experiment: expected a task among brackets, induction-random,"),
        ({"task": ["brackets"]}, "Reading an experiment: expected a task among"),
        ({"split": "test"}, "Reading an experiment: expected a split among search, confirm, got test."),
        ({"rows": 1}, "Reading an experiment, rows: expected a whole number from 2 to 1000000, got 1."),
        ({"rows_seed": -1}, "Reading an experiment, rows_seed: expected a whole number"),
        ({"title": 5}, "Reading an experiment: expected a title"),
        ({"colour": "red"}, "expected fields among"),
        (
            {"nodes": [node(f"n{at}") for at in range(10_000)]},
            "Reading a hypothesis: expected at most 1,000 nodes, got 10,000.",
        ),
    ],
)
def test_what_cannot_be_read_has_one_sentence(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HypothesisError) as raised:
        experiment(**more)
    assert sentence in str(raised.value)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_an_experiment_without_a_task_is_refused() -> None:
    with pytest.raises(HypothesisError, match="expected the field task"):
        Experiment.from_json({name: value for name, value in MINIMAL.items() if name != "task"})
    with pytest.raises(HypothesisError, match="expected named fields"):
        Experiment.from_json([])


def test_the_published_schema_is_the_one_of_the_code() -> None:
    published = Path(__file__).parents[2] / "docs" / "experiment.schema.json"
    assert json.loads(published.read_text()) == experiment_schema()


def test_the_schema_has_the_fields_that_are_written() -> None:
    written = set(experiment(criterion=0.5, title="t", dataset_hash="c" * 64).to_json())
    assert written == set(experiment_schema()["properties"])


def test_reading_an_experiment_and_printing_results_needs_no_torch() -> None:
    modules = ("experiment", "json_schema", "result", "recovery", "intact", "assignments", "printing")
    names = ", ".join(f"analysis.scrubbing.{name}" for name in modules)
    program = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
