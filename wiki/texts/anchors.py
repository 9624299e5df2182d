"""What exactly a note is about: a cell of an attention pattern, a token of an example, a passage of a text, a figure.

An anchor lies in the fields of a revision, `{"anchor": {"kind": …}}`, so it is versioned with the note. It says what
was seen, in words too, so that it can be found again where the thing moved, and named where it is gone.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode

from wiki import markdown

from .errors import TextError
from .models import Page, Revision

LONGEST_QUOTE, LONGEST_CONTEXT, LONGEST_STATE, LONGEST_TOKEN = 1_000, 60, 500, 100
# What is before and after a passage finds it again where it was rewritten, if it is at least so long on both sides.
SHORTEST_CONTEXT = 12
VIEWS = ("", "value", "row")

_TEXT_KEY = re.compile(r"[a-z0-9-]{1,60}\.\d{1,7}|[0-9a-f]{8,64}")
_WORD = re.compile(r"[a-z0-9_-]{1,60}")
_HASH = re.compile(r"[0-9a-f]{8,64}|")


class AnchorError(TextError):
    """What is said to be anchored to cannot be that."""


@dataclasses.dataclass(frozen=True)
class CellAnchor:
    """A query and a key of a head on a text."""

    kind: ClassVar[str] = "cell"
    text: str  # as the head's page names it: `sotu.3`, or the hash of a text of one's own
    q: int
    k: int
    view: str  # what is shown of the cell: a word of `VIEWS`
    query_token: str
    key_token: str
    tokens: str  # digest of all tokens of the text, by which it is known again
    survey: str  # that the pattern was read from; empty: a text of one's own

    def __post_init__(self) -> None:
        _require(_TEXT_KEY.fullmatch(self.text), self.kind, f"a text, got “{self.text[:80]}”")
        _require(0 <= self.k < 100_000 and 0 <= self.q < 100_000, self.kind, f"positions, got {self.q} and {self.k}")
        _require(self.view in VIEWS, self.kind, f"a view, got “{self.view[:40]}”")
        _require(_HASH.fullmatch(self.survey), self.kind, f"a survey’s hash, got “{self.survey[:80]}”")
        _require(_HASH.fullmatch(self.tokens), self.kind, f"a digest, got “{self.tokens[:80]}”")

    @property
    def words(self) -> str:
        shown = {"": "attention", "value": "value-weighted attention", "row": "share of value-weighted attention"}
        return (
            f"{shown[self.view]} from “{self.query_token}”, position {self.q}, to “{self.key_token}”, position "
            f"{self.k}, on the text {self.text}"
        )

    @property
    def query(self) -> str:
        return urlencode({"text": self.text, **({"view": self.view} if self.view else {}), "q": self.q, "k": self.k})


@dataclasses.dataclass(frozen=True)
class TokenAnchor:
    """A token of one of the texts that a survey shows as examples."""

    kind: ClassVar[str] = "token"
    dataset: str
    row: int
    position: int
    examples: str  # among which it is shown: the interval or group as the page's address names it
    token: str
    survey: str

    def __post_init__(self) -> None:
        _require(_WORD.fullmatch(self.dataset), self.kind, f"a dataset, got “{self.dataset[:80]}”")
        _require(_WORD.fullmatch(self.examples), self.kind, f"some of the examples, got “{self.examples[:80]}”")
        _require(0 <= self.row < 10**9, self.kind, f"a row, got {self.row}")
        _require(0 <= self.position < 100_000, self.kind, f"a position, got {self.position}")
        _require(_HASH.fullmatch(self.survey), self.kind, f"a survey’s hash, got “{self.survey[:80]}”")

    @property
    def words(self) -> str:
        return f"the token “{self.token}”, position {self.position} of row {self.row} of {self.dataset}"


@dataclasses.dataclass(frozen=True)
class SpanAnchor:
    """A passage of a text, as its readers see it: without markup."""

    kind: ClassVar[str] = "span"
    page: int
    revision: int
    quote: str
    prefix: str
    suffix: str
    start: int  # in characters of the text as it is read

    def __post_init__(self) -> None:
        n = len(self.quote)
        _require(0 < n <= LONGEST_QUOTE, self.kind, f"a quote of 1 to {LONGEST_QUOTE} characters, got {n}")
        _require(max(len(self.prefix), len(self.suffix)) <= LONGEST_CONTEXT, self.kind, "less around the quote")
        _require(min(self.page, self.revision) > 0 and self.start >= 0, self.kind, "a page, a revision and a place")

    @property
    def words(self) -> str:
        return f"“{self.quote if len(self.quote) <= 120 else self.quote[:119] + '…'}”"

    @property
    def fragment(self) -> str:
        """What browsers go to and mark in the text."""
        first, last = self.quote[:120], self.quote[-60:] if len(self.quote) > 200 else ""
        parts = [quote(part.strip(), safe="").replace("-", "%2D") for part in (first, last) if part.strip()]
        return f"#:~:text={','.join(parts)}"


@dataclasses.dataclass(frozen=True)
class FigureAnchor:
    """A figure of a part's page, as it was shown."""

    kind: ClassVar[str] = "figure"
    name: str
    state: str  # the parameters of the page's address that it depends on

    def __post_init__(self) -> None:
        _require(_WORD.fullmatch(self.name), self.kind, f"a figure, got “{self.name[:80]}”")
        _require(len(self.state) <= LONGEST_STATE, self.kind, "a shorter address")

    @property
    def words(self) -> str:
        shown = ", ".join(f"{name} {value}" for name, value in parse_qsl(self.state))
        return f"the figure {self.name}{f' with {shown}' if shown else ''}"


