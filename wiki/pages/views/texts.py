"""All that is written about a model or one of its parts, page by page."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.texts.models import Kind

from ..addresses import get_model, require_component
from ..errors import NotFound
from ..responses import data_response
from ..written import Named, Said, list_of_links, list_of_notes, list_of_threads

PER_PAGE = 25
TABS = {"notes": "notes", "talk": "talk", "links": "what links here"}


@dataclasses.dataclass(frozen=True)
class Listing:
    """A page of the notes, the talk or the links of a part."""

    shown: str
    page: int
    said: list[Said]
    named: list[Named]
    has_more: bool


@require_safe
def texts_page(request: HttpRequest, slug: str, component: Component | None = None) -> HttpResponse:
    model = get_model(slug)
    listing = _listing(request, model, component)
    here = _url(model, component)
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "written_about": f"{model.slug}/{component}" if component else model.slug,
        "part_url": component_url(model, component) if component else "",
        "tabs": [(key, label, f"{here}?show={key}") for key, label in TABS.items()],
        "shown": listing.shown,
        "said": listing.said,
        "named": listing.named,
        "newer_url": f"{here}?show={listing.shown}&page={listing.page - 1}" if listing.page > 1 else "",
        "older_url": f"{here}?show={listing.shown}&page={listing.page + 1}" if listing.has_more else "",
        "json_url": _url(model, component, json=True, query=request.GET),
    }
    return render(request, "pages/texts.html", context)


@require_safe
def texts_json(request: HttpRequest, slug: str, component: Component | None = None) -> JsonResponse:
    model = get_model(slug)
    listing = _listing(request, model, component)
    return data_response(
        {
            "about": f"{model.slug}/{component}" if component else model.slug,
            "show": listing.shown,
            "page": listing.page,
            "has_more": listing.has_more,
            "items": [each.to_json() for each in listing.said] + [each.to_json() for each in listing.named],
        }
    )


def _url(model: LanguageModel, component: Component | None, *, json: bool = False, query: Any = None) -> str:
    name = f"{'component' if component else 'model'}-texts{'-json' if json else ''}"
    return reverse(name, args=[model.slug, component] if component else [model.slug], query=query)


def _listing(request: HttpRequest, model: LanguageModel, component: Component | None) -> Listing:
    if component is not None:
        require_component(model, component)
    shown, page = request.GET.get("show", "notes"), request.GET.get("page", "1")
    if shown not in TABS or not (page.isascii() and page.isdigit() and int(page[:6]) > 0):
        raise NotFound(
            f"Looking for texts: expected show={', '.join(TABS)} and a page from 1, got “{shown[:40]}” and "
            f"“{page[:40]}”.",
            slug=model.slug,
        )
    number = int(page[:6])
    part = slice((number - 1) * PER_PAGE, number * PER_PAGE + 1)  # one more, to know whether there is one
    said: list[Said] = []
    named: list[Named] = []
    if shown == "notes":
        said = list_of_notes(model, component, part, user=request.user)
    elif shown == Kind.TALK:
        named = list_of_threads(model, component, part, user=request.user)
    else:
        named = list_of_links(model, component, part, user=request.user)
    has_more = len(said) + len(named) > PER_PAGE
    return Listing(shown, number, said[:PER_PAGE], named[:PER_PAGE], has_more)
