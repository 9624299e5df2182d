"""Feature expressions: what they give, by naive loops, and every sentence of refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.datasets.features import MOST_DEPTH, evaluate, is_by_position, register, validate
from analysis.datasets.task import ABSENT, Feature, FeatureError, TaskRows


def rows_of(tokens: list[list[int]]) -> TaskRows:
    array = np.asarray(tokens, dtype=np.int64)
    return TaskRows(
        tokens=array,
        mask=np.ones(array.shape, dtype=bool),
        counted=np.ones(array.shape, dtype=bool),
        labels=array,
        documents=np.arange(len(array)),
    )


VOCABULARY = {
    feature.key: feature
    for feature in (
        Feature("token", "the token", True, lambda rows: rows.tokens),
        Feature("halves", "the token, counted in halves", True, lambda rows: rows.tokens, scale=2),
        Feature("first", "the first token", False, lambda rows: rows.tokens[:, 0]),
        Feature("total", "the sum of the tokens", False, lambda rows: rows.tokens.sum(axis=1)),
        Feature("root", "a float", True, lambda rows: np.sqrt(np.abs(rows.tokens)), continuous=True),
        Feature("mean", "a float of the row", False, lambda rows: rows.tokens.mean(axis=1), continuous=True),
    )
}


def by_position(expression: Any) -> bool:
    text = str(expression)
    return any(name in text for name in ("token", "halves", "root"))


EDGES = st.lists(st.integers(-20, 20) | st.floats(-20, 20), min_size=1, max_size=4, unique=True).map(sorted)
NUMBERS = st.deferred(
    lambda: (
        st.sampled_from(["token", "first", "total"])
        | st.tuples(EXPRESSIONS_BY_POSITION, st.sampled_from([-7, -2, -1, 0, 1, 2, 7])).map(
            lambda t: {"offset": list(t)}
        )
        | st.lists(NUMBERS, min_size=2, max_size=2).map(lambda pair: {"equal": pair})
        | st.tuples(NUMBERS | st.sampled_from(["halves", "root", "mean"]), EDGES).map(lambda t: {"bin": list(t)})
    )
)
EXPRESSIONS_BY_POSITION = st.sampled_from(["token"]) | NUMBERS.filter(by_position)
EXPRESSIONS = NUMBERS | st.lists(NUMBERS, min_size=1, max_size=3).map(lambda many: {"all": many})


def depth(expression: Any) -> int:
    if isinstance(expression, str):
        return 1
    return 1 + max(depth(part) for arguments in expression.values() for part in arguments if not_a_number(part))


def not_a_number(part: Any) -> bool:
    return isinstance(part, str | dict)


def slowly(expression: Any, tokens: list[list[int]], row: int, pos: int) -> Any:
    """The value at one position, as the grammar's sentences say; None: absent, so that it is equal to itself alone."""
    line = tokens[row]
    if isinstance(expression, str):
        return {
            "token": line[pos],
            "halves": Fraction(line[pos], 2),
            "first": line[0],
            "total": sum(line),
            "root": float(np.sqrt(abs(line[pos]))),
            "mean": sum(line) / len(line),
        }[expression]
    ((name, arguments),) = expression.items()
    if name == "all":
        return tuple(slowly(argument, tokens, row, pos) for argument in arguments)
    if name == "equal":
        left, right = (slowly(argument, tokens, row, pos) for argument in arguments)
        return int(left == right)
    if name == "offset":
        there = pos + arguments[1]
        return slowly(arguments[0], tokens, row, there) if 0 <= there < len(line) else None
    value = slowly(arguments[0], tokens, row, pos)
    return None if value is None else sum(value >= edge for edge in arguments[1])


TOKENS = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(st.integers(-5, 5), min_size=width, max_size=width), min_size=1, max_size=5)
)


@given(EXPRESSIONS.filter(lambda e: depth(e) <= MOST_DEPTH), TOKENS)
def test_an_expression_is_what_a_loop_over_positions_says(expression: Any, tokens: list[list[int]]) -> None:
    values = evaluate(expression, rows_of(tokens), VOCABULARY)
    assert values.dtype == np.int64
    assert is_by_position(expression, VOCABULARY) is by_position(expression)
    assert values.shape == ((len(tokens), len(tokens[0])) if by_position(expression) else (len(tokens),))
    spread = values if values.ndim == 2 else np.repeat(values[:, None], len(tokens[0]), axis=1)
    slow = [[slowly(expression, tokens, r, p) for p in range(len(tokens[0]))] for r in range(len(tokens))]
    if "all" in expression:
        flat = list(zip((value for line in slow for value in line), spread.ravel().tolist(), strict=True))
        assert all((a == b) == (x == y) for a, x in flat for b, y in flat)
        assert sorted({code for _, code in flat}) == list(range(len({code for _, code in flat})))
    else:
        assert spread.tolist() == [[ABSENT if value is None else value for value in line] for line in slow]


