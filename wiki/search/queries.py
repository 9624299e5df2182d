"""What people type into the search box: words, "phrases" and -without; whatever else it is, it is words."""

from __future__ import annotations

import dataclasses
import re

from .words import component_term, terms_of

MAX_CHARACTERS = 400
MAX_TERMS = 20
_PIECE = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"|(?P<bare>[^\s"]+))')
_SLUG_BEFORE = re.compile(r"(?P<slug>[a-z0-9.-]{1,100})/(?P<name>\S+)")


@dataclasses.dataclass(frozen=True)
class Named:
    """A component that a query names, of one model or of any (empty slug)."""

    slug: str
    component: str  # as it was typed


@dataclasses.dataclass(frozen=True)
class Term:
    """Words that have to follow each other, or one of several such rows of words."""

    alternatives: tuple[tuple[str, ...], ...]
    is_unwanted: bool = False
    named: Named | None = None  # the component that it also is the name of


@dataclasses.dataclass(frozen=True)
class Query:
    typed: str  # as it is shown again
    terms: tuple[Term, ...]
    words: tuple[str, ...]  # as typed, without phrases' quotes and what is unwanted: for names of people and models
    was_cut: bool

    @property
    def wanted(self) -> tuple[Term, ...]:
        return tuple(term for term in self.terms if not term.is_unwanted)

    @property
    def is_empty(self) -> bool:
        return not self.typed

    @property
    def named(self) -> tuple[Named, ...]:
        return tuple(dict.fromkeys(term.named for term in self.terms if term.named))

    @property
    def marked_terms(self) -> frozenset[str]:
        """The words that snippets mark."""
        return frozenset(word for term in self.wanted for row in term.alternatives for word in row)


def parse_query(typed: str) -> Query:
    """The query that somebody typed, of any length and any characters."""
    readable = "".join(char if char.isprintable() else " " for char in typed[: MAX_CHARACTERS + 1])
    text = readable[:MAX_CHARACTERS].strip()
    pieces = list(_PIECE.finditer(text))
    terms: list[Term] = []
    words: list[str] = []
    n_words = 0
    was_cut = len(typed) > MAX_CHARACTERS
    for piece in pieces:
        written = piece["phrase"] if piece["phrase"] is not None else piece["bare"]
        component = None if piece["minus"] or piece["phrase"] is not None else _named(written)
        term = _term(written, component, is_unwanted=bool(piece["minus"]))
        if term is None:
            continue
        n_words += max(map(len, term.alternatives))
        if n_words > MAX_TERMS:
            was_cut = True
            break
        terms.append(term)
        if not term.is_unwanted:
            words.append(written)
    return Query(text, tuple(terms), tuple(words), was_cut)


def _named(written: str) -> Named | None:
    """The component that a piece of a query names; commas and full stops around it do not matter."""
    written = written.strip(",;:!?()").rstrip(".").removeprefix("[[").removesuffix("]]")
    match = _SLUG_BEFORE.fullmatch(written.lower())
    slug, name = (match["slug"], match["name"]) if match else ("", written)
    return Named(slug, name) if component_term(name) else None


def _term(written: str, component: Named | None, *, is_unwanted: bool) -> Term | None:
    rows = [tuple(terms_of(written))]
    if component:
        # gpt2/5.1 is the component, or the words gpt2 5 1
        rows.append((*terms_of(component.slug), component_term(component.component)))
    alternatives = tuple(dict.fromkeys(row for row in rows if row))
    return Term(alternatives, is_unwanted, component) if alternatives else None
