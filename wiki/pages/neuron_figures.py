"""A neuron's figures as files."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from django.http import HttpRequest

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, SurveyResult, open_vocabulary

from .downloads import Figure, figure
from .errors import NotFound
from .levels import signed_levels
from .measurements import measurements_of
from .neuron_examples import GROUPS, Example, examples_of, require_group
from .neuron_histogram import draw, histogram_of
from .neuron_values import values_of
from .numbers import short
from .own_text import require_neuron_on_text
from .shading import visible
from .who_attends import source_of as source_of_text

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
    asked, doing = request.GET.get("examples", "") or GROUPS[0].key, f"Drawing examples of {neuron}"
    group = require_group(asked, doing=doing, slug=model.slug)
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
        context={"lines": lines, "height": height, "largest": short(largest), "framed": "the extreme"},
        source=source,
    )


@figure("neuron", "own-text")
def own_text_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """The neuron on each token of the text that the URL names."""
    assert component is not None
    doing = f"Drawing {component} on a text"
    own = require_neuron_on_text(model, request.GET.get("text", ""), component, doing=doing)
    if own.absent:
        raise NotFound(f"{doing}: {own.absent}", slug=model.slug)
    tokens, values = own.text.row.tokens, own.values
    placed, y = _place(tokens, values, largest=own.largest, framed=own.extremes, y=74 + LINE)
    return Figure(
        title=f"Activation of {component} of {model.slug} on each token of “{own.text.row.title}”",
        columns=("position", "token", "activation"),
        rows=[
            (i, token, "" if math.isnan(value) else value)  # of the first token nothing is kept
            for i, (token, value) in enumerate(zip(tokens, values.tolist(), strict=True))
        ],
        template="pages/figures/examples.svg",
        context={
            "lines": [{"title": own.summary, "y": 74, "tokens": placed}],
            "height": y + LINE,
            "largest": own.largest_figure,
            "framed": "the highest and the lowest",
        },
        source=source_of_text(own.text),
    )


def _lines(examples: list[Example]) -> tuple[list[dict[str, object]], int]:
    """Where every title and every token of the drawing is, and how high it is."""
    lines: list[dict[str, object]] = []
    y = 74
    for example in examples:
        framed = (example.position - example.first,)
        tokens, below = _place(example.texts, example.activations, largest=example.largest, framed=framed, y=y + LINE)
        lines.append({"title": f"{example.title} · {example.figure}", "y": y, "tokens": tokens})
        y = below + LINE + 12
    return lines, y


def _place(
    texts: Sequence[str], values: np.ndarray, *, largest: float, framed: Collection[int], y: int
) -> tuple[list[dict[str, object]], int]:
    """Where every token is, the first line at `y`, and where the last line is."""
    placed: list[dict[str, object]] = []
    x = 0
    for i, (text, level) in enumerate(
        zip(texts, signed_levels(np.nan_to_num(values), largest=largest).tolist(), strict=True)
    ):
        shown = visible(text)
        if x and x + len(shown) > LETTERS:
            x, y = 0, y + LINE
        placed.append(
            {
                "text": shown,
                "x": f"{20 + x * LETTER:.1f}",
                "y": y,
                "width": f"{len(shown) * LETTER:.1f}",
                "opacity": f"{abs(level) / 20:.2f}",
                "colour": "#0b6e6e" if level >= 0 else "#8f5310",
                "ink": "#ffffff" if abs(level) > 17 else "#1d2126",
                "extreme": i in framed,
            }
        )
        x += len(shown)
    return placed, y
