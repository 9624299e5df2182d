"""The figures of a model's page as files: map, finder, scatter and logit-lens curves."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict

from analysis.metrics import LAYER_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.coverage.counting import coverage_of

from .coverage_map import coverage_map_of
from .downloads import Cell, Figure, figure
from .errors import NotFound
from .figures import map_of
from .finder import COUNTS, ENDS, Question, find_heads
from .layer_metrics import layer_metrics
from .lens import lens_curves
from .measurements import MeasuredMetric, Measurements, measurements_of
from .metric_groups import HEAD_METRICS_BY_KEY
from .numbers import short
from .scatter import Axes, scatter_of

# Of the scatter's drawing, and from its edges to the axes.
SIDE, MARGIN = 480, 56


def chosen_metric(measurements: Measurements, asked: QueryDict) -> Metric:
    """The metric of the map and the finder: what the URL names, else the first that is measured."""
    first = next(iter(measurements.metrics), next(iter(HEAD_METRICS_BY_KEY)))
    return HEAD_METRICS_BY_KEY.get(asked.get("metric", ""), HEAD_METRICS_BY_KEY[first])


def require_known(asked: QueryDict, *, doing: str, slug: str) -> None:
    """404 with a sentence where the URL names a metric, an axis or an answer of the finder that there is not."""
    metric, question, axes = asked.get("metric", ""), Question.of(asked), Axes.of(asked)
    known = ", ".join(HEAD_METRICS_BY_KEY)
    if (metric and metric not in HEAD_METRICS_BY_KEY) or axes.missing:
        named = axes.missing or f"“{metric[:80]}”"
        raise NotFound(f"{doing}: expected metrics among {known}, got {named}.", slug=slug)
    if question.missing:
        counts, ends = ", ".join(COUNTS), " or ".join(ENDS)
        raise NotFound(f"{doing}: expected top={counts} and end={ends}, got {question.missing}.", slug=slug)


def _measurements(request: HttpRequest, model: LanguageModel) -> Measurements:
    return measurements_of(model, survey=request.GET.get("survey", ""))


def _measured(request: HttpRequest, model: LanguageModel) -> tuple[Measurements, MeasuredMetric]:
    require_known(request.GET, doing="Drawing heads by a metric", slug=model.slug)
    measurements = _measurements(request, model)
    metric = chosen_metric(measurements, request.GET)
    if metric.key not in measurements.metrics:
        raise NotFound(f"Drawing {metric.label}: {measurements.absent[metric.key]}", slug=model.slug)
    return measurements, measurements.metrics[metric.key]


def source_line(measurements: Measurements, *datasets: str) -> str:
    """Survey, model hash and dataset hash of what a figure shows."""
    model = measurements.model
    surveys = [
        f"survey {result.spec.hash}, {dataset} {result.spec.dataset_hash}"
        for dataset, result in measurements.results.items()
        if dataset in datasets
    ]
    return "; ".join([f"model {model.slug} {model.hash}", *surveys])


def _cells(*values: float | None) -> list[Cell]:
    return ["" if value is None else value for value in values]


@figure("model", "map")
def map_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """Every head by the chosen metric."""
    measurements, measured = _measured(request, model)
    drawn = map_of(measured)
    if drawn is None:
        raise NotFound(f"Drawing {measured.metric.label}: it could not be computed for any head.", slug=model.slug)
    rows = [
        [str(head), *_cells(*measured.at(head)), int(measured.ranks[head.layer, head.head])]
        for layer in range(model.n_layers)
        for head in model.heads(layer)
        if drawn.rows[layer][1][head.head or 0].figure
    ]
    return Figure(
        title=f"Every head of {model.slug} by {measured.metric.label}",
        columns=["head", measured.metric.key, "standard_error", "rank"],
        rows=rows,
        template="pages/figures/map.svg",
        context={
            "map": drawn,
            "width": max(60 + 48 * drawn.n_heads, 640),  # the legend is as long
            "height": 96 + 24 * model.n_layers,
            "below": 76 + 24 * model.n_layers,
        },
        source=source_line(measurements, measured.dataset),
    )


@figure("model", "coverage")
def coverage_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """What is written about every head."""
    drawn = coverage_map_of(model, coverage_of(model.slug, user=request.user))
    return Figure(
        title=f"What is written about every head of {model.slug}",
        columns=["head", "state", "notes", "worked_on_by"],
        rows=[[str(cell.component), cell.state.value, cell.n_notes, " ".join(cell.workers)] for cell in drawn.cells],
        template="pages/figures/coverage.svg",
        context={
            "map": drawn,
            "width": max(60 + 48 * drawn.n_heads, 760),  # the legend is as long
            "height": 96 + 24 * model.n_layers,
            "below": 76 + 24 * model.n_layers,
        },
        source=f"model {model.hash}",
    )


@figure("model", "finder")
def finder_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """The heads that the finder finds."""
    measurements, measured = _measured(request, model)
    question = Question.of(request.GET)
    found = find_heads(measured, question)
    number = len(found)
    return Figure(
        title=f"The {number} heads of {model.slug} with the {question.end} {measured.metric.label}",
        columns=["rank", "head", measured.metric.key, "standard_error"],
        rows=[[head.rank, str(head.component), *_cells(head.value, head.error)] for head in found],
        template="pages/figures/finder.svg",
        context={"found": found, "height": 74 + 22 * number, "below": 58 + 22 * number},
        source=source_line(measurements, measured.dataset),
    )


@figure("model", "scatter")
def scatter_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """Two metrics of every head."""
    require_known(request.GET, doing="Drawing a scatter", slug=model.slug)
    measurements, axes = _measurements(request, model), Axes.of(request.GET)
    scatter, reason = scatter_of(measurements, axes)
    if scatter is None or not scatter.heads:
        raise NotFound(f"Drawing a scatter: {reason or 'no head has both metrics.'}", slug=model.slug)
    rows = scatter.rows()
    (left, right), (low, high) = ((min(of), max(of)) for of in ([row[1] for row in rows], [row[3] for row in rows]))
    inside = SIDE - 2 * MARGIN
    dots = [
        (
            f"{MARGIN + inside * _share(x, left, right):.1f}",
            f"{SIDE - MARGIN - inside * _share(y, low, high):.1f}",
            str(head),
        )
        for head, x, _, y, _ in rows
    ]
    ends = {"left": short(left), "right": short(right), "low": short(low), "high": short(high)}
    return Figure(
        title=scatter.title,
        columns=["head", axes.x.key, f"{axes.x.key}_error", axes.y.key, f"{axes.y.key}_error"],
        rows=[[str(head), *_cells(*values)] for head, *values in rows],
        template="pages/figures/head_scatter.svg",
        context={"dots": dots, "axes": axes, "side": SIDE, "slug": model.slug, **ends},
        source=source_line(measurements, scatter.x.dataset, scatter.y.dataset),
    )


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if low == high else (value - low) / (high - low)


@figure("model", "layers")
def layers_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """The logit lens over the layers; the table has the layers' other metrics too."""
    measurements = _measurements(request, model)
    layers = layer_metrics(measurements)
    lens = lens_curves(layers)
    if lens is None:
        raise NotFound(f"Drawing the logit lens: {layers.absent['lens_agreement']}", slug=model.slug)
    metrics = [layers.metrics[metric.key] for metric in LAYER_METRICS if metric.key in layers.metrics]
    return Figure(
        title=f"Logit lens over the layers of {model.slug}",
        columns=["layer", *(name for of in metrics for name in (of.metric.key, f"{of.metric.key}_error"))],
        rows=[
            [f"L{layer}", *_cells(*(number for of in metrics for number in of.at(layer)))]
            for layer in range(model.n_layers)
        ],
        template="pages/figures/layers.svg",
        context={"lens": lens, "height": lens.height + 62},
        source=source_line(measurements, *(measurements.results)),
    )
