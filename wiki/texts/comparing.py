"""What changed between two texts, word by word."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator, Sequence

from .alignment import MOST_DIFFERENCES, Block, align

_WORD = re.compile(r"\s|\w+|[^\w\s]")
# Words of one changed passage that are told apart; a longer one is shown as removed and added.
MOST_WORDS = 20_000


# Lines of what is the same that are shown beside a change; what is left between, if it is as many, is folded away.
NEAR_LINES = 3


class Change(enum.Enum):
    SAME = "same"
    FOLDED = "folded"  # the same, and far from any change
    REMOVED = "removed"
    ADDED = "added"


@dataclasses.dataclass(frozen=True)
class Span:
    """SAME and REMOVED spans joined are the text before, SAME and ADDED ones the text after."""

    change: Change
    text: str

    @property
    def n_lines(self) -> int:
        return len(self.text.splitlines())


def diff(before: str, after: str) -> list[Span]:
    """The spans from one text to another: changed lines are found first, then the changed words in them."""
    spans: list[Span] = []
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    budget = MOST_DIFFERENCES
    for same, removed, added in _passages(old, new, align(old, new)):
        if removed and added and budget:
            old_words, new_words = _WORD.findall(removed), _WORD.findall(added)
            if len(old_words) + len(new_words) <= MOST_WORDS:
                blocks = align(old_words, new_words, most=budget)
                n_same = sum(block.size for block in blocks)
                budget = max(0, budget - (len(old_words) + len(new_words) - 2 * n_same))
                for same_words, removed_words, added_words in _passages(old_words, new_words, blocks):
                    _add(spans, removed=removed_words, added=added_words, same=same_words)
                _add(spans, removed="", added="", same=same)
                continue
        _add(spans, removed=removed, added=added, same=same)
    return spans


def fold(spans: list[Span]) -> list[Span]:
    """The same spans, with lines that are far from any change apart, so that a page can fold them away."""
    folded: list[Span] = []
    for i, span in enumerate(spans):
        lines = span.text.splitlines(keepends=True)
        before, after = (NEAR_LINES if i > 0 else 0), (NEAR_LINES if i + 1 < len(spans) else 0)
        if span.change is not Change.SAME or len(lines) < before + after + NEAR_LINES or len(spans) == 1:
            folded.append(span)
            continue
        end = len(lines) - after
        parts = (Change.SAME, lines[:before]), (Change.FOLDED, lines[before:end]), (Change.SAME, lines[end:])
        folded += [Span(change, "".join(part)) for change, part in parts if part]
    return folded


def _passages(before: Sequence[str], after: Sequence[str], blocks: list[Block]) -> Iterator[tuple[str, str, str]]:
    """For each block: what is the same in it, and what was removed and added just before it."""
    at_before = at_after = 0
    for in_before, in_after, size in [*blocks, Block(len(before), len(after), 0)]:
        yield (
            "".join(before[in_before : in_before + size]),
            "".join(before[at_before:in_before]),
            "".join(after[at_after:in_after]),
        )
        at_before, at_after = in_before + size, in_after + size


def _add(spans: list[Span], *, removed: str, added: str, same: str) -> None:
    """Append what is not empty, joined to the last span where that is of its kind."""
    for change, text in ((Change.REMOVED, removed), (Change.ADDED, added), (Change.SAME, same)):
        if text and spans and spans[-1].change is change:
            spans[-1] = Span(change, spans[-1].text + text)
        elif text:
            spans.append(Span(change, text))
