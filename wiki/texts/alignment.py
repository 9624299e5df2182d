"""Which parts of two sequences are the same, in bounded time.

The greedy algorithm of E. Myers, “An O(ND) difference algorithm and its variations” (1986). difflib's takes cubic time
on texts made to hurt; this one stops at a number of differences and then calls all between the common ends different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Insertions and removals that are looked for; work and memory grow with its square.
MOST_DIFFERENCES = 1_000


class Block(NamedTuple):
    """`before[in_before : in_before + size]` equals `after[in_after : in_after + size]`."""

    in_before: int
    in_after: int
    size: int


def align(before: Sequence[str], after: Sequence[str], *, most: int = MOST_DIFFERENCES) -> list[Block]:
    """The parts in common, in order: a longest common subsequence where at most `most` items differ, else both ends."""
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    n, m = len(before) - start - end, len(after) - start - end
    middle = _middle(before[start : start + n], after[start : start + m], most=most)
    blocks = [
        Block(0, 0, start),
        *(Block(block.in_before + start, block.in_after + start, block.size) for block in middle),
        Block(start + n, start + m, end),
    ]
    return [block for block in blocks if block.size]


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many items both begin with."""
    n = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        n += 1
    return n


def _middle(before: Sequence[str], after: Sequence[str], *, most: int) -> list[Block]:
    n, m = len(before), len(after)
    if not n or not m:
        return []
    most = min(most, n + m)
    centre = most + 1
    reached = [0] * (2 * centre + 1)  # by diagonal x − y, shifted by `centre`: the largest x
    trace: list[list[int]] = []  # before each step, the diagonals that the step reads
    for step in range(most + 1):
        trace.append(reached[centre - step - 1 : centre + step + 2])
        for diagonal in range(-step, step + 1, 2):
            below, above = reached[centre + diagonal - 1], reached[centre + diagonal + 1]
            x = above if diagonal == -step or (diagonal != step and below < above) else below + 1
            y = x - diagonal
            while x < n and y < m and before[x] == after[y]:
                x += 1
                y += 1
            reached[centre + diagonal] = x
            if x >= n and y >= m:
                return _walk_back(trace, n, m)
    return []


def _walk_back(trace: list[list[int]], x: int, y: int) -> list[Block]:
    blocks = []
    for step in range(len(trace) - 1, 0, -1):
        reached, diagonal = trace[step], x - y
        below, above = reached[diagonal + step], reached[diagonal + step + 2]
        inserted = diagonal == -step or (diagonal != step and below < above)
        was_x = above if inserted else below
        was_y = was_x - (diagonal + 1 if inserted else diagonal - 1)
        start_x, start_y = (was_x, was_y + 1) if inserted else (was_x + 1, was_y)
        blocks.append(Block(start_x, start_y, x - start_x))
        x, y = was_x, was_y
    blocks.append(Block(0, 0, x))
    return [block for block in reversed(blocks) if block.size]
