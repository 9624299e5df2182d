"""A layer: its heads, its neurons, and what it does to the residual stream."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from analysis.metrics import HEAD_METRICS, NEURON_METRICS, Metric
from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError

from ..addresses import get_model, require_component
from ..attention import Text, choose, require_choice, texts_of
from ..caching import cached_page
from ..figures import columns_of, head_columns_html, head_rows_html, reasons_by_metrics
from ..footer import provenance_of
from ..markup import join_markup
from ..measurements import Measurements, measurements_of
from ..neuron_scatter import scatter_of
from ..neuron_table import NAMES, NeuronTable, TableQuery, parse_query, require_query, table_of
from ..residual import residual_of
from ..responses import data_response, page_response
from ..state import State
from ..thumbnails import bytes_url, thumbnails_of
from ..who_attends import source_of
from ..written import written_of

# What the metrics are: the same on every page of a layer.
DEFINITIONS = join_markup(
    '<dt>{} <span class="soft">of a {}</span></dt><dd>{}</dd>',
    ((metric.label, metric.component.value, metric.definition) for metric in HEAD_METRICS + NEURON_METRICS),
)


@require_safe
@cached_page(*NAMES)
def layer_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    layer, query = component.layer, parse_query(request.GET)
    residual, residual_absent = residual_of(measurements, layer)
    columns = columns_of(measurements, layer)
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "measurements": measurements,
        "columns": columns,
        "head_columns": head_columns_html(measurements, columns),
        "definitions": DEFINITIONS,
        "head_rows": head_rows_html(measurements, model, layer, columns),
        "absent": reasons_by_metrics(_absent_columns(measurements, component, columns)),
        "previous": Component(layer - 1) if layer > 0 else None,
        "next": Component(layer + 1) if layer + 1 < model.n_layers else None,
        "residual": residual,
        "residual_absent": sorted(set(residual_absent.values())),
        "query": query,
        **_thumbnails_context(measurements, model, layer, query),
        **_neurons_context(measurements, model, layer, query),
        "written": written_of(measurements, component, user=request.user),
        "provenance": provenance_of(measurements),
        "json_url": reverse("layer-json", args=[model.slug, component], query=request.GET),
    }
    missing = query.missing or context["missing_text"] or context.get("missing_page")
    return page_response(request, "pages/layer.html", context, missing=bool(missing))


def _absent_columns(measurements: Measurements, layer: Component, columns: list[Metric]) -> dict[str, str]:
    """Why metrics have no column in the table of heads, by key."""
    nowhere = f"could not be computed for any head of {layer}."
    return {
        metric.key: measurements.absent.get(metric.key, nowhere) for metric in HEAD_METRICS if metric not in columns
    }


def _chosen_text(measurements: Measurements, asked: str) -> tuple[list[Text], Text | None, str]:
    """The texts to choose from, the one that the URL asks for, and what it asks for that is not here."""
    texts = texts_of(measurements, own=asked)
    if not texts:
        return [], None, f"the text “{asked[:80]}”" if asked else ""
    choice = choose(texts, State.of({"text": asked}), prefer=DatasetKind.NATURAL)
    return texts, choice.text, choice.missing


def _thumbnails_context(
    measurements: Measurements, model: LanguageModel, layer: int, query: TableQuery
) -> dict[str, Any]:
    texts, text, missing = _chosen_text(measurements, query.text)
    if text is None:
        return {"texts": [], "thumbnails": [], "missing_text": missing}
    tabs = [(each, query.url(text=each.key) + "#patterns", each.key == text.key) for each in texts]
    context: dict[str, Any] = {"texts": tabs, "text": text, "missing_text": missing, "thumbnails": []}
    context["patterns_query"] = State.of({"survey": measurements.survey, "text": text.key}).query
    try:
        context |= {"thumbnails": thumbnails_of(text, measurements, layer), "bytes_url": bytes_url(text, layer)}
    except StoreError as error:
        context["thumbnails_error"] = str(error)
    return context


def read_table(
    measurements: Measurements, model: LanguageModel, layer: int, query: TableQuery
) -> tuple[NeuronTable | None, str]:
    """The table of a layer's neurons, or the reason why there is none."""
    if not model.d_mlp:
        return None, "none: the layers of this model are attention alone."
    result = measurements.natural
    if result is None:
        return None, measurements.why_not_natural
    if not set(NEURON_METRICS) <= set(result.metrics):
        return None, f"not measured: the survey of {result.spec.dataset} did not ask for neurons."
    try:
        return table_of(result, model, layer, query), ""
    except StoreError as error:
        return None, f"not readable: {error}"