def test_the_five_combinations_by_hand() -> None:
    rows = rows_of([[3, 1, 3], [3, 2, 1]])
    assert evaluate("first", rows, VOCABULARY).tolist() == [3, 3]
    assert evaluate({"equal": ["token", "first"]}, rows, VOCABULARY).tolist() == [[1, 0, 1], [1, 0, 0]]
    assert evaluate({"offset": ["token", -1]}, rows, VOCABULARY).tolist() == [[ABSENT, 3, 1], [ABSENT, 3, 2]]
    assert evaluate({"offset": ["token", 2]}, rows, VOCABULARY).tolist() == [[3, ABSENT, ABSENT], [1, ABSENT, ABSENT]]
    assert evaluate({"bin": ["halves", [1, 1.5]]}, rows, VOCABULARY).tolist() == [[2, 0, 2], [2, 1, 0]]
    assert evaluate({"all": ["first", "token"]}, rows, VOCABULARY).tolist() == [[2, 0, 2], [2, 1, 0]]
    assert evaluate({"all": ["first", "total"]}, rows, VOCABULARY).tolist() == [1, 0]


def test_edges_are_compared_exactly_and_beyond_all_integers() -> None:
    thirds = {"third": Feature("third", "thirds", False, lambda rows: rows.tokens[:, 0], scale=3)}
    rows = rows_of([[1], [2], [2**62]])
    # the float nearest to 1/3 lies below it, the next one above
    assert evaluate({"bin": ["third", [1 / 3]]}, rows, thirds).tolist() == [1, 1, 1]
    assert evaluate({"bin": ["third", [float(np.nextafter(1 / 3, 1))]]}, rows, thirds).tolist() == [0, 1, 1]
    assert evaluate({"bin": ["third", [-1e200, 1e200]]}, rows, thirds).tolist() == [1, 1, 1]


def test_agreement_of_many_columns_never_overflows() -> None:
    generator = np.random.default_rng(0)
    rows = rows_of(generator.integers(-(2**62), 2**62, size=(300, 40)).tolist())
    codes = evaluate({"all": ["token", {"offset": ["token", 1]}, {"offset": ["token", 2]}, "total"]}, rows, VOCABULARY)
    assert len(np.unique(codes)) == codes.size
    assert codes.min() == 0
    assert codes.max() == codes.size - 1


def nested(levels: int) -> Any:
    expression: Any = "token"
    for _ in range(levels - 1):
        expression = {"offset": [expression, 1]}
    return expression


NAMES = "first, halves, mean, root, token, total"
REFUSALS: list[tuple[Any, str]] = [
    ("colour", f"Reading the feature: expected one of {NAMES}, got 'colour'."),
    (7, "Reading the feature: expected the name of a feature or one of all, equal, offset, bin with a list, got 7."),
    (
        {"all": ["token", "first"], "bin": []},
        "Reading the feature: expected the name of a feature or one of all, equal, offset, bin with a list, "
        "got {'all': ['token', 'first'], 'bin': []}.",
    ),
    ({"any": ["token", "first"]}, "Reading the feature: expected one of all, equal, offset, bin, got 'any'."),
    ({"all": "token"}, "Reading the feature at all: expected a list, got 'token'."),
    ({"all": []}, "Reading the feature at all: expected 1 to 32 features, got 0."),
    ({"all": ["token"] * 33}, "Reading the feature at all: expected 1 to 32 features, got 33."),
    (
        {"all": [{"all": ["token"] * 20}, {"all": ["token"] * 20}]},
        "Reading the feature: expected at most 32 features, got 40.",
    ),
    (
        {"all": ["token", {"equal": ["first", "colour"]}]},
        f"Reading the feature at all[1].equal[1]: expected one of {NAMES}, got 'colour'.",
    ),
    ({"equal": ["token"]}, "Reading the feature at equal: expected two features, got 1."),
    (
        {"equal": ["token", "halves"]},
        "Reading the feature at equal: expected two features that count in the same unit, and no “all”, "
        "got ['token', 'halves'].",
    ),
    (
        {"equal": [{"all": ["token", "first"]}, {"all": ["first", "token"]}]},
        "Reading the feature at equal: expected two features that count in the same unit, and no “all”, "
        "got [{'all': ['token', 'first']}, {'all': ['first', 'token']}].",
    ),
    (
        {"offset": ["token"]},
        "Reading the feature at offset: expected a feature and a number of positions, got ['token'].",
    ),
    (
        {"offset": ["first", 1]},
        "Reading the feature at offset[0]: expected a feature by position, got one of the whole row.",
    ),
    *(
        (
            {"offset": ["token", distance]},
            f"Reading the feature at offset[1]: expected a whole number from −1000 to 1000, got {distance!r}.",
        )
        for distance in (-1001, 1001, 1.0, True, "1", None)
    ),
    (
        {"bin": ["token", [1], [2]]},
        "Reading the feature at bin: expected a feature and a list of edges, got ['token', [1], [2]].",
    ),
    (
        {"bin": [{"all": ["token", "first"]}, [1]]},
        "Reading the feature at bin[0]: expected a feature that is a number, got an “all”.",
    ),
    *(
        (
            {"bin": ["token", edges]},
            "Reading the feature at bin[1]: expected 1 to 100 numbers in ascending order, got " + shown + ".",
        )
        for edges, shown in (
            ([], "[]"),
            ([2, 1], "[2, 1]"),
            ([1, 1], "[1, 1]"),
            ([float("nan")], "[nan]"),
            ([1, float("inf")], "[1, inf]"),
            ([True], "[True]"),
            (["1"], "['1']"),
            (3, "3"),
            (list(range(101)), "[0, 1, 2, 3, 4, 5, ...]"),
        )
    ),
    (
        "root",
        "Reading the feature: expected integers, on which rows can agree, got a continuous feature outside of “bin”.",
    ),
    (
        {"all": ["token", {"offset": ["root", 1]}]},
        "Reading the feature at all[1]: expected integers, on which rows can agree, got a continuous feature outside "
        "of “bin”.",
    ),
    (
        nested(21),
        f"Reading the feature at {'.'.join(['offset[0]'] * 20)}: expected at most 20 levels of one in another, "
        "got more.",
    ),
]


