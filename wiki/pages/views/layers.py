"""A layer: its heads with all their metrics."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.metrics import HEAD_METRICS
from analysis.schema import Component

from ..addresses import get_model, require_component
from ..caching import cached_page
from ..figures import layer_table
from ..footer import provenance_of
from ..measurements import measurements_of
from ..responses import data_response


@require_safe
@cached_page
def layer_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    layer = component.layer
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "measurements": measurements,
        "metrics": HEAD_METRICS,
        "absent": [
            (metric, measurements.absent[metric.key]) for metric in HEAD_METRICS if metric.key in measurements.absent
        ],
        "rows": layer_table(measurements, model, layer),
        "previous": Component(layer - 1) if layer > 0 else None,
        "next": Component(layer + 1) if layer + 1 < model.n_layers else None,
        "provenance": provenance_of(measurements),
        "json_url": reverse("layer-json", args=[model.slug, component]),
    }
    return render(request, "pages/layer.html", context)


@require_safe
def layer_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    heads = {}
    for head in model.heads(component.layer):
        values, absent = measurements.of_head(head)
        heads[str(head)] = {"metrics": {key: value.to_json() for key, value in values.items()}, "absent": absent}
    provenance = {"model": {"slug": model.slug, "hash": model.hash}, "surveys": measurements.surveys_json()}
    return data_response({"component": str(component), "heads": heads, "provenance": provenance})
