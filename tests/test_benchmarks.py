"""What benchmarks report: limits, the exit status, the page. Nothing is timed here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.gpu import rank_correlation
from tests.benchmarks.report import Figure, Outcome, as_markdown, read_outcomes, write_outcomes
from tests.benchmarks.running import BENCHMARKS, exit_status, main
from tests.benchmarks.survey import Times


def outcome(benchmark: str, *figures: Figure, commit: str = "abc") -> Outcome:
    return Outcome(benchmark, "What it does.", commit, "2026-01-02", {"CPU": "made up", "cores": 2}, figures)


@pytest.mark.parametrize(
    ("figure", "holds", "verdict"),
    [
        (Figure("a", 1.25, at_most=1.25), True, "holds"),
        (Figure("a", 1.2500001, at_most=1.25), False, "**missed**"),
        (Figure("a", 1.49, at_least=1.5), False, "**missed**"),
        (Figure("a", 1.5, at_least=1.5), True, "holds"),
        (Figure("a", float("nan"), at_most=1), False, "**missed**"),
        (Figure("a", 9.0), None, ""),
        (Figure("a", None, at_most=1, absent="no GPU at hand"), None, "not measured"),
    ],
)
def test_a_figure_holds_within_its_limit_and_is_never_0_where_it_is_absent(figure, holds, verdict) -> None:
    assert (figure.holds, figure.verdict) == (holds, verdict)


def test_a_figure_has_a_value_or_a_reason() -> None:
    for wrong in ({"value": None}, {"value": 1.0, "absent": "it is there"}):
        with pytest.raises(AssertionError, match="a value or a reason"):
            Figure("a", **wrong)


def test_one_missed_limit_ends_the_run_with_an_error_that_names_it(capsys) -> None:
    good, bad = Figure("good", 1.0, at_most=2), Figure("bad", 3.0, "ms", at_most=2)
    absent = Figure("absent", None, at_most=2, absent="no GPU at hand")
    assert exit_status([outcome("one", good, absent)], stopped=0) == 0
    assert exit_status([outcome("one", good), outcome("two", good, bad)], stopped=0) == 1
    assert capsys.readouterr().err == "missed: two, bad: 3 ms (limit ≤ 2: missed)\n"


def test_a_benchmark_that_could_not_run_is_an_error() -> None:
    assert exit_status([], stopped=1) == 1


def test_an_unknown_benchmark_is_refused_by_name(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    known = "survey, memory, store, scrubbing, pages, load, wiki, gpu"
    assert f"expected one of {known}, got speed" in capsys.readouterr().err


def test_a_benchmark_that_runs_again_replaces_its_outcome_and_leaves_the_others(tmp_path: Path) -> None:
    json_file, page = tmp_path / "performance.json", tmp_path / "performance.md"

    def write(*outcomes: Outcome) -> None:
        write_outcomes(outcomes, order=["first", "second"], path=json_file, page=page)

    write(outcome("second", Figure("a", 1.0)), outcome("first", Figure("b", 2.0)))
    write(outcome("second", Figure("a", 3.0), commit="def"))
    found = [(each.benchmark, each.commit, each.figures[0].value) for each in read_outcomes(json_file)]
    assert found == [("first", "abc", 2.0), ("second", "def", 3.0)]
    assert page.read_text() == as_markdown(read_outcomes(json_file))
    assert [data["commit"] for data in json.loads(json_file.read_text())] == ["abc", "def"]


def test_the_page_has_values_limits_verdicts_reasons_and_where_they_come_from() -> None:
    figures = (
        Figure("read | write", 0.1234, "ms", at_most=0.3, note="warm"),
        Figure("bytes", 12345.6, "bytes"),
        Figure("on a GPU", None, at_least=0.99, absent="no GPU at hand"),
    )
    page = as_markdown([outcome("store", *figures)])
    assert "## store\n\nWhat it does.\n\nCommit `abc`, 2026-01-02; CPU made up, cores 2.\n" in page
    assert "| read \\| write | 0.123 ms | ≤ 0.3 | holds | warm |\n" in page
    assert "| bytes | 12,346 bytes |  |  |  |\n" in page
    assert "| on a GPU | — | ≥ 0.99 | not measured | no GPU at hand |\n" in page


def test_a_surveys_ratio_has_its_partials() -> None:
    times = Times(survey=[1.5] * 6, bare=[1.0] * 6, partials=[2.0, 1.0], tokens=100)
    assert times.ratio == (9 + 3) / 6
    assert times.median_ratio == 1.5 + 0.5
    assert times.tokens_per_second == 600 / 12


def test_rank_correlation_is_of_ranks_alone() -> None:
    values = np.array([[3.0, 1.0], [2.0, 10.0]])
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    # ranks 0 1 2 3 and 0 2 1 3: 1 − 6 · 2 / (4 · 15)
    assert rank_correlation(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)


def test_every_benchmark_says_what_it_does() -> None:
    for name in BENCHMARKS:
        module = __import__(f"tests.benchmarks.{name}", fromlist=["ABOUT"])
        assert module.ABOUT.endswith(".")
        assert callable(module.measure)
