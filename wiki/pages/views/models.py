"""A model: its map, finder, scatter, layers and data, and how far its surveys are."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.families import words_of_kind
from analysis.schema import Component
from wiki.coverage.counting import coverage_of

from ..addresses import get_model
from ..caching import cached_page
from ..coverage_map import coverage_map_of, coverage_rows
from ..errors import NotFound
from ..figures import map_of
from ..finder import COUNTS, ENDS, Question, find_heads
from ..footer import provenance_of
from ..layer_metrics import LayerMetrics, layer_metrics
from ..lens import lens_curves
from ..measurements import Measurements, measurements_of
from ..metric_groups import HEAD_METRICS_BY_KEY, METRIC_GROUPS
from ..model_figures import chosen_metric, require_known
from ..model_markup import component_rows, found_rows, lens_links, map_rows, metric_options
from ..numbers import short
from ..responses import data_response, page_response, progress_response
from ..scatter import Axes, scatter_of
from ..wanted import wanted_parts
from ..written import written_of

# Of what is wanted, how much stands beside the coverage map.
N_WANTED = 10

# What the page's URL says: the metric of map and finder, the finder's question, the scatter's axes, another survey.
STATE = ("metric", "top", "end", "x", "y", "survey", "map")


@require_safe
@cached_page(*STATE)
def model_page(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    if (shown := request.GET.get("map", "")) not in ("", "coverage"):
        raise NotFound(f"Looking for a map of {slug}: expected map=coverage or none, got “{shown[:40]}”.", slug=slug)
    asked = request.GET.get("metric", "")
    metric = chosen_metric(measurements, request.GET)
    measured = measurements.metrics.get(metric.key)
    head_map = map_of(measured) if measured and not shown else None
    question, axes = Question.of(request.GET), Axes.of(request.GET)
    state = {name: request.GET[name] for name in STATE if request.GET.get(name)}
    scatter, scatter_absent = scatter_of(measurements, axes)
    layers = layer_metrics(measurements)
    lens = lens_curves(layers)
    found = find_heads(measured, question) if measured else []
    context = {
        "model": model,
        "jump_model": model.slug,
        "measurements": measurements,
        "groups": METRIC_GROUPS,
        "metric": metric,
        "missing": "" if asked in HEAD_METRICS_BY_KEY else asked,
        "map": head_map,
        "map_rows": map_rows(measurements, head_map, metric) if head_map else "",
        "uniform": short(measured.uniform) if measured and measured.uniform is not None else "",
        "absent_reason": measurements.absent.get(metric.key),
        "measured": measured,
        "measured_on": words_of_kind(model.family, metric.dataset_kind) if metric.dataset_kind else "",
        "question": question,
        "counts": COUNTS,
        "ends": ENDS,
        "options": metric_options(metric),
        "found": found,
        "found_rows": found_rows(measurements, found),
        "axes": axes,
        "x_options": metric_options(axes.x),
        "y_options": metric_options(axes.y),
        "scatter": scatter,
        "scatter_rows": component_rows(measurements, scatter.table()) if scatter else "",
        "correlation": short(scatter.correlation) if scatter and scatter.correlation is not None else "",
        "scatter_absent": scatter_absent,
        # each form and link keeps what the others chose
        "kept_by_tabs": urlencode(_without(state, "metric", "map")),
        "kept_by_finder": _without(state, "metric", "top", "end"),
        "kept_by_scatter": _without(state, "x", "y"),
        "query": urlencode(_without(state, "map")),
        "layers": [Component(layer) for layer in range(model.n_layers)],
        "layer_metrics": layers,
        "layer_rows": component_rows(measurements, _layer_table(layers)),
        "lens": lens,
        "lens_links": lens_links(measurements, lens) if lens else "",
        "written": written_of(measurements, None, user=request.user),
        **(_coverage_context(request, measurements) if request.GET.get("map") == "coverage" else {}),
        "provenance": provenance_of(measurements),
        "json_url": reverse("model-json", args=[model.slug], query=request.GET),
    }
    missing = context["missing"] or question.missing or axes.missing
    return page_response(request, "pages/model.html", context, missing=bool(missing))


def _coverage_context(request: HttpRequest, measurements: Measurements) -> dict[str, Any]:
    """What is written about each head, and what is wanted most."""
    coverage = coverage_of(measurements.model.slug, user=request.user)
    drawn = coverage_map_of(measurements.model, coverage)
    wanted = wanted_parts(measurements, coverage)
    return {
        "coverage_map": drawn,
        "coverage_rows": coverage_rows(measurements, drawn),
        "wanted": wanted[:N_WANTED],
        "n_wanted": len(wanted),
        "first": 0,
    }


def _without(state: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in state.items() if name not in names}


def _layer_table(layers: LayerMetrics) -> list[tuple[Component, list[str]]]:
    """Each layer with its figures; nothing where no metric of layers is measured."""
    figures = zip(*(of.figures for of in layers.metrics.values()), strict=True)
    return [(Component(layer), list(each)) for layer, each in enumerate(figures)]


@require_safe
def model_json(request: HttpRequest, slug: str) -> JsonResponse:
    model = get_model(slug)
    require_known(request.GET, doing=f"Reading the data of {model.slug}", slug=model.slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    layers = layer_metrics(measurements)
    return data_response(
        {
            "model": {
                "slug": model.slug,
                "title": model.title,
                "hash": model.hash,
                "family": model.family,
                "source": model.source,
                "licence": model.licence,
            },
            "sizes": {
                **dataclasses.asdict(model.sizes),
                "n_parameters": model.n_parameters,
                "n_all_heads": model.n_all_heads,
                "n_all_neurons": model.n_all_neurons,
            },
            "metrics": {key: measured.to_json() for key, measured in measurements.metrics.items()},
            "absent": measurements.absent,
            "finder": _finder_json(request, measurements),
            "layers": {key: measured.to_json() for key, measured in layers.metrics.items()},
            "layers_absent": layers.absent,
            "texts": written_of(measurements, None, user=request.user).to_json(),
            "provenance": {
                "surveys": measurements.surveys_json(),
                "weights": measurements.weights_json(),
            },
        }
    )


def _finder_json(request: HttpRequest, measurements: Measurements) -> dict[str, Any]:
    metric, question = chosen_metric(measurements, request.GET), Question.of(request.GET)
    measured = measurements.metrics.get(metric.key)
    heads = [found.to_json() for found in find_heads(measured, question)] if measured else []
    return {"metric": metric.key, "top": question.top, "end": question.end, "heads": heads}


@require_safe
def model_scatter(request: HttpRequest, slug: str) -> JsonResponse:
    """What the scatter of a model's page draws."""
    model = get_model(slug)
    require_known(request.GET, doing="Drawing a scatter", slug=model.slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    scatter, reason = scatter_of(measurements, Axes.of(request.GET))
    if scatter is None:
        raise NotFound(f"Drawing a scatter: {reason}", slug=model.slug)
    return data_response(scatter.to_plotly())


@require_safe
def model_progress(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    # whether there are numbers to show that were not there when the page was rendered
    landed = not measurements.pending or request.GET.get("seen", "") not in ("", str(measurements.n_landed))
    context = {"items": measurements.progress, "measurements": measurements, "poll_url": measurements.poll_url}
    return progress_response(request, context, landed=landed)


@require_safe
def random_head(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    layer, head = divmod(secrets.randbelow(model.n_all_heads), model.n_heads)
    url = reverse("head", args=[model.slug, Component(layer, head=head)], query=request.GET)
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    return response
