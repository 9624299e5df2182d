"""Strings of brackets, drawn from a stated mix in which either test can fail alone.

The published set has 100,000 strings of even length 2–40 of which 26,412 are balanced; how its others were made is not
published. Ours: half the length is k = 1…20 with probability k / 210, and a string is of one of these kinds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

LONGEST = 40
BLOCK = 4096

Steps = Int[np.ndarray, "strings places"]  # "(" 1, ")" −1, behind the string's end 0
Halves = Int[np.ndarray, " strings"]  # half of each string's length


def random_strings(generator: np.random.Generator, halves: Halves) -> Steps:
    """Each bracket by a fair coin: mostly both tests fail."""
    coins = generator.integers(0, 2, size=(len(halves), LONGEST)) * 2 - 1
    return np.where(_places() < 2 * halves[:, None], coins, 0)


def balanced_strings(generator: np.random.Generator, halves: Halves) -> Steps:
    """Uniform among the balanced strings of a length, by the cycle lemma: of k "(" and k + 1 ")" in any order one
    rotation alone stays at 0 or above until its last step, which is left out."""
    steps = _shuffled(generator, opens=halves, closes=halves + 1)
    lengths = 2 * halves[:, None] + 1
    places = np.arange(steps.shape[1])
    heights = np.where(places < lengths, np.cumsum(steps, axis=1), LONGEST)
    start = heights.argmin(axis=1)[:, None] + 1
    rotated = np.take_along_axis(steps, (start + places) % lengths, axis=1)
    return np.where(places < lengths - 1, rotated, 0)[:, :LONGEST]


def count_failures(generator: np.random.Generator, halves: Halves) -> Steps:
    """A balanced string of which 1 to k of the "(" are turned round: the count is wrong, the horizon right."""
    steps = balanced_strings(generator, halves)
    turned = generator.integers(1, halves + 1)
    return np.where(_ranks(generator, steps == 1) < turned[:, None], -steps, steps)


def horizon_failures(generator: np.random.Generator, halves: Halves) -> Steps:
    """As many "(" as ")" in any order, what is balanced read backwards: the count is right, the horizon wrong."""
    steps = _shuffled(generator, opens=halves, closes=halves)[:, :LONGEST]
    balanced = np.cumsum(steps, axis=1).min(axis=1, keepdims=True) >= 0
    places = _places()
    backwards = np.where(places < 2 * halves[:, None], 2 * halves[:, None] - 1 - places, places)
    return np.where(balanced, np.take_along_axis(steps, backwards, axis=1), steps)


def near_balanced(generator: np.random.Generator, halves: Halves) -> Steps:
    """A balanced string of which any one bracket is turned round, or else (by a fair coin) one "(" and one ")"."""
    steps = balanced_strings(generator, halves)
    one = _ranks(generator, steps != 0) == 0
    each = (_ranks(generator, steps == 1) == 0) | (_ranks(generator, steps == -1) == 0)
    return np.where(np.where(generator.random((len(halves), 1)) < 0.5, one, each), -steps, steps)


# What a string is, and how many in a hundred. A few of the random and of the near-balanced ones are balanced too.
MIX: tuple[tuple[Callable[[np.random.Generator, Halves], Steps], int], ...] = (
    (balanced_strings, 21),
    (random_strings, 31),
    (count_failures, 16),
    (horizon_failures, 16),
    (near_balanced, 16),
)


def string_block(generator: np.random.Generator) -> list[str]:
    """So many strings of the mix."""
    weights = np.arange(1, LONGEST // 2 + 1)
    halves = generator.choice(weights, size=BLOCK, p=weights / weights.sum())
    kinds = generator.choice(len(MIX), size=BLOCK, p=[share / 100 for _, share in MIX])
    steps = np.zeros((BLOCK, LONGEST), dtype=np.int64)
    for kind, (make, _) in enumerate(MIX):
        steps[kinds == kind] = make(generator, halves[kinds == kind])
    written = np.where(steps == 1, ord("("), ord(")")).astype(np.uint8)
    return [line[: 2 * half].tobytes().decode() for line, half in zip(written, halves, strict=True)]


def _places() -> np.ndarray:
    return np.arange(LONGEST)


def _shuffled(generator: np.random.Generator, *, opens: Halves, closes: Halves) -> Steps:
    """So many "(" and ")" in any order, one place more than the longest string."""
    places = np.arange(LONGEST + 1)
    steps = np.where(places < opens[:, None], 1, np.where(places < (opens + closes)[:, None], -1, 0))
    keys = np.where(steps == 0, 2.0, generator.random(steps.shape))
    return np.take_along_axis(steps, np.argsort(keys, axis=1, kind="stable"), axis=1)


def _ranks(generator: np.random.Generator, among: np.ndarray) -> np.ndarray:
    """A random order of the marked places of each string, from 0; other places come behind."""
    keys = np.where(among, generator.random(among.shape), 2.0)
    return np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1, kind="stable")
