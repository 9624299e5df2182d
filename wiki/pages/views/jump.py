"""From whatever a person typed to the one address of the page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_safe

from analysis.schema import Component, SchemaError
from wiki.components.addresses import component_url

from ..addresses import get_model, models_like, parse_component, url_of
from ..errors import NotFound


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
        refusal.typed = typed  # all of it, whichever part was not found
        if _may_be_a_model(typed):
            refusal.args = (f"Looking for “{typed[:64]}”: no model here has that in its name. {refusal}",)
        raise


def _may_be_a_model(typed: str) -> bool:
    """Whether it names no component of any model, so that a model may have been meant."""
    try:
        Component.parse(typed)
    except SchemaError:
        return "/" not in typed
    return False


@require_safe
def component_by_any_name(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    model = get_model(slug)
    name = name.removesuffix("/")
    bare = name.removesuffix(".json")
    url = component_url(model, parse_component(model, bare), json=bare != name)
    if query := request.META.get("QUERY_STRING"):
        url = f"{url}?{query}"
    return HttpResponsePermanentRedirect(url)
