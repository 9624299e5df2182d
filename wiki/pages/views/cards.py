"""Small cards of components, shown beside links to them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from analysis.schema import Component

from ..addresses import get_model, require_component
from ..caching import cached_page
from ..cards import card_of


@require_safe
@cached_page()
def card(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    """A fragment for scripts; it holds no link, for it goes when the pointer does."""
    model = get_model(slug)
    require_component(model, component)
    return render(request, "pages/_card.html", {"card": card_of(model, component, user=request.user)})
