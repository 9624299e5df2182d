"""The bracket task, against brute force over strings."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.datasets.features import evaluate
from analysis.datasets.task import ABSENT, Feature, Split, TaskError
from analysis.datasets.tasks import brackets
from analysis.datasets.tasks.bracket_strings import (
    MIX,
    balanced_strings,
    count_failures,
    horizon_failures,
    near_balanced,
    random_strings,
)
from analysis.datasets.tasks.brackets import FEATURES, bracket_rows, make_rows

VOCABULARY: dict[str, Feature] = {feature.key: feature for feature in FEATURES}
SHORT = ["".join(letters) for k in (1, 2, 3, 4, 5) for letters in itertools.product("()", repeat=2 * k)]
STRINGS = st.integers(1, 20).flatmap(lambda k: st.text("()", min_size=2 * k, max_size=2 * k))


def is_balanced(string: str) -> bool:
    while "()" in string:
        string = string.replace("()", "")
    return string == ""


def text_of(tokens: np.ndarray) -> str:
    return "".join({3: "(", 4: ")"}.get(token, "") for token in tokens.tolist())


def horizon(string: str) -> bool:
    return all(string[i:].count("(") <= string[i:].count(")") for i in range(len(string)))


def test_labels_and_tests_are_right_on_every_string_up_to_ten_brackets() -> None:
    rows = bracket_rows(SHORT)
    assert rows.labels[:, 0].tolist() == [int(is_balanced(string)) for string in SHORT]
    values = {key: evaluate(key, rows, VOCABULARY).tolist() for key, f in VOCABULARY.items() if not f.by_position}
    assert values["balanced"] == [int(is_balanced(string)) for string in SHORT]
    assert values["count_test"] == [int(string.count("(") == string.count(")")) for string in SHORT]
    assert values["horizon_test"] == [int(horizon(string)) for string in SHORT]
    assert values["starts_with_open"] == [int(string[0] == "(") for string in SHORT]
    assert values["length"] == [len(string) for string in SHORT]
    kinds = [(string.count("(") != string.count(")")) + 2 * (not horizon(string)) for string in SHORT]
    assert rows.classes["failure"].tolist() == kinds
    assert set(kinds) == {0, 1, 2, 3}
    # published: balanced is the count test and the horizon test; balanced strings of 2k number Catalan(k)
    both = [a & b for a, b in zip(values["count_test"], values["horizon_test"], strict=True)]
    assert both == values["balanced"]
    assert Counter(len(s) for s in SHORT if is_balanced(s)) == {2: 1, 4: 2, 6: 5, 8: 14, 10: 42}


@given(st.lists(STRINGS, min_size=1, max_size=6))
def test_each_position_is_what_its_suffix_says(strings: list[str]) -> None:
    rows = bracket_rows(strings)
    proportion, classes = (evaluate(key, rows, VOCABULARY) for key in ("open_proportion", "horizon_class"))
    overall = evaluate("overall_proportion", rows, VOCABULARY)
    for row, string in enumerate(strings):
        assert overall[row] == proportion[row, 0]
        for pos in range(42):
            suffix = string[max(0, pos - 1) :] if pos <= len(string) else ""
            if suffix:
                share = Fraction(suffix.count("("), len(suffix))
                assert Fraction(int(proportion[row, pos]), brackets.PROPORTION_SCALE) == share
                assert classes[row, pos] == (-2 if share > Fraction(1, 2) else 2)
            else:
                assert proportion[row, pos] == ABSENT
                at_end = pos == len(string) + 1
                assert classes[row, pos] == ((-1 if string[-1] == "(" else 1) if at_end else 0)
        # published: the horizon test fails exactly where some position is of class −2
        assert bool((classes[row, 1 : len(string) + 1] == -2).any()) is not horizon(string)
        assert rows.tokens[row].tolist() == [0, *("()".index(b) + 3 for b in string), 2, *[1] * (40 - len(string))]
        assert rows.mask[row].tolist() == [True] * (len(string) + 2) + [False] * (40 - len(string))
        assert [rows.roles[role][row] for role in ("start", "first", "last", "end")] == [
            0,
            1,
            len(string),
            len(string) + 1,
        ]
    assert rows.counted.sum(axis=1).tolist() == [1] * len(strings)
    assert rows.counted[:, 0].all()
    assert (rows.documents[:, None] == rows.documents).tolist() == [[a == b for b in strings] for a in strings]


def test_half_is_the_edge_between_the_proportions_and_above_it_the_horizon_fails() -> None:
    rows = bracket_rows(SHORT)
    binned = evaluate({"bin": ["open_proportion", [0.5, float(np.nextafter(0.5, 1))]]}, rows, VOCABULARY)
    assert ((binned == 2) == (evaluate("horizon_class", rows, VOCABULARY) == -2)).all()
    half = evaluate({"equal": ["overall_proportion", "open_proportion"]}, rows, VOCABULARY)
    assert half[:, :2].all()


@pytest.mark.parametrize("make", [make for make, _ in MIX], ids=lambda make: make.__name__)
def test_each_kind_of_string_is_what_it_says(make) -> None:
    halves = np.repeat(np.arange(1, 21), 200)
    steps = make(np.random.default_rng(3), halves)
    strings = ["".join(" ()"[step] for step in line if step) for line in steps.tolist()]
    assert [len(string) for string in strings] == (2 * halves).tolist()
    assert all(not line[2 * half :].any() for line, half in zip(steps, halves, strict=True))
    count = [string.count("(") == string.count(")") for string in strings]
    right = [horizon(string) for string in strings]
    if make is balanced_strings:
        assert all(map(is_balanced, strings))
    if make is count_failures:
        assert all(right)
        assert not any(count)
    if make is horizon_failures:
        assert all(count)
        assert not any(right)
    if make is near_balanced:
        excess = {abs(string.count("(") - string.count(")")) for string in strings}
        assert excess == {0, 2}
        assert len(set(zip(count, right, strict=True))) == 4
    if make is random_strings:
        share = sum(string.count("(") for string in strings) / sum(map(len, strings))
        assert abs(share - 0.5) < 0.01


def test_balanced_strings_are_drawn_uniformly() -> None:
    steps = balanced_strings(np.random.default_rng(1), np.full(14_000, 4))
    counts = Counter(line.tobytes() for line in steps)
    # 14 strings of eight brackets, 1,000 times each: a standard deviation is 30.5
    assert len(counts) == 14
    assert all(abs(count - 1000) < 150 for count in counts.values())


@pytest.mark.parametrize("split", list(Split))
def test_the_published_numbers_of_the_set_are_met(split: Split) -> None:
    rows = make_rows(split, n=100_000, seed=0)
    assert rows.tokens.shape == (100_000, 42)
    assert 25_000 <= rows.labels[:, 0].sum() <= 28_000
    assert np.bincount(rows.classes["failure"]).min() > 20_000
    assert set(rows.roles["last"].tolist()) == set(range(2, 42, 2))
    # more than eight in ten of the strings are there once
    assert rows.documents.max() + 1 > 80_000


@pytest.mark.parametrize("string", ["", "(", "(()", "()" * 21, "(]", "( )"])
def test_what_is_no_string_of_brackets_is_refused(string: str) -> None:
    with pytest.raises(TaskError) as refused:
        bracket_rows(["()", string])
    assert str(refused.value) == (
        f"Reading brackets: expected “(” and “)” alone, an even number from 2 to 40, got “{string[:60]}”."
    )
