"""What texts embed: a number, or a figure of a page in the very state that the text names."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import numpy as np
from django.http import Http404, HttpRequest, QueryDict
from django.urls import reverse

from analysis.metrics import METRICS
from analysis.schema import Component, ComponentKind
from wiki import markdown
from wiki.components.addresses import component_url
from wiki.experiments.models import Experiment
from wiki.experiments.results import StoreError
from wiki.experiments.texts import is_name
from wiki.texts.embeds import Embed, Embedded, EmbeddedExperiment, fills_embeds

from . import head_figures, layer_figures, model_figures, neuron_figures  # noqa: F401 (they register their figures)
from .attention import AttentionView, attention_view
from .downloads import FIGURES
from .experiment_list import Listed, listed, with_runs
from .head_figures import chosen_view, pattern_size, text_source
from .layer_metrics import layer_metrics
from .measurements import Measurements, measurements_of
from .neuron_values import values_of
from .numbers import with_small_error
from .ranks import ordinal
from .reading import reading_once
from .state import NAMES as HEAD_STATE

# A text that embeds from more surveys of models than this gets links for the rest.
MAX_SURVEYS = 8
# The figure of a page where the text names none.
FIRST = {"model": "map", "layer": "patterns", "head": "pattern", "neuron": "examples"}
# What an embed may ask for after its “?”: what addresses of pages say, and which of their figures it is.
KNOWN = {*HEAD_STATE, "metric", "figure", "top", "end", "x", "y", "map", "sort", "order", "where", "min", "max", "page"}
N_KEYS = 3  # that an alternative text names
_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")  # the first digits are enough below a figure
_SIZE = re.compile(r'<svg [^>]*?width="(\d+)"[^>]*? height="(\d+)"')


@fills_embeds
def fill_embeds(embeds: Sequence[Embedded]) -> Mapping[Embedded, markdown.Filling]:
    """What each embed shows, or why it shows nothing; each survey is read once."""
    of_models = [embed for embed in embeds if isinstance(embed, Embed)]
    of_experiments = [embed for embed in embeds if isinstance(embed, EmbeddedExperiment)]
    return {**_of_experiments(of_experiments), **_of_models(of_models)}


def _of_experiments(embeds: Sequence[EmbeddedExperiment]) -> Mapping[Embedded, markdown.Filling]:
    """What came out of experiments: two queries."""
    if not embeds:
        return {}
    asked = {embed.experiment.pk: embed for embed in embeds}
    found = with_runs(Experiment.objects.filter(pk__in=asked).defer("spec"))
    return {asked[each.experiment.pk]: _recovered(each) for each in listed(list(found))}


def _recovered(found: Listed) -> markdown.Number | markdown.Absent:
    """The recovered share with its standard error and interval, and the verdict where a criterion was stated."""
    experiment, run = found.experiment, found.run
    name = f"x:{experiment.hash[:8]}"
    if run is None:
        return markdown.Absent(f"Showing what came out of {name}: {found.state}.")
    if run.recovered is None:
        return markdown.Absent(f"Showing what came out of {name}: its page says why there is no recovered share.")
    by = "uploaded, not run by this server" if run.origin == run.Origin.UPLOADED else "run by this server"
    return markdown.Number(
        href=experiment.get_absolute_url(),
        figure=f"{found.share} {found.doubt}".strip(),
        rank=" · ".join(filter(None, [found.verdict, by if run.origin == run.Origin.UPLOADED else ""])),
        title=f"Recovered by {experiment} ({name}) of {experiment.model_id} on {experiment.task}; run {run.pk}, {by}. "
        "Scrubbing can reject a hypothesis; it never confirms one.",
    )


def _of_models(embeds: Sequence[Embed]) -> Mapping[Embedded, markdown.Filling]:
    surveys = dict.fromkeys((embed.model.slug, embed.asked.get("survey", "")) for embed in embeds)
    read = set(list(surveys)[:MAX_SURVEYS])
    with reading_once():
        fillings = {
            embed: _unknown(embed) or _filling(embed)
            for embed in embeds
            if (embed.model.slug, embed.asked.get("survey", "")) in read
        }
    return {embed: filling for embed, filling in fillings.items() if filling is not None}


def _unknown(embed: Embed) -> markdown.Absent | None:
    """What an embed asks for that no page has, and how it may have been meant."""
    unknown = next((name for name in embed.asked if name not in KNOWN), None)
    if unknown is None:
        return None
    kind, word = _kind(embed), unknown.removeprefix("#")
    metrics = [metric.key for metric in METRICS if metric.component.value == kind]
    meant = f"figure={word if (kind, word) in FIGURES else FIRST.get(kind, '…')}"
    if metrics and (kind, word) not in FIGURES:
        meant = f"metric={word if word in metrics else metrics[0]}"
    whole = f"{embed.model.slug}/{embed.component}" if embed.component else embed.model.slug
    return markdown.Absent(
        f"Showing {whole}: expected what of it after “?”, as in ![[{whole}?{meant}]], got “{unknown[:80]}”."
    )


def _filling(embed: Embed) -> markdown.Filling | None:
    """What an embed shows, or why nothing; None: it is a link."""
    if embed.is_link:
        return None
    try:
        measurements = measurements_of(embed.model, survey=embed.asked.get("survey", ""))
        if embed.is_number:
            return _number(embed, measurements)
        is_pattern = _kind(embed) == "head" and embed.asked.get("figure", "pattern") == "pattern"
        return _pattern(embed, measurements) if is_pattern else _figure(embed, measurements)
    except (Http404, StoreError) as refusal:
        return markdown.Absent(str(refusal))


def _number(embed: Embed, measurements: Measurements) -> markdown.Number | markdown.Absent:
    """A metric of a head, a neuron or a layer: its value with standard error and unit, and its rank."""
    component, key = embed.component, embed.asked["metric"]
    assert component is not None
    metric = next((each for each in METRICS if each.key == key and each.component is component.kind), None)
    if metric is None:
        known = ", ".join(each.key for each in METRICS if each.component is component.kind) or "none"
        return markdown.Absent(f"Showing a number of {component}: expected a metric among {known}, got “{key[:80]}”.")
    found = _VALUES[component.kind](component, key, measurements)
    if isinstance(found, str):
        return markdown.Absent(f"{metric.label}: {found}")
    what = f"{metric.label[0].upper()}{metric.label[1:]} of {component}, {embed.model.slug}"
    return markdown.Number(
        href=component_url(embed.model, component) + measurements.survey_query,
        figure=found.figure,
        rank=f"{ordinal(found.rank)} of {found.of:,}",
        title=f"{what}. {metric.definition} {found.basis} The 1st is the highest.",
    )


@dataclasses.dataclass(frozen=True)
class _Value:
    """A number and its place."""

    figure: str  # with standard error and unit
    rank: int  # from the highest
    of: int
    basis: str  # what it was measured on, by which survey


def _value_of_head(component: Component, key: str, measurements: Measurements) -> _Value | str:
    values, absent = measurements.of_head(component)
    if key not in values:
        return absent[key]
    head = values[key]
    basis = _basis(measurements, head.dataset, f"{head.queries:,} queries")
    return _Value(with_small_error(head.metric, head.value, head.error), head.rank, head.of, basis)


def _value_of_neuron(component: Component, key: str, measurements: Measurements) -> _Value | str:
    values, absent = values_of(measurements, component)
    neuron = next((value for value in values if value.metric.key == key), None)
    if neuron is None:
        return absent[key]
    basis = _basis(measurements, neuron.dataset, f"{neuron.positions:,} positions")
    return _Value(neuron.figures, neuron.rank, neuron.of, basis)


def _value_of_layer(component: Component, key: str, measurements: Measurements) -> _Value | str:
    layers, natural = layer_metrics(measurements), measurements.natural
    if key not in layers.metrics:
        return layers.absent[key]
    assert natural is not None
    layer = layers.metrics[key]
    value, error = layer.at(component.layer)
    if not np.isfinite(value):
        return f"could not be computed for {component}."
    rank = 1 + int(np.count_nonzero(layer.values > value))
    basis = _basis(measurements, natural.spec.dataset, f"{layer.positions:,} positions")
    of = int(np.count_nonzero(np.isfinite(layer.values)))
    return _Value(with_small_error(layer.metric, value, error), rank, of, basis)


# How a number is read, by the kind of component; the reason comes instead where there is none.
_VALUES = {
    ComponentKind.HEAD: _value_of_head,
    ComponentKind.NEURON: _value_of_neuron,
    ComponentKind.LAYER: _value_of_layer,
}


def _basis(measurements: Measurements, dataset: str, n: str) -> str:
    """What a number was measured on, by which survey; without a dataset it is read from the weights."""
    if not dataset:
        return f"Read from the weights, {measurements.weights.hash[:8]}."
    return f"{n} of {dataset}, survey {measurements.results[dataset].spec.hash[:8]}."


def _pattern(embed: Embed, measurements: Measurements) -> markdown.Picture:
    """The attention pattern of a head on a kept text, which scripts make alive."""
    model, component = embed.model, embed.component
    assert component is not None
    choice, texts = chosen_view(_request(embed), measurements, component, doing=f"Drawing the pattern of {component}")
    view = attention_view(choice, component, texts, measurements)
    width, height = pattern_size(choice, view.ceiling, texts, measurements)
    state, here = choice.pattern_query, [model.slug, component]
    svg, csv = (f"{reverse('figure', args=[*here, 'pattern', form])}?{state}" for form in ("svg", "csv"))
    return markdown.Picture(
        href=component_url(model, component) + choice.url(),
        label=f"{choice.view.label.capitalize()} of {component} on “{choice.text.row.title}”",
        src=svg,
        alt=f"{view.summary} {_attends(view)}".strip(),
        width=width,
        height=height,
        source=text_source(model, choice.text),
        files=(markdown.File("SVG", svg), markdown.File("CSV", csv)),
        live=f"{reverse('live-pattern', args=here)}?{state}",
    )


def _attends(view: AttentionView) -> str:
    """What the locked query attends to, in words; empty where none is locked."""
    if not view.locked:
        return ""
    keys = ", ".join(f"“{key.name}”, position {key.position}, {key.weight}" for key in view.keys[:N_KEYS])
    return f"Framed: “{view.query_name}”, position {view.query}, attends to {keys}."


def _figure(embed: Embed, measurements: Measurements) -> markdown.Picture | markdown.Absent:
    """Any other figure that a page has."""
    kind, model = _kind(embed), embed.model
    name = embed.asked.get("figure") or FIRST.get(kind, "")
    if (kind, name) not in FIGURES:
        known = ", ".join(sorted(figure for of, figure in FIGURES if of == kind)) or "none"
        return markdown.Absent(f"Looking for the figure “{name[:80]}” of a {kind}: expected one of {known}.")
    # what a person asked for is there for some weeks; what surveys have never changes
    describe = _describe.__wrapped__ if is_name(embed.asked.get("text", "")) else _describe
    drawn = describe(embed, name, _version(measurements))
    asked = urlencode({key: value for key, value in embed.asked.items() if key != "figure"})
    state = f"?{asked}" if asked else ""
    address, args = ("figure", [model.slug, embed.component]) if embed.component else ("model-figure", [model.slug])
    svg, csv = (reverse(address, args=[*args, name, form]) + state for form in ("svg", "csv"))
    page = component_url(model, embed.component) if embed.component else model.get_absolute_url()
    return markdown.Picture(
        href=page + state,
        label=drawn.title,
        src=svg,
        alt=f"{drawn.title}; as a table in the CSV file below.",
        width=drawn.width,
        height=drawn.height,
        source=drawn.source,
        files=(markdown.File("SVG", svg), markdown.File("CSV", csv)),
    )


@dataclasses.dataclass(frozen=True)
class _Drawn:
    """What a text says of a figure."""

    title: str
    width: int
    height: int
    source: str


def _version(measurements: Measurements) -> tuple[str, ...]:
    """What figures are drawn from."""
    return (*(result.spec.hash for result in measurements.results.values()), measurements.weights.hash)


@functools.lru_cache(maxsize=1000)
def _describe(embed: Embed, name: str, version: tuple[str, ...]) -> _Drawn:
    """Draw a figure to see how large it is: some take tens of milliseconds, so it is kept for its version."""
    figure = FIGURES[_kind(embed), name](_request(embed), embed.model, embed.component)
    size = _SIZE.match(figure.as_svg())
    assert size is not None, "every figure says how large it is"
    title = figure.title[:1].upper() + figure.title[1:]
    return _Drawn(title, int(size[1]), int(size[2]), _HASH.sub(r"\1", figure.source))


def _kind(embed: Embed) -> str:
    return embed.component.kind.value if embed.component else "model"


def _request(embed: Embed) -> HttpRequest:
    """A request for the page in the state that the text names."""
    request = HttpRequest()
    request.method, request.GET = "GET", QueryDict(embed.query)
    return request