Anchor = CellAnchor | TokenAnchor | SpanAnchor | FigureAnchor
KINDS: dict[str, type[Anchor]] = {each.kind: each for each in (CellAnchor, TokenAnchor, SpanAnchor, FigureAnchor)}


def parse_anchor(data: Any) -> Anchor:
    """The anchor of these fields; AnchorError with a sentence where they say none."""
    if not isinstance(data, Mapping) or data.get("kind") not in KINDS:
        kind = data.get("kind") if isinstance(data, Mapping) else data
        raise AnchorError(f"Anchoring a note: expected one of {', '.join(KINDS)}, got “{str(kind)[:40]}”.")
    made_of = KINDS[data["kind"]]
    fields = {field.name: {"str": str, "int": int}[str(field.type)] for field in dataclasses.fields(made_of)}
    given = {name: value for name, value in data.items() if name != "kind"}
    wrong = set(given) ^ set(fields) or {name for name, of in fields.items() if type(given[name]) is not of}
    if wrong:
        raise AnchorError(
            f"Anchoring a note to a {made_of.kind}: expected {', '.join(fields)}, got other {', '.join(sorted(wrong))}."
        )
    if any("\0" in value or len(value) > LONGEST_QUOTE for value in given.values() if isinstance(value, str)):
        raise AnchorError(f"Anchoring a note to a {made_of.kind}: expected shorter texts.")
    return made_of(**given)


def anchor_json(anchor: Anchor) -> dict[str, Any]:
    return {"kind": anchor.kind, **dataclasses.asdict(anchor)}


def fields_of(anchor: Anchor) -> dict[str, Any]:
    """The fields of a revision with this anchor. A passage is linked to, so that its text knows of it."""
    links = {"links": [["mentions", f"a/{anchor.page}"]]} if isinstance(anchor, SpanAnchor) else {}
    return {"anchor": anchor_json(anchor), **links}


def anchor_of(revision: Revision | None) -> Anchor | None:
    """The anchor of a revision; None where it has none, or one that an earlier version of the site understood."""
    return anchor_in(revision.fields) if revision else None


def anchor_in(fields: dict[str, Any]) -> Anchor | None:
    """The anchor in the fields of a revision, as `anchor_of`."""
    try:
        return parse_anchor(fields["anchor"]) if "anchor" in fields else None
    except AnchorError:
        return None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a passage is in a text now."""

    start: int
    end: int
    is_same: bool  # the words are those that were quoted; else what stands between the same words around them


def readable(text: str) -> str:
    """A text as it is read: without markup, white space folded. Raises UnreadableTextError."""
    rendered = markdown.render(text, prefix="read", resolve=lambda _: {})
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", rendered.html)).split())


def span_in(page: Page, chosen: str, *, before: str = "", near: int = 0) -> SpanAnchor:
    """The anchor of a passage that somebody chose in the current revision, nearest to `near` where it comes often.

    `before` is what stands before it. AnchorError where the text does not have it.
    """
    assert page.current is not None
    text, chosen = readable(page.current.text), " ".join(chosen.split())
    starts = _starts(text, chosen)
    if not starts:
        raise AnchorError(
            f"Quoting a text: expected words of revision {page.current.n} as they are read there, got “{chosen[:120]}”."
        )
    before = " ".join(before.split())
    start = max(starts, key=lambda at: (_common_end(text[:at].rstrip(), before), -abs(at - near)))
    return _span(page.pk, page.current.n, text, start, start + len(chosen))


def find_span(anchor: SpanAnchor, text: str) -> Place | None:
    """Where a passage is in a text as it is read now: the same words, of several those with the same around them;
    else what stands between the same words; else None."""
    starts = _starts(text, anchor.quote)
    if starts:

        def likeness(at: int) -> tuple[int, int]:
            around = _common_end(text[:at], anchor.prefix)
            around += _common_start(text[at + len(anchor.quote) :], anchor.suffix)
            return around, -abs(at - anchor.start)

        start = max(starts, key=likeness)
        return Place(start, start + len(anchor.quote), is_same=True)
    if min(len(anchor.prefix.strip()), len(anchor.suffix.strip())) < SHORTEST_CONTEXT:
        return None
    places = []
    for before in _starts(text, anchor.prefix):
        start = before + len(anchor.prefix)
        end = text.find(anchor.suffix, start)
        if 0 <= end - start <= 2 * len(anchor.quote) + 40:
            places.append(Place(start, end, is_same=False))
    return min(places, key=lambda place: abs(place.start - anchor.start), default=None)


def _span(page: int, revision: int, text: str, start: int, end: int) -> SpanAnchor:
    return SpanAnchor(
        page=page,
        revision=revision,
        quote=text[start:end],
        prefix=text[max(0, start - LONGEST_CONTEXT) : start],
        suffix=text[end : end + LONGEST_CONTEXT],
        start=start,
    )


def _starts(text: str, part: str) -> list[int]:
    """Where a part begins in a text, the first hundred times."""
    found: list[int] = []
    at = text.find(part) if part else -1
    while at >= 0 and len(found) < 100:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _common_end(one: str, other: str) -> int:
    return _common_start(one[::-1], other[::-1])


def _common_start(one: str, other: str) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def _require(met: object, kind: str, expected: str) -> None:
    if not met:
        raise AnchorError(f"Anchoring a note to a {kind}: expected {expected}.")
