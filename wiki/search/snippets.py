"""The place of a text where what was looked for stands thickest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Set

from .words import words_among

LENGTH = 240  # characters
MAX_READ = 50_000  # of a text; a snippet of a longer one is of its beginning
# Each begins with what is looked for by itself, which is many times faster than trying a pattern at every character.
_LINK = re.compile(r"(!\[\[|\[\[)(?:[a-z-]+::)?([^\[\]|\n]*(?:\[\d+\])?)(?:\|([^\[\]\n]*))?\]\]")
_MATHS = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$\n]+)(?<!\s)\$(?!\d)", re.DOTALL)
# Commands of TeX: those that only set what follows, those that name a sign, and what stands between.
_SETTING, _SIGN, _SPACING = (
    re.compile(r"\\[A-Za-z]+\s*(?=\{)"),
    re.compile(r"\\([A-Za-z]+)"),
    re.compile(r"\\.|\}\s*\{"),
)
_BEGINNING = re.compile(r"^[ \t]*(?:#{1,6}|>|[-*+]|\d+\.)[ \t]+", re.MULTILINE)
_ADDRESSED = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*`~][*`~]{0,2}")


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of a snippet."""

    text: str
    is_marked: bool


def snippet_of(text: str, terms: Set[str]) -> list[Piece]:
    """The part of a text, without the marks of its Markdown, that has most of these terms, each of them marked."""
    plain = _plain(text[:MAX_READ])
    found = words_among(plain, terms)
    start, end = _window(plain, [(word.start, word.term) for word in found])
    pieces = [Piece("… ", is_marked=False)] if start else []
    at = start
    for word in found:
        if word.start >= at and word.end <= end:
            pieces += [
                Piece(plain[at : word.start], is_marked=False),
                Piece(plain[word.start : word.end], is_marked=True),
            ]
            at = word.end
    pieces.append(Piece(plain[at:end] + (" …" if end < len(plain) else ""), is_marked=False))
    return [piece for piece in pieces if piece.text]


def _plain(text: str) -> str:
    if "$" in text:
        text = _MATHS.sub(_without_commands, text)
    text = _ADDRESSED.sub(r"\1", _BEGINNING.sub("", _LINK.sub(_shown, text)))
    return " ".join(_MARKS.sub("", text).split())


def _shown(link: re.Match[str]) -> str:
    """What a link or an embed is called: of an embed not what it shows of its component."""
    begins, target, words = link.groups()
    return words or (re.split(r"[?#]", target, maxsplit=1)[0] if begins[0] == "!" else target)


def _without_commands(maths: re.Match[str]) -> str:
    """A formula as its letters: `A_{qk}` is `A_qk`, `\\alpha` is `alpha`."""
    source = _SPACING.sub(" ", _SIGN.sub(r"\1", _SETTING.sub("", maths[1] or maths[2])))
    return re.sub(r"[{}]", "", source)


def _window(text: str, found: list[tuple[int, str]]) -> tuple[int, int]:
    """From where to where: the first place with most different terms, cut between words."""
    best, most, first = 0, 0, 0
    counts: dict[str, int] = {}
    for place, term in found:
        counts[term] = counts.get(term, 0) + 1
        while found[first][0] < place - LENGTH * 3 // 4:
            dropped = found[first][1]
            counts[dropped] -= 1
            if not counts[dropped]:
                del counts[dropped]
            first += 1
        if len(counts) > most:
            best, most = found[first][0], len(counts)
    start = max(0, best - LENGTH // 4)
    if start + LENGTH >= len(text):
        start = max(0, len(text) - LENGTH)
    if start:
        start = text.find(" ", start, best) + 1 or start
    end = min(len(text), start + LENGTH)
    if end < len(text):
        end = max(text.rfind(" ", start, end), start + LENGTH // 2) if " " in text[start:end] else end
    return start, end
