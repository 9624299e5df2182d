"""What was recorded: of the files as they are, within reach of a run from nothing, and said as it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from analysis.replications.recorded import Compared, compare_with_published, read_recorded
from analysis.replications.replicate import keys, read_row
from analysis.replications.table import ROWS, Published, Row
from analysis.schema import CODE_VERSION
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.run import Run, scrub
from analysis.store import open_artifact


def test_every_row_was_recorded_of_the_file_that_is_there(rows: dict[str, Any], organisms: Path) -> None:
    assert set(rows) == set(keys())
    assert read_recorded()["code"] == CODE_VERSION
    for key, row in rows.items():
        experiment = read_row(key)
        assert row["hash"] == experiment.hash, f"{key}: its file has changed, run `make replicate`"
        assert row["result"]["n"] == experiment.hypothesis.n
        assert row["about"]["code"] == CODE_VERSION
    for slug in ("paren-balance", "attn-only-2l"):
        assert read_recorded()["models"][slug] == open_artifact(organisms / "models" / slug).meta["hash"]


def run_small(key: str, store: Path, *, n: int, assignments: int = 0) -> Run:
    """A row from nothing, with fewer samples and another seed."""
    asked = read_row(key)
    hypothesis = dataclasses.replace(asked.hypothesis, n=n, seed=7)
    smaller = dataclasses.replace(asked, hypothesis=hypothesis, rows=min(asked.rows, 2 * n))
    return scrub(smaller, store, assignments=assignments)


@pytest.mark.parametrize("key", ["brackets/1b", "induction/naive"])
def test_a_run_from_nothing_agrees_with_what_was_recorded(key: str, organisms: Path, rows: dict[str, Any]) -> None:
    """Other draws, other rows: the shares are within four standard errors of both."""
    again = run_small(key, organisms, n={"brackets/1b": 1_000, "induction/naive": 96}[key]).result.recovered
    recorded = rows[key]["result"]["recovered"]
    assert again.error is not None
    assert again.value == pytest.approx(recorded["value"], abs=4 * (again.error**2 + recorded["error"] ** 2) ** 0.5)


def test_the_refined_hypothesis_closes_half_of_the_gap_of_the_naive_one(rows: dict[str, Any]) -> None:
    naive, refined = (rows[f"induction/{name}"] for name in ("naive", "refined"))
    assert refined["split"] == "confirm"
    assert refined["compared"]["with"] == "induction/naive"
    gap = 1 - naive["result"]["recovered"]["value"]
    assert refined["compared"]["low"] > 0
    assert refined["compared"]["low"] >= gap / 2


def recorded(value: float, error: float = 0.01) -> dict[str, Any]:
    return {"result": {"recovered": {"value": value, "error": error}}}


def test_a_difference_is_explained_only_by_what_makes_up_half_of_it() -> None:
    row = Row("g/a", "a", "It is so.", Published("90 %", 0.9, 0.01), explained_by="g/b", because="It is not.")
    for ours, linked, expected in (
        (0.88, 0.2, "agrees"),
        (0.3, 0.7, "explained"),
        (0.3, 0.59, "unexplained"),
        (0.3, 0.1, "unexplained"),
    ):
        found = compare_with_published(row, {"g/a": recorded(ours), "g/b": recorded(linked)})
        assert found is not None
        assert found.verdict == expected, (ours, linked)
    alone = dataclasses.replace(row, explained_by=None, because="")
    assert compare_with_published(alone, {"g/a": recorded(0.3)}) == Compared(differs=True, explained=False)
    assert compare_with_published(dataclasses.replace(row, published=None), {}) is None


def test_published_shares_follow_from_published_losses() -> None:
    """As the table of the sources has them, in per cent."""
    shares = {row.label: row.published.share for row in ROWS if row.published and row.published.loss}
    expected = {"1a": 87.9, "1b": 93.0, "2a": 87.2, "2b": 87.7, "3a": 73.9, "4": 60.5}
    assert {label: round(100 * share, 1) for label, share in shares.items()} == pytest.approx(expected, abs=0.051)


def test_every_row_is_an_experiment_that_can_be_asked_of_the_server() -> None:
    for key in keys():
        experiment = read_row(key)
        assert Experiment.from_json(experiment.to_json()).hash == experiment.hash
