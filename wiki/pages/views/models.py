"""Home, a model's map, its data and its progress."""

from __future__ import annotations

import dataclasses
import secrets

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.metrics import HEAD_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from ..addresses import get_model
from ..caching import cached_page
from ..figures import map_of, top_heads
from ..footer import provenance_of
from ..measurements import Measurements, measurements_of
from ..responses import data_response, progress_response

TOP = 5
METRICS = {metric.key: metric for metric in HEAD_METRICS}


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    models = LanguageModel.objects.prefetch_related("pins__survey")
    rows = [
        {
            "model": model,
            "n_finished": sum(pin.survey.finished_at is not None for pin in model.pins.all()),
            "n_pinned": len(model.pins.all()),
        }
        for model in models
    ]
    return render(request, "pages/home.html", {"rows": rows})


@require_safe
@cached_page
def model_page(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    asked = request.GET.get("metric", "")
    metric = METRICS.get(asked) or _first_metric(measurements)
    measured = measurements.metrics.get(metric.key)
    context = {
        "model": model,
        "jump_model": model.slug,
        "measurements": measurements,
        "metrics": HEAD_METRICS,
        "metric": metric,
        "missing": "" if asked in METRICS else asked,
        "map": map_of(measured) if measured else None,
        "top": top_heads(measured, n=TOP) if measured else [],
        "absent_reason": measurements.absent.get(metric.key),
        "layers": [Component(layer) for layer in range(model.n_layers)],
        "provenance": provenance_of(measurements),
        "json_url": reverse("model-json", args=[model.slug]),
    }
    return render(request, "pages/model.html", context)


def _first_metric(measurements: Measurements) -> Metric:
    """The first metric that is measured, else the first of the table."""
    return METRICS[next(iter(measurements.metrics), HEAD_METRICS[0].key)]


@require_safe
def model_json(request: HttpRequest, slug: str) -> JsonResponse:
    model = get_model(slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    return data_response(
        {
            "model": {"slug": model.slug, "title": model.title, "hash": model.hash, "family": model.family},
            "sizes": {**dataclasses.asdict(model.sizes), "n_parameters": model.n_parameters},
            "metrics": {
                key: {
                    "values": measured.values.tolist(),
                    "dataset": measured.dataset,
                    "label": measured.metric.label,
                    "unit": measured.metric.unit,
                }
                for key, measured in measurements.metrics.items()
            },
            "absent": measurements.absent,
            "provenance": {"surveys": measurements.surveys_json()},
        }
    )


@require_safe
def model_progress(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    # whether there are numbers to show that were not there when the page was rendered
    landed = not measurements.pending or request.GET.get("seen", "") not in ("", str(measurements.n_finished))
    return progress_response(request, measurements.progress, poll_url=measurements.poll_url, landed=landed)


@require_safe
def random_head(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    layer, head = divmod(secrets.randbelow(model.n_all_heads), model.n_heads)
    response = HttpResponseRedirect(reverse("head", args=[model.slug, Component(layer, head=head)]))
    response["Cache-Control"] = "no-store"
    return response
