"""Keeping the words of pages, within the transaction that changes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from wiki.texts.models import Page

from .queries import Term
from .words import terms_of

BATCH = 200
# A tsvector has no more places; what of a text lies behind is not found, on either database.
MAX_WORDS = 16_000
_SQLITE = "INSERT OR REPLACE INTO search_entry (rowid, title, body) VALUES (%s, %s, %s)"
_POSTGRESQL = (
    "INSERT INTO search_entry (rowid, search_entry) VALUES (%s, %s::tsvector) "
    "ON CONFLICT (rowid) DO UPDATE SET search_entry = EXCLUDED.search_entry"
)


def index_page_of_signal(sender: type[Page], page: Page, **kwargs: Any) -> None:
    index_page(page)


def index_page(page: Page) -> None:
    """Make a page found by its titles, what it is about, and the words of its current revision."""
    assert page.current is not None
    aliases = list(page.aliases.values_list("key", flat=True)) if page.key else []
    _write([_row(page, aliases)])


def rebuild_search() -> int:
    """Make the words of all pages anew; return how many there are."""
    n, last = 0, 0
    while True:
        with transaction.atomic():
            # locked, so that no revision is saved in between and found by its earlier words
            rows = Page.objects.select_for_update(no_key=True, of=("self",)).exclude(current=None)
            batch = list(rows.filter(pk__gt=last).select_related("current").order_by("pk")[:BATCH])
            if not batch:
                break
            pages = Page.objects.filter(pk__in=[page.pk for page in batch]).values_list("pk", "aliases__key")
            aliases: dict[int, list[str]] = {}
            for pk, key in pages:
                aliases.setdefault(pk, []).extend([key] if key else [])
            _write([_row(page, aliases[page.pk]) for page in batch])
        n, last = n + len(batch), batch[-1].pk
    return n


def match_of(terms: Iterable[Term]) -> str:
    """The terms in the words of the database, one of them wanted at least; nothing in it is anybody's own syntax."""
    terms = list(terms)
    wanted = [_one_of(term) for term in terms if not term.is_unwanted]
    unwanted = [_one_of(term) for term in terms if term.is_unwanted]
    assert wanted
    if connection.vendor == "postgresql":
        return " & ".join([*wanted, *(f"!{each}" for each in unwanted)])
    return " AND ".join(wanted) + "".join(f" NOT {each}" for each in unwanted)


def _one_of(term: Term) -> str:
    """Words are ASCII letters and digits, and quoted all the same."""
    if connection.vendor == "postgresql":
        rows = [" <-> ".join(f"'{word}'" for word in row) for row in term.alternatives]
        return f"({' | '.join(rows)})"
    phrases = " OR ".join(f'"{" ".join(row)}"' for row in term.alternatives)
    return f"({phrases})"


def _row(page: Page, aliases: list[str]) -> tuple[int, list[str], list[str]]:
    assert page.current is not None
    title = terms_of(" . ".join([page.title, page.about, *aliases]))
    return page.pk, title, list(itertools.islice(terms_of(page.current.text), MAX_WORDS - len(title)))


def _write(rows: list[tuple[int, list[str], list[str]]]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.executemany(_POSTGRESQL, [(pk, _tsvector(title, body)) for pk, title, body in rows])
        else:
            cursor.executemany(_SQLITE, [(pk, " ".join(title), " ".join(body)) for pk, title, body in rows])


def _tsvector(title: list[str], body: list[str]) -> str:
    """The words with their places, those of titles with the highest weight (A)."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(itertools.chain(title, body), start=1):
        # a gap between title and text, so that no phrase goes from one into the other
        weight, gap = ("A", 0) if place <= len(title) else ("", 1)
        kept = places.setdefault(word, [])
        if len(kept) < 255:
            kept.append(f"{place + gap}{weight}")
    return " ".join(f"'{word}':{','.join(at)}" for word, at in places.items())
