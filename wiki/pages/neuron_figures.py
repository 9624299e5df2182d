"""A neuron's figures as files."""

from __future__ import annotations

from django.http import HttpRequest

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, SurveyResult, open_vocabulary

from .downloads import Figure, figure
from .errors import NotFound
from .levels import signed_levels
from .measurements import measurements_of
from .neuron_examples import GROUPS, Example, examples_of, find_group
from .neuron_histogram import draw, histogram_of
from .neuron_values import values_of
from .numbers import short
from .shading import visible

# Of the drawing of examples: a token is as wide as its letters, and a line breaks after so many.
LETTER, LINE, LETTERS = 8.4, 24, 110


def _require_survey(
    request: HttpRequest, model: LanguageModel, component: Component | None
) -> tuple[SurveyResult, Component, str]:
    """The survey that has the neuron's numbers, the neuron, and the survey in one line; 404 with the reason."""
    assert component is not None
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    values, absent = values_of(measurements, component)
    if measurements.natural is None or not values:
        raise NotFound(f"Drawing {component} of {model.slug}: {next(iter(absent.values()))}", slug=model.slug)
    return measurements.natural, component, source_of(measurements.natural)


def source_of(result: SurveyResult) -> str:
    """Survey, model hash and dataset hash, in one line."""
    spec = result.spec
    return (
        f"survey {spec.hash[:8]} of {spec.dataset} {spec.dataset_hash[:8]}, "
        f"model {spec.model} {spec.model_hash[:8]}, code {spec.code}"
    )


@figure("neuron", "histogram")
def histogram_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    result, neuron, source = _require_survey(request, model, component)
    try:
        histogram = histogram_of(result, neuron)
    except StoreError as error:
        raise NotFound(str(error), slug=model.slug) from error
    edges = histogram.edges.tolist()
    rows = list(zip(edges[:-1], edges[1:], histogram.counts.tolist(), strict=True))
    return Figure(
        title=f"Activation of {neuron} of {model.slug} on one position in eight",
        columns=("from", "to", "positions"),
        rows=rows,
        template="pages/figures/histogram.svg",
        context={"drawing": draw(histogram)},
        source=source,
    )


@figure("neuron", "examples")
def examples_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    result, neuron, source = _require_survey(request, model, component)
    group = find_group(request.GET.get("examples", GROUPS[0].key))
    if group is None:
        known = ", ".join(group.key for group in GROUPS)
        raise NotFound(
            f"Drawing examples of {neuron}: expected one of {known}, got “{request.GET['examples'][:80]}”.",
            slug=model.slug,
        )
    values, _ = values_of(measurements_of(model, survey=request.GET.get("survey", "")), neuron)
    largest = max((abs(v.value) for v in values if v.metric.key in ("maximum", "minimum")), default=0.0)
    try:
        vocabulary = open_vocabulary(model)
        examples = examples_of(result, vocabulary, neuron, model=model, group=group, largest=largest)
    except StoreError as error:
        raise NotFound(str(error), slug=model.slug) from error
    lines, height = _lines(examples)
    return Figure(
        title=f"Examples of {neuron} of {model.slug}, {group.label}: activation on each token",
        columns=("example", "row", "text", "position", "token", "activation", "extreme"),
        rows=[
            (number, each.row, each.title, each.first + i, token, value, int(each.first + i == each.position))
            for number, each in enumerate(examples, start=1)
            for i, (token, value) in enumerate(zip(each.texts, each.activations.tolist(), strict=True))
        ],
        template="pages/figures/examples.svg",
        context={"lines": lines, "height": height, "largest": short(largest)},
        source=source,
    )


def _lines(examples: list[Example]) -> tuple[list[dict[str, object]], int]:
    """Where every title and every token of the drawing is, and how high it is."""
    placed: list[dict[str, object]] = []
    y = 74
    for example in examples:
        tokens: list[dict[str, object]] = []
        top, x = y, 0
        y += LINE
        levels = signed_levels(example.activations, largest=example.largest).tolist()
        for i, (text, level) in enumerate(zip(example.texts, levels, strict=True)):
            shown = visible(text)
            if x and x + len(shown) > LETTERS:
                x, y = 0, y + LINE
            tokens.append(
                {
                    "text": shown,
                    "x": f"{20 + x * LETTER:.1f}",
                    "y": y,
                    "width": f"{len(shown) * LETTER:.1f}",
                    "opacity": f"{abs(level) / 20:.2f}",
                    "colour": "#0b6e6e" if level >= 0 else "#8f5310",
                    "ink": "#ffffff" if abs(level) > 17 else "#1d2126",
                    "extreme": example.first + i == example.position,
                }
            )
            x += len(shown)
        placed.append({"title": f"{example.title} · {example.figure}", "y": top, "tokens": tokens})
        y += LINE + 12
    return placed, y
