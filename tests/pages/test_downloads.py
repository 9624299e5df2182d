"""Figures as files: what holds for all of them."""

from __future__ import annotations

import csv
import io

import pytest

from wiki.pages.downloads import Figure


def written(cell: str | float) -> str:
    """What a reader of CSV finds in the one cell of a figure."""
    text = Figure("A title", ("token",), [(cell,)], "", {}, "a source").as_csv()
    lines = text.split("\n", 2)
    assert lines[0] == "# A title"
    assert lines[1] == "# a source; text that would begin with = + - @ or ' has one more ' before it"
    (row,) = csv.DictReader(io.StringIO(lines[2]))
    return row["token"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', "\t=1+1", "\r\n@x", "'=1"])
def test_a_text_never_begins_like_a_formula(cell: str) -> None:
    assert written(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [" =", "a-b", "", "\n", "–", "“=”"])
def test_other_texts_are_as_they_are(cell: str) -> None:
    # a row whose only cell is empty is quoted
    assert written(cell) == cell


@pytest.mark.parametrize("cell", [-0.5, -3, 1e-7])
def test_numbers_are_as_they_are(cell: float) -> None:
    assert float(written(cell)) == cell
