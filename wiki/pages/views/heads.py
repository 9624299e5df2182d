"""A head: what was measured of it, and where it attends."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component, DatasetKind
from wiki.experiments.results import StoreError

from ..addresses import get_model, kv_siblings, neighbours, require_component
from ..attention import attention_view, choose, texts_of
from ..caching import cached_page
from ..figures import cards_of
from ..footer import provenance_of
from ..lead import extremes
from ..measurements import Measurements, measurements_of
from ..numbers import percent
from ..responses import data_response

# A head whose first token gets more than this share of its attention is said to rest there.
MOSTLY = 0.5


@require_safe
@cached_page
def head_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    values, absent = measurements.of_head(component)
    previous, following = neighbours(model, component)
    found = extremes(values, measurements.metrics)
    # the text shown first is of the kind on which the head does what it stands out for
    telling = (found[0].value.metric.dataset_kind if found else None) or DatasetKind.NATURAL
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "layer": Component(component.layer),
        "previous": previous,
        "next": following,
        "kv_group": model.kv_head(component),
        "kv_siblings": kv_siblings(model, component),
        "measurements": measurements,
        "values": values,
        "absent": absent,
        "extremes": found,
        "cards": cards_of(measurements, values, absent),
        "first_token_share": percent(values["first_token"].value) if "first_token" in values else None,
        "rests": "first_token" in values and values["first_token"].value > MOSTLY,
        "provenance": provenance_of(measurements),
        "json_url": reverse("head-json", args=[model.slug, component]),
        **_viewer_context(request, measurements, component, prefer=telling),
    }
    return render(request, "pages/head.html", context)


def _viewer_context(
    request: HttpRequest, measurements: Measurements, component: Component, *, prefer: DatasetKind
) -> dict[str, Any]:
    """The texts to choose from and the chosen view; instead of a view, the reason why there is none."""
    texts = texts_of(measurements, own=request.GET.get("text", ""))
    if not texts:
        return {"texts": [], "view": None}
    asked = {name: request.GET.get(name, "") for name in ("text", "sink")}
    choice = choose(texts, **asked, query=request.GET.get("q", ""), prefer=prefer)
    try:
        return {"texts": texts, "choice": choice, "view": attention_view(choice, component)}
    except StoreError as error:
        return {"texts": texts, "choice": choice, "view": None, "view_error": str(error)}


@require_safe
def head_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    values, absent = measurements.of_head(component)
    return data_response(
        {
            "component": str(component),
            "kv_head": model.kv_head(component),
            "metrics": {key: value.to_json() for key, value in values.items()},
            "absent": absent,
            "patterns": [text.to_json(component) for text in texts_of(measurements)],
            "provenance": {
                "model": {"slug": model.slug, "hash": model.hash},
                "surveys": measurements.surveys_json(),
            },
        }
    )
