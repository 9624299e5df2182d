"""Keeping what pages are found by, within the transaction that changes them: their words, and facets beside them.

A facet is a word of the index that is in no text: who began the page, a tag, a component that it is about or links to.
So databases look filters up as they look words up, and read nothing of the many pages that have only one of both.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet, Value

from wiki.lib.prepared import padded, rows
from wiki.texts.models import Page, TargetForm

from .queries import Term
from .words import terms_of

BATCH = 200
# A tsvector has no more places; what of a text lies behind is not found, on either database.
MAX_WORDS = 16_000
_SQLITE = "INSERT OR REPLACE INTO search_entry (rowid, title, body, facets) VALUES (%s, %s, %s, %s)"
_POSTGRESQL = (
    "INSERT INTO search_entry (rowid, search_entry) VALUES (%s, %s::tsvector) "
    "ON CONFLICT (rowid) DO UPDATE SET search_entry = EXCLUDED.search_entry"
)


class Facet(enum.Enum):
    """What a page is found by beside its words. The value begins the word, with a sign that is in no word of a text
    and that every database takes for a letter."""

    AUTHOR = "§a"
    TAG = "§t"
    PART = "§p"

    def of(self, name: object) -> str:
        """The word for one of them, without quotes or spaces whatever it is called."""
        return self.value + hashlib.sha256(str(name).encode()).hexdigest()[:20]


class _Row(NamedTuple):
    """What the index has of a page."""

    pk: int
    title: list[str]
    body: list[str]
    facets: list[str]


def index_page_of_signal(sender: type[Page], page: Page, **kwargs: Any) -> None:
    index_page(page)


def index_page(page: Page) -> None:
    """Make a page found by its titles, what it is about, the words of its current revision, and facets."""
    _write([_row(page, _named(Page, [page.pk])[page.pk])])


def rebuild_search(page_model: Any = Page) -> int:
    """Make what all pages are found by anew; return how many there are. A migration gives the model of its time."""
    n, last = 0, 0
    while True:
        with transaction.atomic():
            # locked, so that no revision is saved in between and found by its earlier words
            pages = page_model.objects.select_for_update(no_key=True, of=("self",)).exclude(current=None)
            batch = list(pages.filter(pk__gt=last).select_related("current").order_by("pk")[:BATCH])
            if not batch:
                break
            named = _named(page_model, [page.pk for page in batch])
            _write([_row(page, named[page.pk]) for page in batch])
        n, last = n + len(batch), batch[-1].pk
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:  # one tree instead of one of each few batches
            cursor.execute("INSERT INTO search_entry (search_entry) VALUES ('optimize')")
    return n


def match_of(terms: Iterable[Term], facets: Sequence[Sequence[str]] = ()) -> str:
    """The terms, and of each row of facets one, in the words of the database; something is wanted at least. Nothing in
    it is anybody's own syntax."""
    terms = list(terms)
    wanted = [_one_of(term) for term in terms if not term.is_unwanted]
    unwanted = [_one_of(term) for term in terms if term.is_unwanted]
    assert wanted or facets
    if connection.vendor == "postgresql":
        of_facets = [" | ".join(f"'{facet}'" for facet in row) for row in facets]
        return " & ".join([*(f"({each})" for each in of_facets), *wanted, *(f"!{each}" for each in unwanted)])
    of_facets = [" OR ".join(f'"{facet}"' for facet in row) for row in facets]
    return " AND ".join([*(f"({each})" for each in of_facets), *wanted]) + "".join(f" NOT {each}" for each in unwanted)


def _one_of(term: Term) -> str:
    """Words are ASCII letters and digits, and quoted all the same."""
    if connection.vendor == "postgresql":
        rows = [" <-> ".join(f"'{word}'" for word in row) for row in term.alternatives]
        return f"({' | '.join(rows)})"
    phrases = " OR ".join(f'"{" ".join(row)}"' for row in term.alternatives)
    return f"({phrases})"


def _row(page: Any, named: dict[str, list[str]]) -> _Row:
    about = "/".join(filter(None, (page.model_slug, page.component)))
    title = terms_of(" . ".join([page.title, about, *sorted(named["alias"])]))
    facets = {Facet.AUTHOR.of(page.author_id)}
    facets |= {Facet.TAG.of(name) for name in named["tag"]}
    facets |= {Facet.PART.of(target) for target in [*named["part"], *([about] if page.component else [])]}
    body = list(itertools.islice(terms_of(page.current.text), MAX_WORDS - len(title)))
    return _Row(page.pk, title, body, sorted(facets))


def _named(page_model: Any, keys: Sequence[int]) -> dict[int, dict[str, list[str]]]:
    """The keys of aliases, the tags, and the components that are linked to, of each of these pages."""
    named: dict[int, dict[str, list[str]]] = {pk: {"alias": [], "tag": [], "part": []} for pk in keys}
    for pk, kind, name in rows(_names, page_model, *padded(keys, 0)):
        named[pk][kind].append(name)
    return named


def _names(page_model: Any, *keys: int) -> QuerySet[Any, tuple[int, str, str]]:
    pages = page_model.objects.filter(pk__in=keys).order_by()
    aliases = pages.exclude(aliases=None).values_list("pk", Value("alias"), "aliases__key")
    tags = pages.exclude(tags=None).values_list("pk", Value("tag"), "tags__name")
    parts = pages.filter(links__form=TargetForm.COMPONENT).values_list("pk", Value("part"), "links__target")
    return aliases.union(tags, parts)


def _write(found: list[_Row]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.executemany(_POSTGRESQL, [(row.pk, _tsvector(row)) for row in found])
        else:
            cursor.executemany(_SQLITE, [(row.pk, *(" ".join(words) for words in row[1:])) for row in found])


def _tsvector(row: _Row) -> str:
    """The words with their places, those of titles with the highest weight (A), and facets without."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(itertools.chain(row.title, row.body), start=1):
        # a gap between title and text, so that no phrase goes from one into the other
        weight, gap = ("A", 0) if place <= len(row.title) else ("", 1)
        kept = places.setdefault(word, [])
        if len(kept) < 255:
            kept.append(f"{place + gap}{weight}")
    words = [f"'{word}':{','.join(at)}" for word, at in places.items()]
    return " ".join([*words, *(f"'{facet}'" for facet in row.facets)])
