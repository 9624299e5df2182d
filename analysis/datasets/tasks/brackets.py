"""Are these brackets balanced: the published task for a small classifier.

A string is balanced if it has as many "(" as ")" (count test) and, read from the right, never more "(" than ")"
(horizon test). Its class is read at position 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from analysis.datasets.task import ABSENT, Feature, Split, TaskError, TaskRows

from .bracket_strings import LONGEST, string_block
from .drawing import draw

KEY = "brackets"
VERSION = 1
VOCABULARY = ("[start]", "[pad]", "[end]", "(", ")")
START, PAD, END, OPEN, CLOSE = range(5)
N_POSITIONS = LONGEST + 2
# Every share of at most 40 brackets times this is a whole number: 5.3e15, within int64.
PROPORTION_SCALE = math.lcm(*range(1, LONGEST + 1))
# `classes["failure"]`
FAILURES = ("balanced", "count alone fails", "horizon alone fails", "both fail")
ROLES = {
    "start": "the start token, at which the class is read",
    "first": "the first bracket",
    "last": "the last bracket",
    "end": "the end token",
}


def make_rows(split: Split, *, n: int, seed: int) -> TaskRows:
    """`n` strings of the mix, repeated ones included as often as they are drawn."""
    key = (KEY, VERSION, seed)
    return bracket_rows(draw(string_block, key=key, split=split, content=str.encode, n=n, distinct=False))


def bracket_rows(strings: Sequence[str]) -> TaskRows:
    """Any strings of brackets as rows of 42 positions; equal strings are one document."""
    tokens = np.full((len(strings), N_POSITIONS), PAD, dtype=np.int64)
    for row, string in enumerate(strings):
        if len(string) % 2 or not 2 <= len(string) <= LONGEST or set(string) - {"(", ")"}:
            raise TaskError(
                f"Reading brackets: expected “(” and “)” alone, an even number from 2 to {LONGEST}, "
                f"got “{string[:60]}”."
            )
        tokens[row, : len(string) + 2] = [START, *(OPEN if bracket == "(" else CLOSE for bracket in string), END]
    first = np.arange(N_POSITIONS) == 0
    counts, horizons = _count_test(tokens), _horizon_test(tokens)
    lengths = ((tokens == OPEN) | (tokens == CLOSE)).sum(axis=1)
    number = {string: index for index, string in enumerate(dict.fromkeys(strings))}
    return TaskRows(
        tokens=tokens,
        mask=tokens != PAD,
        counted=np.broadcast_to(first, tokens.shape).copy(),
        labels=np.where(first, (counts & horizons)[:, None], 0).astype(np.int64),
        documents=np.asarray([number[string] for string in strings], dtype=np.int64),
        roles={
            "start": np.zeros(len(strings), dtype=np.int64),
            "first": np.ones(len(strings), dtype=np.int64),
            "last": lengths,
            "end": lengths + 1,
        },
        classes={"failure": np.where(counts, 0, 1) + np.where(horizons, 0, 2)},
    )


def _suffixes(tokens: Int[np.ndarray, "rows pos"]) -> tuple[np.ndarray, np.ndarray]:
    """How many "(" and how many brackets there are from each position on, [rows, pos] each."""
    opens, brackets = tokens == OPEN, (tokens == OPEN) | (tokens == CLOSE)
    from_right = [np.cumsum(which[:, ::-1], axis=1)[:, ::-1].astype(np.int64) for which in (opens, brackets)]
    return from_right[0], from_right[1]


def _count_test(tokens: Int[np.ndarray, "rows pos"]) -> np.ndarray:
    return (tokens == OPEN).sum(axis=1) == (tokens == CLOSE).sum(axis=1)


def _horizon_test(tokens: Int[np.ndarray, "rows pos"]) -> np.ndarray:
    opens, brackets = _suffixes(tokens)
    # position 0 is no bracket, and its suffix is that of position 1
    return np.max(2 * opens - brackets, axis=1) <= 0


def _open_proportion(rows: TaskRows) -> np.ndarray:
    opens, brackets = _suffixes(np.asarray(rows.tokens, dtype=np.int64))
    return np.where(brackets > 0, opens * (PROPORTION_SCALE // np.maximum(brackets, 1)), ABSENT)


def _horizon_class(rows: TaskRows) -> np.ndarray:
    tokens = np.asarray(rows.tokens)
    opens, brackets = _suffixes(tokens)
    after_open = np.roll(tokens, 1, axis=1) == OPEN
    by_suffix = np.where(2 * opens > brackets, -2, 2)
    return np.select([tokens == PAD, tokens == END], [0, np.where(after_open, -1, 1)], by_suffix)


FEATURES = (
    Feature("count_test", "1 where there are as many “(” as “)”.", False, lambda rows: _count_test(rows.tokens)),
    Feature(
        "horizon_test",
        "1 where, read from the right, “(” never exceed “)”.",
        False,
        lambda rows: _horizon_test(rows.tokens),
    ),
    Feature("starts_with_open", "1 where the first bracket is “(”.", False, lambda rows: rows.tokens[:, 1] == OPEN),
    Feature("balanced", "1 where both tests are passed.", False, lambda rows: rows.labels[:, 0]),
    Feature("length", "The number of brackets.", False, lambda rows: rows.roles["last"]),
    Feature(
        "overall_proportion",
        "The share of “(” among all brackets.",
        False,
        lambda rows: _open_proportion(rows)[:, 0],
        scale=PROPORTION_SCALE,
    ),
    Feature(
        "open_proportion",
        "The share of “(” among the brackets from this position to the end, exactly; absent at the end token and in "
        "padding.",
        True,
        _open_proportion,
        scale=PROPORTION_SCALE,
    ),
    Feature(
        "horizon_class",
        "0 in padding; at the end token −1 after “(” and 1 after “)”; elsewhere −2 where the open proportion is above "
        "½, else 2.",
        True,
        _horizon_class,
    ),
    Feature("token", "The token: start 0, padding 1, end 2, “(” 3, “)” 4.", True, lambda rows: rows.tokens),
)
