"""The figures of a head page as files."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
from django.http import HttpRequest

from analysis.families import metric_datasets
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, SurveyResult

from .attention import Choice, Text, caveat_of, ceiling_figure, ceiling_of, require_choice, scale_text, texts_of
from .composition import compositions_of
from .downloads import Figure, figure
from .errors import NotFound
from .examples import INTERVALS, RawExample, depth_of, excerpt, read_examples, read_histogram, require_interval
from .figures import cards_of
from .lead import extremes, telling_kind
from .levels import N_LEVELS, attention_levels
from .mass import mass_of
from .measurements import Measurements, measurements_of
from .own_text import OwnText
from .promoted import token_texts_of
from .shading import token_name, visible
from .state import State
from .who_attends import source_of

CELL = 6  # of a pattern, in pixels
CHARACTER, LINE = 7.25, 22  # of an example's tokens, in pixels
WIDE = 96  # characters in a line of an example
WIDE_NOTE = 110  # characters in a line below a pattern


def _absent(what: str, component: Component, model: LanguageModel, reason: str) -> NotFound:
    return NotFound(f"Drawing {what} of {component}: {reason}", slug=model.slug)


def _measured(request: HttpRequest, model: LanguageModel) -> Measurements:
    return measurements_of(model, survey=request.GET.get("survey", ""))


def _source(model: LanguageModel, *results: SurveyResult | None) -> str:
    """Survey, model and dataset hashes in one line."""
    surveys = [
        f"survey {result.spec.hash[:8]} of {result.spec.dataset} {result.spec.dataset_hash[:8]}"
        for result in results
        if result
    ]
    return " · ".join([*surveys, f"{model.slug}, weights {model.hash[:8]}"])


def text_source(model: LanguageModel, text: Text) -> str:
    """The same for what is read on one text, which may be a person's own."""
    if isinstance(text, OwnText):
        return f"{source_of(text, digits=8)} · {model.slug}"
    return _source(model, text.result)


def _natural(measurements: Measurements) -> SurveyResult | None:
    return measurements.natural


@figure("head", "metrics")
def metrics_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    values, absent = measurements.of_head(component)
    if not values:
        raise _absent("the metrics", component, model, next(iter(absent.values())))
    cards = [card for card in cards_of(measurements, values, absent) if card.value]
    rows = []
    for key, value in values.items():
        finite, empty = measurements.metrics[key].finite, ""
        error, uniform = (empty if number is None else number for number in (value.error, value.uniform))
        place = (value.rank, value.of, float(finite.min()), float(finite.max()))
        rows.append((key, value.metric.label, value.metric.unit, value.value, error, *place, uniform))
    return Figure(
        title=f"{component} among all {model.n_all_heads} heads of {model.title}, metric by metric",
        columns=("metric", "label", "unit", "value", "standard_error", "rank", "of", "lowest", "highest", "uniform"),
        rows=rows,
        template="figures/head_metrics.svg",
        context={"cards": cards, "width": 720, "height": 70 + 34 * len(cards)},
        source=_source(model, *map(measurements.results.get, metric_datasets(model.family).values())),
    )


def chosen_view(
    request: HttpRequest, measurements: Measurements, component: Component, *, doing: str
) -> tuple[Choice, list[Text]]:
    """What the page of this URL shows, of these texts; 404 where it names something that is not there."""
    texts = texts_of(measurements, own=request.GET.get("text", ""))
    values, _ = measurements.of_head(component)
    prefer = telling_kind(extremes(values, measurements.metrics))
    state = State.of(request.GET.dict())
    slug = measurements.model.slug
    return require_choice(texts, state, prefer=prefer, doing=doing, slug=slug), texts


@figure("head", "pattern")
def pattern_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    doing = f"Drawing the pattern of {component}"
    choice, texts = chosen_view(request, measurements, component, doing=doing)
    try:
        weights = choice.text.weights(component, choice.view)
        ceiling = ceiling_of(choice, component, texts, weights)
    except StoreError as error:
        raise _absent("the pattern", component, model, str(error)) from error
    tokens = choice.text.row.tokens
    if choice.sink_hidden:
        weights = weights.copy()
        weights[:, 0] = 0
    levels, square = attention_levels(weights / ceiling), f"h{CELL}v{CELL}h-{CELL}z"
    paths = [
        (
            level / N_LEVELS,
            "".join(f"M{CELL * k} {CELL * q}{square}" for q, k in np.argwhere(levels == level)),
        )
        for level in range(1, N_LEVELS + 1)
    ]
    rows = [
        (int(q), visible(tokens[q]), int(k), visible(tokens[k]), round(float(weights[q, k]), 6))
        for q, k in np.argwhere(weights > 0)
    ]
    size, lines = CELL * len(tokens), _pattern_notes(choice, ceiling, texts, measurements)
    width, height = pattern_size(choice, ceiling, texts, measurements)
    return Figure(
        title=f"{choice.view.label.capitalize()} of {component} on “{choice.text.row.title}”",
        columns=("query", "query_token", "key", "key_token", choice.view.column.replace(" ", "_")),
        rows=rows,
        template="figures/head_pattern.svg",
        context={
            "paths": [(opacity, path) for opacity, path in paths if path],
            "size": size,
            "legend": choice.view.legend,
            "ceiling": ceiling_figure(ceiling),
            "notes": [(44 + 14 * i, line) for i, line in enumerate(lines)],
            "width": width,
            "height": height,
            "framed": None if choice.query is None else CELL * choice.query,
            "cell": CELL,
            "scale": [(round(i * 8), i / N_LEVELS) for i in range(N_LEVELS + 1)],
            "scale_y": size + 62,
        },
        source=text_source(model, choice.text),
    )


