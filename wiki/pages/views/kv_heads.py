"""A KV head: the keys and values that several heads read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component

from ..addresses import get_model, readers_of, require_component
from ..composition import compositions_of
from ..figures import ON_CARDS, cards_of
from ..footer import provenance_of
from ..measurements import measurements_of
from ..responses import data_response
from ..written import written_of


@require_safe
def kv_head_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    heads = []
    for head in readers_of(model, component):
        cards = cards_of(measurements, *measurements.of_head(head))[:ON_CARDS]
        heads.append((head, cards, compositions_of(measurements, model, head)))
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "layer": Component(component.layer),
        "measurements": measurements,
        "heads": heads,
        "absent": [
            (card.metric, measurements.absent[card.metric.key])
            for card in heads[0][1]
            if card.metric.key in measurements.absent
        ],
        "written": written_of(model, component, user=request.user),
        "provenance": provenance_of(measurements),
        "json_url": reverse("kv-head-json", args=[model.slug, component], query=request.GET),
    }
    return render(request, "pages/kv_head.html", context)


@require_safe
def kv_head_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    heads = {}
    for head in readers_of(model, component):
        values, absent = measurements.of_head(head)
        heads[str(head)] = {
            "metrics": {key: value.to_json() for key, value in values.items()},
            "absent": absent,
            "composition": compositions_of(measurements, model, head).to_json(),
        }
    return data_response(
        {
            "component": str(component),
            "heads": heads,
            "texts": written_of(model, component, user=request.user).to_json(),
            "provenance": measurements.provenance_json(),
        }
    )
