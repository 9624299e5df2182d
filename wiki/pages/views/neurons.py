"""A neuron: how active it is, on what, and what it writes."""

from __future__ import annotations

import dataclasses
import secrets
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from analysis.metrics import NEURON_METRICS
from analysis.schema import Component
from wiki.experiments.results import Result, StoreError, SurveyResult, Vocabulary, open_vocabulary

from ..addresses import get_model, neighbours, require_component
from ..caching import cached_page
from ..errors import NotFound
from ..footer import provenance_of
from ..measurements import Measurements, measurements_of
from ..neuron_examples import GROUPS, Example, examples_html, examples_of, find_group, full_text_of, require_group
from ..neuron_histogram import Histogram, draw, histogram_of
from ..neuron_tokens import Neighbours, TokenList, mean_tokens, nearest_neurons, weight_tokens
from ..neuron_values import NeuronValue, values_of
from ..numbers import short
from ..own_text import neuron_on_text, require_neuron_on_text
from ..responses import data_response, page_response
from ..shading import visible
from ..who_attends import source_of
from ..written import written_of

N_IN_LEAD = 3


@dataclasses.dataclass(frozen=True)
class Reading:
    """All that is known of a neuron; what is not known has a sentence in `absent`."""

    values: list[NeuronValue]
    absent: dict[str, str]
    histogram: Histogram | None = None
    means: list[TokenList] = dataclasses.field(default_factory=list)
    tokens: list[TokenList] = dataclasses.field(default_factory=list)
    nearest: list[Neighbours] = dataclasses.field(default_factory=list)

    def value(self, key: str) -> NeuronValue | None:
        return next((value for value in self.values if value.metric.key == key), None)

    @property
    def largest(self) -> float:
        """The largest magnitude of the neuron's activation, which has the darkest shade."""
        ends = [abs(value.value) for value in self.values if value.metric.key in ("maximum", "minimum")]
        return max(ends, default=0.0)

    def tokens_of(self, key: str) -> TokenList | None:
        return next((tokens for tokens in (*self.means, *self.tokens) if tokens.key == key), None)


def _read(measurements: Measurements, component: Component) -> tuple[Reading, Vocabulary | None]:
    values, absent = values_of(measurements, component)
    reading = Reading(values, absent)
    try:
        vocabulary = open_vocabulary(measurements.model)
    except StoreError as error:
        for part in ("examples", "means", "weights"):
            absent[part] = f"token texts cannot be read. {error}"
        vocabulary = None
    result = measurements.natural
    if result is None or not values:
        reason = measurements.why_not_natural if result is None else next(iter(absent.values()))
        absent |= dict.fromkeys(("histogram", "examples", "means"), reason)
    else:
        reading = _read_survey(reading, result, vocabulary, component)
    weights = measurements.weights
    if weights.result is None:
        absent["weights"] = weights.absent
    elif vocabulary:
        reading = _read_weights(reading, weights.result, vocabulary, measurements, component)
        if reason := weights.result.artifact.meta["absent"].get("promoted_tokens"):
            reading.absent["promoted"] = reason
    return reading, vocabulary


def _read_survey(
    reading: Reading, result: SurveyResult, vocabulary: Vocabulary | None, component: Component
) -> Reading:
    try:
        reading = dataclasses.replace(reading, histogram=histogram_of(result, component))
        if vocabulary:
            reading = dataclasses.replace(reading, means=mean_tokens(result, vocabulary, component))
    except StoreError as error:
        reading.absent.update(dict.fromkeys(("histogram", "examples", "means"), f"not readable: {error}"))
    return reading


def _read_weights(
    reading: Reading, result: Result, vocabulary: Vocabulary, measurements: Measurements, component: Component
) -> Reading:
    try:
        tokens = weight_tokens(result, vocabulary, component)
        return dataclasses.replace(reading, tokens=tokens, nearest=nearest_neurons(result, measurements, component))
    except StoreError as error:
        reading.absent["weights"] = f"not readable: {error}"
        return reading


def _examples(
    request: HttpRequest,
    measurements: Measurements,
    reading: Reading,
    vocabulary: Vocabulary | None,
    component: Component,
    *,
    key: str,
) -> list[Example]:
    """A group of examples; where there is none the reason is noted in the reading."""
    group, result = find_group(key), measurements.natural
    if group is None or result is None or vocabulary is None or "examples" in reading.absent:
        return []
    query = urlencode({"survey": request.GET["survey"]}) if request.GET.get("survey") else ""
    try:
        return examples_of(
            result,
            vocabulary,
            component,
            model=measurements.model,
            group=group,
            largest=reading.largest,
            query=f"?{query}" if query else "",
        )
    except StoreError as error:
        reading.absent["examples"] = f"not readable: {error}"
        return []