def _pattern_notes(choice: Choice, ceiling: float, texts: list[Text], measurements: Measurements) -> list[str]:
    """The lines below a pattern."""
    return wrap(f"{scale_text(choice, ceiling, texts)} {caveat_of(choice, measurements)}", WIDE_NOTE)


def pattern_size(choice: Choice, ceiling: float, texts: list[Text], measurements: Measurements) -> tuple[int, int]:
    """Width and height of the drawing of a pattern."""
    size = CELL * len(choice.text.row.tokens)
    return max(size + 40, 640), size + 130 + 14 * len(_pattern_notes(choice, ceiling, texts, measurements))


@figure("head", "mass")
def mass_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    bar = mass_of(measurements, component)
    if bar.absent:
        raise _absent("where the attention goes", component, model, bar.absent)
    return Figure(
        title=f"Where the attention of {component} goes on {bar.dataset}",
        columns=("class", "share", "standard_error"),
        rows=[(part.mass.value, part.share, part.error) for part in bar.parts],
        template="figures/head_mass.svg",
        context={"bar": bar, "width": 640, "height": 280},
        source=_source(model, _natural(measurements)),
    )


def _in_depth(measurements: Measurements, what: str, component: Component, model: LanguageModel) -> SurveyResult:
    result, absent = depth_of(measurements)
    if result is None:
        raise _absent(what, component, model, absent)
    return result


@figure("head", "histogram")
def histogram_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    result = _in_depth(measurements, "the histogram", component, model)
    try:
        histogram = read_histogram(result, component)
    except StoreError as error:
        raise _absent("the histogram", component, model, str(error)) from error
    return Figure(
        title=f"Largest attention of {component} off the first token, {result.spec.rows:,} sequences",
        columns=("from", "to", "sequences"),
        rows=[(low, high, n) for (low, high), n in zip(histogram.edges, histogram.counts, strict=True)],
        template="figures/head_histogram.svg",
        context={"histogram": histogram, "width": 640, "height": 230},
        source=_source(model, result),
    )


@figure("head", "examples")
def examples_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    result = _in_depth(measurements, "the examples", component, model)
    label, chosen = INTERVALS[require_interval(request.GET.get("examples", ""), component, model)]
    try:
        examples = read_examples(result, component, token_texts_of(model), chosen)
    except StoreError as error:
        raise _absent("the examples", component, model, str(error)) from error
    rows = [
        (
            example.row,
            example.title,
            example.score,
            example.query,
            visible(example.tokens[example.query]),
            int(key),
            visible(example.tokens[key]),
            round(float(example.weights[key]), 4),
        )
        for example in examples
        for key in np.flatnonzero(example.weights)
    ]
    drawn, y = [], 56
    for example in examples:
        boxes, bottom = _boxes(example, y + LINE)
        drawn.append((example, y, boxes))
        y = bottom + LINE + 14
    return Figure(
        title=f"Examples of {component}, {label} of {result.spec.rows:,} sequences of {result.spec.dataset}",
        columns=("row", "title", "score", "query", "query_token", "key", "key_token", "attention"),
        rows=rows,
        template="figures/head_examples.svg",
        context={"examples": drawn, "width": 760, "height": y + 30, "box_height": LINE - 4},
        source=_source(model, result),
    )


def _boxes(example: RawExample, y: int) -> tuple[list[dict[str, object]], int]:
    """The tokens of an excerpt in lines of monospaced text: where each is, its shade, and whether it is the query."""
    levels = attention_levels(example.weights)
    boxes: list[dict[str, object]] = []
    column = 0
    for run in excerpt(example):
        for i in [*run, None]:
            text = " … " if i is None else visible(example.tokens[i])
            if column + len(text) > WIDE and column:
                column, y = 0, y + LINE
            level = 0 if i is None else int(levels[i])
            boxes.append(
                {
                    "x": round(16 + column * CHARACTER, 1),
                    "y": y,
                    "width": round(len(text) * CHARACTER, 1),
                    "text": text,
                    "opacity": level / N_LEVELS,
                    "ink": "#fff" if level > 17 else "#1d2126",
                    "is_query": i == example.query,
                }
            )
            column += len(text)
    return boxes, y


@figure("head", "composition")
def composition_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    assert component
    measurements = _measured(request, model)
    compositions = compositions_of(measurements, model, component)
    if compositions.absent:
        raise _absent("the compositions", component, model, compositions.absent)
    found = [(kind, head) for kind in compositions.kinds for head in kind.heads]
    highest = max([head.ratio for _, head in found] + [compositions.mean + compositions.deviation])
    bars = []
    for i, (kind, head) in enumerate(found):
        label = f"{kind.label[0]} {head.component}"
        bars.append((60 + 17 * i, label, token_name(head.figure), round(420 * head.ratio / highest, 1)))
    return Figure(
        title=f"Earlier heads that {component} reads from, by weights",
        columns=("composition", "earlier_head", "ratio", "offset", "baseline_mean", "baseline_standard_deviation"),
        rows=[
            (
                kind.label,
                str(head.component),
                head.ratio,
                "" if kind.offset is None else kind.offset,
                compositions.mean,
                compositions.deviation,
            )
            for kind, head in found
        ],
        template="figures/head_composition.svg",
        context={
            "bars": bars,
            "bottom": 66 + 17 * len(bars),
            "baseline_x": round(110 + 420 * compositions.mean / highest, 1),
            "baseline": compositions.baseline,
            "width": 640,
            "height": 120 + 17 * len(bars),
        },
        source=_source(model, _natural(measurements)),
    )
