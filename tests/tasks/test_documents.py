"""Documents say which tasks, features and combinations there are, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from analysis.datasets.features import COMBINATORS, validate
from analysis.datasets.task import Split, TaskMetric
from analysis.datasets.tasks.bracket_strings import MIX
from analysis.datasets.tasks.table import TASKS

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = (DOCS / "tasks.md").read_text()
DECISION = (DOCS / "decisions" / "0014-tasks.md").read_text()
GLOSSARY = (DOCS / "glossary.md").read_text()


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column has that title."""
    found = re.search(rf"^\| {first} \|.*\n\|[-| ]+\|\n((?:\|.*\n)*)", text, re.MULTILINE)
    return [line.strip("| \n").split(" | ") for line in found[1].splitlines()] if found else []


def test_the_page_has_a_section_a_task_in_their_order() -> None:
    assert re.findall(r"^## `([a-z-]+)`$", PAGE, re.MULTILINE) == list(TASKS)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
def test_the_page_says_of_a_task_what_the_code_says(task) -> None:
    text = section(f"`{task.key}`")
    assert f"\n{task.label}: {task.definition}\n" in text
    assert f"\nMetric `{task.metric.value}`; version {task.version}; licence: {task.licence}.\n" in text
    assert table(text, "role") == [[f"`{role}`", meaning] for role, meaning in task.roles.items()]
    assert table(text, "feature") == [
        [f"`{feature.key}`", "position" if feature.by_position else "row", feature.definition]
        for feature in task.features.values()
    ]


def test_the_page_has_every_combination_with_an_example_that_some_task_can_read() -> None:
    rows = table(section("Expressions"), "combination")
    assert [[cells[0], cells[2]] for cells in rows] == [[f"`{key}`", meaning] for key, meaning in COMBINATORS.items()]
    everything = {key: feature for task in TASKS.values() for key, feature in task.features.items()}
    for name, written, _ in rows:
        expression = json.loads(written.strip("`"))
        assert list(expression) == [name.strip("`")]
        validate(expression, everything)


def test_the_decision_states_the_mix_of_strings() -> None:
    stated = [int(share) for share in re.findall(r"(\d+) % ", DECISION.split("**Brackets**")[1].split("- **")[0])]
    assert stated == [share for _, share in MIX]
    assert sum(stated) == 100


def test_the_glossary_has_the_splits_and_the_metrics_of_tasks() -> None:
    for word in (*Split, *TaskMetric):
        assert f"`{word.value}`" in GLOSSARY