@require_safe
@cached_page("survey", "examples", "text")
def neuron_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    reading, vocabulary = _read(measurements, component)
    previous, following = neighbours(model, component)
    asked = request.GET.get("examples", GROUPS[0].key)
    group = find_group(asked) or GROUPS[0]
    examples = _examples(request, measurements, reading, vocabulary, component, key=group.key)
    text = request.GET.get("text", "")
    own = neuron_on_text(model, text, component) if text else None
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "layer": Component(component.layer),
        "previous": previous,
        "next": following,
        "measurements": measurements,
        "reading": reading,
        "absent": reading.absent,
        "absent_metrics": _absent_metrics(reading),
        "active": reading.value("share_active"),
        "strongest_on": _first_tokens(reading, "highest"),
        "promotes": _first_tokens(reading, "promoted_tokens"),
        "drawing": draw(reading.histogram) if reading.histogram else None,
        "groups": GROUPS,
        "group": group,
        "missing": "" if group.key == asked else asked,
        "examples": examples_html(examples),
        "own": own,
        "named_text": text,
        "missing_text": "" if own else text,
        **_scale(reading),
        "written": written_of(measurements, component, user=request.user),
        "provenance": provenance_of(measurements),
        "json_url": reverse("neuron-json", args=[model.slug, component], query=request.GET),
    }
    missing = context["missing"] or context["missing_text"]
    return page_response(request, "pages/neuron.html", context, missing=bool(missing))


def _scale(reading: Reading) -> dict[str, str]:
    """The end and the quarter of the scale of activations."""
    return {"largest": short(reading.largest), "quarter": short(reading.largest / 4)}


def _absent_metrics(reading: Reading) -> list[str]:
    """Why statistics are missing: once where all have the same reason."""
    reasons = {metric.label: reading.absent[metric.key] for metric in NEURON_METRICS if metric.key in reading.absent}
    if len(set(reasons.values())) == 1:
        return [f"Statistics: {next(iter(reasons.values()))}"]
    return [f"{label.capitalize()}: {reason}" for label, reason in reasons.items()]


def _first_tokens(reading: Reading, key: str) -> list[str]:
    tokens = reading.tokens_of(key)
    return [visible(text) for text in tokens.texts[:N_IN_LEAD]] if tokens else []


@require_safe
def neuron_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    """What the page has, with all groups of examples."""
    model = get_model(slug)
    require_component(model, component)
    doing = f"Reading the data of {component}"
    if request.GET.get("examples"):
        require_group(request.GET["examples"], doing=doing, slug=model.slug)
    text = request.GET.get("text", "")
    own = require_neuron_on_text(model, text, component, doing=doing) if text else None
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    reading, vocabulary = _read(measurements, component)
    asked = [group for group in GROUPS if request.GET.get("examples") in ("", None, group.key)]
    examples = {
        group.key: [
            example.to_json()
            for example in _examples(request, measurements, reading, vocabulary, component, key=group.key)
        ]
        for group in asked
    }
    return data_response(
        {
            "component": str(component),
            "metrics": {value.metric.key: value.to_json() for value in reading.values},
            "absent": reading.absent,
            "histogram": reading.histogram.to_json() if reading.histogram else None,
            "examples": examples,
            "means": {tokens.key: tokens.to_json() for tokens in reading.means},
            "weights": {tokens.key: tokens.to_json() for tokens in reading.tokens},
            "nearest": {neighbours.key: neighbours.to_json() for neighbours in reading.nearest},
            "own_text": own.to_json() | {"source": source_of(own.text)} if own else None,
            "texts": written_of(measurements, component, user=request.user).to_json(),
            "provenance": measurements.provenance_json(),
        }
    )


@require_safe
def neuron_row(request: HttpRequest, slug: str, component: Component, row: int) -> HttpResponse:
    """The whole text of one of a neuron's examples: a fragment for htmx, else a page."""
    model = get_model(slug)
    require_component(model, component)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    result = measurements.natural
    if result is None:
        raise NotFound(
            f"Looking for row {row} among the examples of {component}: {measurements.why_not_natural}", slug=slug
        )
    values, absent = values_of(measurements, component)
    if not values:
        raise NotFound(f"Looking for row {row} among the examples of {component}: {next(iter(absent.values()))}")
    reading = Reading(values, absent)
    try:
        vocabulary = open_vocabulary(model)
        text = full_text_of(result, vocabulary, component, model=model, row=row, largest=reading.largest)
    except StoreError as error:
        raise NotFound(str(error), slug=slug) from error
    context = {
        "model": model,
        "jump_model": model.slug,
        "component": component,
        "layer": Component(component.layer),
        "measurements": measurements,
        "text": text,
        **_scale(reading),
        "provenance": provenance_of(measurements),
        "json_url": reverse("neuron-json", args=[model.slug, component], query=request.GET),
    }
    is_fragment = request.headers.get("HX-Request") == "true"
    response = render(request, "pages/_neuron_row.html" if is_fragment else "pages/neuron_row.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
def random_neuron(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    if not model.d_mlp:
        raise NotFound(f"Choosing a neuron of {model.slug}: its layers are attention alone, without one.", slug=slug)
    layer, neuron = divmod(secrets.randbelow(model.n_layers * model.d_mlp), model.d_mlp)
    url = reverse("neuron", args=[model.slug, Component(layer, neuron=neuron)], query=request.GET)
    response = HttpResponseRedirect(url)
    response["Cache-Control"] = "no-store"
    return response