@pytest.mark.parametrize(("expression", "sentence"), REFUSALS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("read", [validate, is_by_position, lambda e, v: evaluate(e, rows_of([[1]]), v)])
def test_what_says_nothing_is_refused_with_its_place(read: Callable[..., Any], expression: Any, sentence: str) -> None:
    with pytest.raises(FeatureError) as refused:
        read(expression, VOCABULARY)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("wrapped", ["all", "equal", "offset", "bin", "nothing"])
def test_what_is_very_deep_or_long_is_refused_by_a_short_sentence(wrapped: str) -> None:
    deep: Any = "token"
    for _ in range(50_000):
        deep = {wrapped: [deep, deep]} if wrapped != "nothing" else {"all": deep}
    for expression in (deep, {wrapped: deep}, "x" * 10**6, {"x" * 10**6: []}, {"bin": ["token", [10**400]]}):
        with pytest.raises(FeatureError) as refused:
            validate(expression, VOCABULARY)
        assert len(str(refused.value)) < 400


def test_one_level_less_than_too_deep_is_read() -> None:
    assert evaluate(nested(20), rows_of([list(range(30))]), VOCABULARY)[0, 0] == 19


def test_ones_own_feature_is_added_to_a_new_vocabulary_alone() -> None:
    last = Feature("last", "the last token", False, lambda rows: rows.tokens[:, -1])
    mine = register(VOCABULARY, last)
    assert evaluate({"all": ["last", "first"]}, rows_of([[1, 2], [1, 2], [1, 3]]), mine).tolist() == [0, 0, 1]
    assert "last" not in VOCABULARY


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (
            Feature("token", "", True, lambda rows: rows.tokens),
            "Registering the feature “token”: expected a key that is not in the vocabulary, got one that is.",
        ),
        (
            Feature("My token", "", True, lambda rows: rows.tokens),
            "Registering the feature “My token”: expected a key of small letters, digits and underscores, "
            "a letter first.",
        ),
        (
            Feature("mine", "", True, lambda rows: rows.tokens, scale=0),
            "Registering the feature “mine”: expected a scale of 1 or more, got 0.",
        ),
    ],
)
def test_a_feature_that_cannot_be_a_word_is_not_registered(feature: Feature, sentence: str) -> None:
    with pytest.raises(FeatureError) as refused:
        register(VOCABULARY, feature)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("by_position", "continuous", "values", "sentence"),
    [
        (False, False, np.zeros((2, 3)), "expected values of shape [2], got [2, 3]."),
        (True, False, np.zeros(2), "expected values of shape [2, 3], got [2]."),
        (False, False, np.zeros(2), "expected integers, got float64."),
        (False, False, np.zeros(2, dtype=np.uint64), "expected integers, got uint64."),
        (False, True, np.zeros(2, dtype=int), "expected floats without NaN, got int64."),
        (False, True, np.full(2, np.nan), "expected floats without NaN, got NaN."),
    ],
)
def test_ones_own_feature_that_gives_something_else_is_refused(
    by_position: bool, continuous: bool, values: np.ndarray, sentence: str
) -> None:
    mine = register(VOCABULARY, Feature("mine", "", by_position, lambda rows: values, continuous=continuous))
    with pytest.raises(FeatureError) as refused:
        evaluate({"bin": ["mine", [0]]}, rows_of([[1, 2, 3], [4, 5, 6]]), mine)
    assert str(refused.value) == f"Evaluating the feature mine: {sentence}"


def test_expressions_are_checked_without_torch() -> None:
    code = "import sys, analysis.datasets.features, analysis.datasets.task; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
