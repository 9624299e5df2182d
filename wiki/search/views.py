"""The page of search, and the same as data."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from analysis.schema import SLUG
from wiki.texts.addresses import address_of, name_of
from wiki.texts.models import Kind, Page
from wiki.texts.targets import key_of

from .finding import MAX_TEXTS, NOTHING, PAGE_SIZE, Filters, Found, find
from .queries import Query, parse_query
from .snippets import Piece, snippet_of

KINDS = {
    "": "everything",
    "component": "components",
    "model": "models",
    "person": "people",
    Kind.SUMMARY.value: "summaries",
    Kind.NOTE.value: "notes",
    Kind.ARTICLE.value: "articles",
    Kind.TALK.value: "talk",
}
MAX_PAGE = MAX_TEXTS // PAGE_SIZE
_NAMES = ("kind", "model", "author", "tag", "since", "until")


class SearchError(Exception):
    """The address asks for what cannot be looked for; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the address of a search says."""

    query: Query
    filters: Filters
    page: int

    @classmethod
    def of(cls, parameters: QueryDict) -> Asked:
        given = {name: parameters.get(name, "").strip() for name in _NAMES}
        kind, model = given["kind"], given["model"]
        if kind not in KINDS:
            raise SearchError(f"Searching: expected a kind of {', '.join(filter(None, KINDS))}, got “{kind[:40]}”.")
        if model and not SLUG.fullmatch(model):
            raise SearchError(f"Searching: expected a model's slug, got “{model[:40]}”.")
        for name in ("author", "tag"):
            if not given[name].isprintable() or len(given[name]) > 150:
                raise SearchError(f"Searching: expected the name of {name}, got what cannot be one.")
        filters = Filters(
            kind=kind,
            model=model,
            author=given["author"].removeprefix("@"),
            tag=key_of(given["tag"]),
            since=_day(given["since"]),
            until=_day(given["until"]),
        )
        return cls(parse_query(parameters.get("q", "")), filters, _page(parameters.get("page", "1")))


def _day(text: str) -> datetime.date | None:
    try:
        day = datetime.date.fromisoformat(text) if text else None
        if day and not 1900 <= day.year <= 9000:
            raise ValueError
    except ValueError as error:
        raise SearchError(f"Searching: expected a day like 2026-01-31, got “{text[:40]}”.") from error
    return day


def _page(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= MAX_PAGE:
        raise SearchError(f"Searching: expected a page from 1 to {MAX_PAGE}, got “{text[:40]}”.")
    return int(text)


@dataclasses.dataclass(frozen=True)
class FoundText:
    """A text as the list of what was found shows it."""

    page: Page
    name: str
    url: str
    tags: list[str]
    snippet: list[Piece]

    @property
    def kind(self) -> str:
        return Kind(self.page.kind).label.lower()

    @property
    def html(self) -> SafeString:
        """The snippet, with what was looked for marked."""
        pieces = (f"<mark>{escape(each.text)}</mark>" if each.is_marked else escape(each.text) for each in self.snippet)
        return mark_safe("".join(pieces))  # noqa: S308 (escaped)

    def to_json(self) -> dict[str, Any]:
        page = self.page
        return {
            "name": self.name,
            "url": self.url,
            "kind": page.kind,
            "about": page.about,
            "author": page.author.get_username(),
            "tags": self.tags,
            "visibility": page.visibility,
            "updated_at": page.updated_at.isoformat(),
            "snippet": "".join(piece.text for piece in self.snippet),
            "marked": [piece.text for piece in self.snippet if piece.is_marked],
        }


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    parameters = request.GET
    try:
        asked = Asked.of(parameters)
        found, error = _found(request, asked), ""
    except SearchError as refusal:
        asked, found, error = Asked(parse_query(parameters.get("q", "")), Filters(), 1), NOTHING, str(refusal)
    n_pages = -(-found.n_texts // PAGE_SIZE)
    context = {
        "query": asked.query,
        "filters": asked.filters,
        "given": {name: parameters.get(name, "")[:200] for name in _NAMES},
        "kinds": KINDS.items(),
        "has_filters": any(parameters.get(name) for name in _NAMES),
        "found": found,
        "texts": _shown(found, asked.query),
        "error": error,
        "only_unwanted": bool(asked.query.terms) and not asked.query.wanted,
        "page": asked.page,
        "n_pages": n_pages,
        "first_number": (asked.page - 1) * PAGE_SIZE + 1,
        "previous_url": _address(parameters, asked.page - 1) if asked.page > 1 else "",
        "next_url": _address(parameters, asked.page + 1) if asked.page < n_pages else "",
        "json_url": f"{reverse('search-json')}?{urlencode(_kept(parameters))}",
        "typed": asked.query.typed,
        "tagged_url": f"{reverse('search')}?{urlencode({'q': asked.query.typed})}&tag=",
    }
    return render(request, "search/search.html", context, status=400 if error else 200)


@require_safe
def search_json(request: HttpRequest) -> JsonResponse:
    try:
        asked = Asked.of(request.GET)
    except SearchError as refusal:
        return JsonResponse({"error": str(refusal)}, status=400)
    found = _found(request, asked)
    data = {
        "query": asked.query.typed,
        "components": [{"target": each.target, "url": each.url} for each in found.components],
        "models": [{"slug": each.slug, "title": each.title, "url": each.get_absolute_url()} for each in found.models],
        "people": [{"name": each.get_username(), "url": each.get_absolute_url()} for each in found.people],
        "texts": [each.to_json() for each in _shown(found, asked.query)],
        "n_texts": found.n_texts,
        "more_than_that": found.is_cut,
        "page": asked.page,
    }
    return JsonResponse(data, json_dumps_params={"ensure_ascii": False, "indent": 1})


def _found(request: HttpRequest, asked: Asked) -> Found:
    if not asked.query.terms:
        return NOTHING
    return find(asked.query, asked.filters, page=asked.page, user=request.user)


def _shown(found: Found, query: Query) -> list[FoundText]:
    return [
        FoundText(
            page,
            name_of(page),
            address_of(page),
            found.tags.get(page.pk, []),
            snippet_of(page.current.text, query.marked_terms),
        )
        for page in found.texts
        if page.current
    ]


def _kept(parameters: QueryDict) -> dict[str, str]:
    return {name: value for name in ("q", *_NAMES) if (value := parameters.get(name, ""))}


def _address(parameters: QueryDict, page: int) -> str:
    return f"?{urlencode({**_kept(parameters), **({'page': page} if page > 1 else {})})}"
