"""From whatever a person typed to the one address of the page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component, SchemaError
from wiki.components.addresses import component_url

from ..addresses import get_model, models_like, parse_component, url_of
from ..errors import NotFound

# Characters of words that are looked for in texts; more do not fit into an address.
LONGEST_SEARCH = 1_000


@require_safe
def jump(request: HttpRequest) -> HttpResponse:
    """To the component or model of that name; else to the model with that in its name, or a list of several."""
    typed = request.GET.get("q", "").strip()
    if not typed:
        return HttpResponseRedirect("/")
    try:
        return HttpResponseRedirect(url_of(typed, slug=request.GET.get("model", "").strip()))
    except NotFound as refusal:
        models = models_like(typed)
        if len(models) == 1:
            return HttpResponseRedirect(models[0].get_absolute_url())
        if models:
            return render(request, "pages/jump.html", {"models": models, "typed": typed})
        if len(typed) <= LONGEST_SEARCH and not _names_component(typed):
            return HttpResponseRedirect(reverse("search", query={"q": typed}))
        refusal.typed = typed  # all of it, whichever part was not found
        raise


def _names_component(text: str) -> bool:
    """Whether it is the name of a component in some notation; other words are looked for in texts."""
    try:
        Component.parse(text.rpartition("/")[2])
    except SchemaError:
        return False
    return True


@require_safe
def component_by_any_name(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    model = get_model(slug)
    name = name.removesuffix("/")
    bare = name.removesuffix(".json")
    url = component_url(model, parse_component(model, bare), json=bare != name)
    if query := request.META.get("QUERY_STRING"):
        url = f"{url}?{query}"
    return HttpResponsePermanentRedirect(url)
