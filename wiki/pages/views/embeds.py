"""What scripts put in the place of a picture in a text."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from analysis.schema import Component
from wiki.experiments.results import StoreError

from ..addresses import get_model, require_component
from ..attention import attention_view
from ..caching import cached_page
from ..errors import NotFound
from ..head_figures import chosen_view
from ..measurements import measurements_of
from ..state import NAMES


@require_safe
@cached_page(*NAMES)
def live_pattern(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    """The pattern viewer of a head alone, in the state of the URL."""
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    doing = f"Showing the pattern of {component}"
    choice, texts = chosen_view(request, measurements, component, doing=doing)
    try:
        view = attention_view(choice, component, texts, measurements)
    except StoreError as error:
        raise NotFound(f"{doing}: {error}", slug=model.slug) from error
    return render(request, "pages/_live_pattern.html", {"view": view, "choice": choice})
