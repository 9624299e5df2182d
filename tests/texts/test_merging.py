"""Merging and comparing texts, against what they must be by definition."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiki.texts.alignment import align
from wiki.texts.comparing import Change, diff, fold
from wiki.texts.merging import Clash, Settled, merge

# few different lines, so that they repeat
LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=12)
TEXTS = LINES.map("".join) | st.text(alphabet="ab \n[é", max_size=40)


def longest_common(first: str, second: str) -> int:
    """The length of the longest common subsequence, by the textbook's table."""
    row = [0] * (len(second) + 1)
    for one in first:
        before = row
        row = [0]
        for index, other in enumerate(second):
            row.append(before[index] + 1 if one == other else max(before[index + 1], row[index]))
    return row[-1]


@given(st.text(alphabet="abc", max_size=30), st.text(alphabet="abc", max_size=30))
def test_an_alignment_is_a_longest_common_subsequence_in_order(first: str, second: str) -> None:
    blocks = align(first, second)
    assert sum(block.size for block in blocks) == longest_common(first, second)
    end = other_end = 0
    for start, other_start, size in blocks:
        assert first[start : start + size] == second[other_start : other_start + size]
        assert start >= end
        assert other_start >= other_end
        end, other_end = start + size, other_start + size


def test_beyond_its_bound_an_alignment_has_the_common_ends_alone() -> None:
    blocks = align("xx" + "ab" * 10 + "yyy", "xx" + "ba" * 3 + "cc" + "yyy", most=4)
    assert [tuple(block) for block in blocks] == [(0, 0, 2), (22, 10, 3)]


@given(TEXTS, TEXTS)
def test_merging_with_a_side_that_changed_nothing_gives_the_other(base: str, changed: str) -> None:
    assert merge(base, changed, base).text == changed
    assert merge(base, base, changed).text == changed
    assert merge(base, changed, changed).text == changed


@given(st.data())
def test_edits_of_lines_that_do_not_touch_are_both_kept(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 30))
    lines = [f"line {index}\n" for index in range(n)]
    first = data.draw(st.integers(0, n - 3))
    second = data.draw(st.integers(first + 2, n - 1))
    edits = st.lists(st.sampled_from(["x\n", "y\n", "z\n"]), max_size=3)
    one, other = data.draw(edits), data.draw(edits)
    yours = "".join([*lines[:first], *one, *lines[first + 1 :]])
    theirs = "".join([*lines[:second], *other, *lines[second + 1 :]])
    both = "".join([*lines[:first], *one, *lines[first + 1 : second], *other, *lines[second + 1 :]])
    assert merge("".join(lines), yours, theirs).text == both


@given(TEXTS, TEXTS, TEXTS)
def test_the_pieces_of_a_merge_have_all_of_both_sides_clashes(base: str, yours: str, theirs: str) -> None:
    merged, mirrored = merge(base, yours, theirs), merge(base, theirs, yours)
    assert merged.clean == mirrored.clean
    for piece, mirror in zip(merged.pieces, mirrored.pieces, strict=True):
        if isinstance(piece, Clash):
            assert isinstance(mirror, Clash)
            assert (piece.base, piece.yours, piece.theirs) == (mirror.base, mirror.theirs, mirror.yours)
            assert piece.yours in yours
            assert piece.theirs in theirs
            assert piece.yours != piece.theirs
        else:
            assert piece == mirror


def test_a_clash_is_data_with_the_three_versions_of_its_lines() -> None:
    merged = merge("one\ntwo\nthree\n", "one\nZWEI\nthree\n", "one\ndeux\nthree\nfour\n")
    assert not merged.clean
    assert merged.pieces == (
        Settled("one\n"),
        Clash(base="two\n", yours="ZWEI\n", theirs="deux\n"),
        Settled("three\nfour\n"),
    )


def test_a_line_that_one_removed_and_the_other_changed_clashes() -> None:
    merged = merge("a\nb\nc\n", "a\nc\n", "a\nB\nc\n")
    assert Clash(base="b\n", yours="", theirs="B\n") in merged.pieces


@given(TEXTS, TEXTS)
def test_the_spans_of_a_comparison_give_both_texts(before: str, after: str) -> None:
    spans = diff(before, after)
    assert "".join(span.text for span in spans if span.change is not Change.ADDED) == before
    assert "".join(span.text for span in spans if span.change is not Change.REMOVED) == after
    assert all(span.text for span in spans)
    assert all(one.change is not other.change for one, other in itertools.pairwise(spans))


def test_a_changed_word_is_told_from_its_line() -> None:
    assert [(span.change.value, span.text) for span in diff("Head one copies.\nEnd\n", "Head two copies.\nEnd\n")] == [
        ("same", "Head "),
        ("removed", "one"),
        ("added", "two"),
        ("same", " copies.\nEnd\n"),
    ]


@pytest.mark.parametrize("kind", ["same line", "words", "rewritten", "no newline"])
def test_large_texts_made_to_hurt_are_compared_and_merged_in_a_few_seconds(kind: str) -> None:
    dice = random.Random(0)  # noqa: S311
    before, after = {
        "same line": ("\n" * 200_000, "\n" * 100_000 + "x" + "\n" * 99_000),
        "words": ("a b " * 50_000, "b a a " * 33_000),
        "rewritten": tuple("\n".join(f"{dice.random():.4f}" for _ in range(25_000)) for _ in range(2)),
        "no newline": tuple("".join(dice.choice("ab ") for _ in range(200_000)) for _ in range(2)),
    }[kind]
    start = time.process_time()
    spans = diff(before, after)
    merge(before, after, before[:-1])
    assert time.process_time() - start < 10
    assert "".join(span.text for span in spans if span.change is not Change.ADDED) == before
    assert "".join(span.text for span in spans if span.change is not Change.REMOVED) == after


@given(
    st.lists(st.sampled_from(["a\n", "b\n", "c\n"]), max_size=40),
    st.lists(st.sampled_from(["a\n", "b\n"]), max_size=40),
)
def test_folding_leaves_out_nothing_and_shows_what_changed(before: list[str], after: list[str]) -> None:
    spans = diff("".join(before), "".join(after))
    folded = fold(spans)
    assert "".join(span.text for span in folded) == "".join(span.text for span in spans)
    changed = {Change.REMOVED, Change.ADDED}
    assert [s for s in folded if s.change in changed] == [s for s in spans if s.change in changed]
    assert all(span.n_lines >= 3 for span in folded if span.change is Change.FOLDED)


def test_far_lines_are_folded_and_near_ones_are_not() -> None:
    lines = [f"{i}\n" for i in range(20)]
    spans = fold(diff("".join(lines), "".join([*lines[:10], "new\n", *lines[10:]])))
    assert [(span.change.value, span.n_lines) for span in spans] == [
        ("folded", 7),
        ("same", 3),
        ("added", 1),
        ("same", 3),
        ("folded", 7),
    ]
