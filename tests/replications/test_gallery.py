"""Hypotheses that must be caught are: in what was recorded, and again from nothing on fewer samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from analysis.replications.gallery import TRAPS, Trap, is_caught
from analysis.replications.replicate import read_row
from analysis.scrubbing.result import compare
from analysis.scrubbing.run import load_subject, run_on

KINDS = {"cancelling", "swapped", "correlated inputs", "too permissive", "right for the wrong head", "above 100 %"}
# of above 100 % the excess is small
SAMPLES = {"above 100 %": 256, "right for the wrong head": 600}
BY_KIND = {trap.kind: trap for trap in TRAPS}


def test_there_is_one_of_each_kind() -> None:
    assert set(BY_KIND) == KINDS
    for trap in TRAPS:
        # either a warning or a comparison
        assert bool(trap.warning) != (trap.against is not None)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_was_caught_where_it_was_recorded(kind: str, rows: dict[str, Any]) -> None:
    assert is_caught(BY_KIND[kind], rows)


def smaller(key: str, n: int) -> Any:
    asked = read_row(key)
    return dataclasses.replace(asked, rows=n, hypothesis=dataclasses.replace(asked.hypothesis, n=n, seed=3))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_is_caught_again_from_nothing(kind: str, organisms: Path) -> None:
    trap: Trap = BY_KIND[kind]
    asked = smaller(trap.key, SAMPLES.get(kind, 64))
    subject = load_subject(asked, organisms)
    assignments = 20 if kind == "right for the wrong head" else 0
    run = run_on(subject, asked, decode=str, assignments=assignments)
    if trap.warning:
        assert any(warning.startswith(trap.warning) for warning in run.result.warnings)
        return
    assert trap.against is not None
    beside = run_on(subject, smaller(trap.against, asked.rows), decode=str, assignments=0)
    more = compare(run.samples, beside.samples, seed=3)
    assert more.high is not None
    assert more.high < 0


def test_a_comparison_that_may_be_chance_catches_nothing() -> None:
    trap = BY_KIND["swapped"]
    row = {"result": {"warnings": []}}
    assert not is_caught(trap, {trap.key: {**row, "compared": {"high": 0.001}}})
    assert is_caught(trap, {trap.key: {**row, "compared": {"high": -0.001}}})