def _neurons_context(measurements: Measurements, model: LanguageModel, layer: int, query: TableQuery) -> dict[str, Any]:
    table, absent = read_table(measurements, model, layer, query)
    if table is None:
        return {"table": None, "table_absent": absent}
    assert measurements.natural is not None
    survey = measurements.natural.spec.hash
    figure = reverse("figure", args=[model.slug, Component(layer), "neurons", "svg"])
    parts = {"x": query.x.key, "y": query.y.key} | ({"survey": query.survey} if query.survey else {})
    return {
        "table": table,
        "missing_page": query.page if query.page > table.n_pages else None,
        "options": {
            name: _options_html(metric) for name, metric in (("x", query.x), ("y", query.y), ("where", query.where))
        },
        "scatter": scatter_of(table.values, x=query.x, y=query.y),
        "points_url": reverse("layer-neurons", args=[survey, Component(layer)]),
        "x_index": NEURON_METRICS.index(query.x),
        "where_index": NEURON_METRICS.index(query.where) if query.where else "",
        "y_index": NEURON_METRICS.index(query.y),
        "neurons_svg": f"{figure}?{urlencode(parts)}",
        "neurons_csv": f"{figure.removesuffix('svg')}csv?{urlencode(parts)}",
    }


def _options_html(chosen: Metric | None) -> SafeString:
    """The metrics of neurons as options of a choice."""
    selected = SafeString(" selected")
    return join_markup(
        '<option value="{}"{}>{}</option>',
        ((metric.key, selected if metric == chosen else "", metric.label) for metric in NEURON_METRICS),
    )


@require_safe
def layer_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    """What the page has: the same page of neurons, the same text."""
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    doing = f"Reading the data of {component}"
    query = require_query(request.GET, doing=doing, slug=model.slug)
    heads = {}
    for head in model.heads(component.layer):
        values, absent = measurements.of_head(head)
        heads[str(head)] = {"metrics": {key: value.to_json() for key, value in values.items()}, "absent": absent}
    residual, residual_absent = residual_of(measurements, component.layer)
    table, table_absent = read_table(measurements, model, component.layer, query)
    return data_response(
        {
            "component": str(component),
            "heads": heads,
            "patterns": _patterns_json(measurements, model, component.layer, query, doing=doing),
            "residual": {value.metric.key: value.to_json() for value in residual},
            "neurons": table.to_json() if table else None,
            "absent": residual_absent | ({"neurons": table_absent} if table_absent else {}),
            "texts": written_of(measurements, component, user=request.user).to_json(),
            "provenance": measurements.provenance_json(),
        }
    )


def _patterns_json(
    measurements: Measurements, model: LanguageModel, layer: int, query: TableQuery, *, doing: str
) -> dict[str, Any] | None:
    texts = texts_of(measurements, own=query.text)
    if not texts and not query.text:
        return None
    state = State.of({"text": query.text})
    text = require_choice(texts, state, prefer=DatasetKind.NATURAL, doing=doing, slug=model.slug).text
    data = {"text": text.key, "title": text.row.title, "tokens": list(text.row.tokens), "source": source_of(text)}
    try:
        strongest = {str(each.component): each.to_json() for each in thumbnails_of(text, measurements, layer)}
    except StoreError as error:
        return data | {"absent": str(error)}
    return data | {"bytes": bytes_url(text, layer), "strongest_off_sink": strongest}
