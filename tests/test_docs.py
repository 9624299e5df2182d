"""Documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.metrics import METRICS
from analysis.schema import CODE_VERSION, DatasetKind, JobKind
from tests import shots
from tests.benchmarks.report import JSON, MARKDOWN, as_markdown, read_outcomes
from tests.benchmarks.visited import PAGES, POSTS, PRIVATE, TELLING

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: f"{metric.component.value}.{metric.key}")
def test_the_glossary_has_each_metric_as_the_table_has_it(metric) -> None:
    defined_on = metric.dataset_kind.value if metric.dataset_kind else "weights"
    row = f"| `{metric.key}` | {metric.label} | {metric.unit} | {defined_on} | {metric.definition} |"
    assert row.replace("|  |", "| |") in GLOSSARY


def test_the_glossary_names_every_kind_of_job_and_of_dataset() -> None:
    assert all(f"`{kind.value}`" in GLOSSARY for kind in JobKind)
    assert all(f"*{kind.value}*" in GLOSSARY for kind in DatasetKind)


def test_the_readme_lists_every_setting_that_is_read_and_no_other() -> None:
    code = "".join((ROOT / path).read_text() for path in ("wiki/settings.py", "wiki/launch.py", "analysis/worker.py"))
    read = set(re.findall(r"LOUPE_[A-Z_]+", code))
    listed = set(re.findall(r"^\| `(LOUPE_[A-Z_]+)`", README, re.MULTILINE))
    assert listed == read


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("run", "test"):
        assert re.search(rf"^make {target} ", README, re.MULTILINE)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_version_is_one() -> None:
    assert f'version = "{CODE_VERSION}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {CODE_VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_links_and_pictures_of_the_readme_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_names_the_address_that_its_picture_is_taken_of() -> None:
    assert f"This is `{shots.PAGES['induction-head']}`," in README


def test_continuous_integration_calls_the_readmes_test_command() -> None:
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


def test_the_page_of_performance_is_what_its_data_says() -> None:
    assert MARKDOWN.read_text() == as_markdown(read_outcomes(JSON))


# What the project promised of its speed.
LIMITS = {
    "survey": [
        ("SmolLM2-135M: survey ÷ bare forward, wall", "≤ 1.25"),
        ("GPT-2 small (random weights): survey ÷ bare forward, wall", "≤ 1.25"),
        ("merging ÷ survey", "≤ 3"),
        ("throughput ÷ TransformerLens", "≥ 1.5"),
    ],
    "memory": [
        ("SmolLM2-135M: survey ÷ bare forward, peak memory", "≤ 1.3"),
        ("GPT-2 small (random weights): survey ÷ bare forward, peak memory", "≤ 1.3"),
    ],
    "store": [("one neuron, p50", "≤ 0.3"), ("a neuron's bytes", "≤ 8,000"), ("layer listing, p50", "≤ 1")],
    "pages": [
        (f"{kind} page: {name}", limit)
        for kind in ("model", "layer", "head", "neuron", "text")
        for name, limit in (
            ("queries, most", "≤ 12"),
            ("processor time uncached, p50", "≤ 12"),
            ("processor time cached, p50", "≤ 1"),
            ("first load, largest", "≤ 150"),
        )
    ],
    "load": [("cached head page, p50", "≤ 25"), ("cached head page, p99", "≤ 120")],
    "wiki": [
        *((f"{page}, signed in: p50", "≤ 25") for page in PAGES),
        *((f"{page}, anonymous: again, by the clock, p99", "≤ 120") for page in PAGES if page not in PRIVATE),
        *((f"{page}, signed in: large by small site", "≤ 1.5") for page in PAGES),
        *((f"{post}: p50", "≤ 60") for post in POSTS),
        *((f"{post}: large by small site", "≤ 1.5") for post in POSTS if post not in TELLING),
        ("cached head pages, many readers at once: p99", "≤ 120"),
    ],
    "scrubbing": [
        ("SmolLM2, three nodes, cold", "≤ 600"),
        *(
            (f"SmolLM2, {further} ÷ cold", "≤ 0.1")
            for further in ("other draws", "another head below", "another head above")
        ),
        ("SmolLM2, peak memory", "≤ 8"),
        ("draws a sample", "≥ 45"),
        ("one forward pass for each ÷ fast, cold", "≥ 5"),
        ("… ÷ a further hypothesis", "≥ 100"),
        *((f"layer-rows ÷ bound, {which}", "≤ 1.2") for which in ("cold", "further")),
    ],
    "gpu": [
        ("survey", ""),
        ("survey ÷ bare forward, wall", ""),
        ("float32, largest difference from the CPU", "≤ 0.0001"),
        ("bfloat16, largest difference of a head's share of attention from the CPU", "≤ 0.02"),
        ("bfloat16, least rank correlation of a head metric with the CPU", "≥ 0.99"),
    ],
}


@pytest.mark.parametrize("benchmark", LIMITS)
def test_the_page_of_performance_has_every_limit_that_was_promised(benchmark) -> None:
    found = {outcome.benchmark: outcome.figures for outcome in read_outcomes(JSON)}
    for name, limit in LIMITS[benchmark]:
        assert any(figure.name.startswith(name) and figure.limit == limit for figure in found[benchmark]), name
