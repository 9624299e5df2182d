"""Keyed draws, and which split a sequence is in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from analysis.datasets.task import Split, TaskError
from analysis.schema import content_hash

T = TypeVar("T")

# So many candidates are drawn in a row without one that may be taken: there are none left.
FRUITLESS_BLOCKS = 20


def split_of(content: bytes) -> Split:
    """Where a sequence belongs: half of all contents are for searching, the others for confirming."""
    return Split.CONFIRM if hashlib.sha256(content).digest()[0] & 1 else Split.SEARCH


def keyed_generator(*key: str | int) -> np.random.Generator:
    """Random numbers that depend on nothing but the key."""
    return np.random.Generator(np.random.PCG64(int(content_hash(list(key)), 16)))


def draw(
    block: Callable[[np.random.Generator], Sequence[T]],
    *,
    key: Sequence[str | int],
    split: Split,
    content: Callable[[T], bytes],
    n: int,
    distinct: bool,
) -> list[T]:
    """`n` items of a split out of blocks keyed by their number, so that fewer are the first of more."""
    taken: list[T] = []
    seen: set[bytes] = set()
    number = fruitless = 0
    while len(taken) < n:
        before = len(taken)
        for item in block(keyed_generator(*key, split.value, number)):
            this = content(item)
            if split_of(this) is split and not (distinct and this in seen):
                taken.append(item)
                seen.add(this)
        number += 1
        fruitless = fruitless + 1 if len(taken) == before else 0
        if fruitless == FRUITLESS_BLOCKS:
            raise TaskError(
                f"Making rows of {key[0]} ({split.value}): expected at most {len(taken)} of them, as no more "
                f"different ones were found, got n = {n}."
            )
    return taken[:n]
