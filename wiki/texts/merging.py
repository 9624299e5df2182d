"""What two people made of one text, put together line by line."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

from .alignment import Block, align


@dataclasses.dataclass(frozen=True)
class Settled:
    """Lines that one side changed, both changed alike, or neither changed."""

    text: str


@dataclasses.dataclass(frozen=True)
class Clash:
    """Lines that both sides changed, each differently."""

    base: str
    yours: str
    theirs: str


@dataclasses.dataclass(frozen=True)
class Merge:
    """Clashes are data: nothing is ever written into the text to mark them."""

    pieces: tuple[Settled | Clash, ...]

    @property
    def clean(self) -> bool:
        return not any(isinstance(piece, Clash) for piece in self.pieces)

    @property
    def text(self) -> str:
        """The merged text; only of a clean merge."""
        assert self.clean
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Settled))


def merge(base: str, yours: str, theirs: str) -> Merge:
    """Three-way merge by lines: what either side changed since `base`; a clash where both changed the same lines."""
    base_lines, your_lines, their_lines = (text.splitlines(keepends=True) for text in (base, yours, theirs))
    pieces: list[Settled | Clash] = []
    at_base = at_yours = at_theirs = 0
    for in_base, in_yours, in_theirs, size in _unchanged(base_lines, your_lines, their_lines):
        pieces.append(
            _decide(
                "".join(base_lines[at_base:in_base]),
                "".join(your_lines[at_yours:in_yours]),
                "".join(their_lines[at_theirs:in_theirs]),
            )
        )
        pieces.append(Settled("".join(base_lines[in_base : in_base + size])))
        at_base, at_yours, at_theirs = in_base + size, in_yours + size, in_theirs + size
    return Merge(tuple(_joined(pieces)))


def _joined(pieces: list[Settled | Clash]) -> Iterator[Settled | Clash]:
    """The clashes, and between two of them all that is settled as one piece, where there is any."""
    for is_settled, run in itertools.groupby(pieces, key=lambda piece: isinstance(piece, Settled)):
        if not is_settled:
            yield from run
        elif text := "".join(piece.text for piece in run if isinstance(piece, Settled)):
            yield Settled(text)


def _decide(base: str, yours: str, theirs: str) -> Settled | Clash:
    if theirs in (yours, base):
        return Settled(yours)
    return Settled(theirs) if yours == base else Clash(base, yours, theirs)


def _unchanged(base: list[str], yours: list[str], theirs: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where each run of lines that neither side changed begins in the three texts, and its size; then their ends."""
    mine, other = iter(align(base, yours)), iter(align(base, theirs))
    one, two = next(mine, None), next(other, None)
    while one and two:
        start = max(one.in_before, two.in_before)
        end = min(_end(one), _end(two))
        if start < end:
            yield start, one.in_after + start - one.in_before, two.in_after + start - two.in_before, end - start
        if _end(one) == end:
            one = next(mine, None)
        else:
            two = next(other, None)
    yield len(base), len(yours), len(theirs), 0


def _end(block: Block) -> int:
    return block.in_before + block.size
