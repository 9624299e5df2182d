"""A layer's figures as files."""

from __future__ import annotations

from django.http import HttpRequest

from analysis.metrics import NEURON_METRICS
from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError

from . import neuron_scatter
from .attention import require_choice, texts_of
from .downloads import Cell, Figure, figure
from .errors import NotFound
from .measurements import measurements_of
from .neuron_figures import source_of
from .neuron_scatter import points, scatter_of
from .neuron_table import require_query, table_of
from .residual import residual_of
from .state import State
from .thumbnails import pattern_paths
from .who_attends import source_of as source_of_text

CELL = 220  # of the drawing of patterns: one head, with its name


@figure("layer", "patterns")
def patterns_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """All heads of the layer on the text that the URL chooses."""
    assert component is not None
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    asked, doing = request.GET.get("text", ""), f"Drawing the patterns of {component}"
    texts, state = texts_of(measurements, own=asked), State.of({"text": asked})
    choice = require_choice(texts, state, prefer=DatasetKind.NATURAL, doing=doing, slug=model.slug)
    text, tokens = choice.text, choice.text.row.tokens
    try:
        patterns = text.result.layer_patterns(text.row.index, component.layer)
    except StoreError as error:
        raise NotFound(str(error), slug=model.slug) from error
    heads = [
        {
            "name": str(head),
            "x": 20 + CELL * (i % 5),
            "y": 70 + (CELL + 20) * (i // 5),
            "scale": f"{(CELL - 20) / len(tokens):.4f}",
            "paths": [(f"{level / 20:.2f}", path) for level, path in pattern_paths(patterns[head.head])],
        }
        for i, head in enumerate(model.heads(component.layer))
    ]
    rows: list[tuple[Cell, ...]] = [
        (f"{component}H{head}", query, tokens[query], key, tokens[key], round(float(pattern[query, key]) / 255, 4))
        for head, pattern in enumerate(patterns)
        for query in range(len(tokens))
        for key in range(len(tokens))
        if pattern[query, key]
    ]
    return Figure(
        title=f"Attention of all heads of {component} of {model.slug} on “{text.row.title}”; row = query, column = key",
        columns=("head", "query position", "query", "key position", "key", "attention"),
        rows=rows,
        template="pages/figures/patterns.svg",
        context={
            "heads": heads,
            "size": CELL - 20,
            "n": len(tokens),
            "width": 40 + CELL * min(5, len(heads)),
            "height": 60 + (CELL + 20) * -(-len(heads) // 5),
        },
        source=source_of_text(text),
    )


@figure("layer", "neurons")
def neurons_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """Every neuron of the layer: two metrics drawn, all of them in the table."""
    assert component is not None
    measurements, doing = (
        measurements_of(model, survey=request.GET.get("survey", "")),
        f"Drawing the neurons of {component}",
    )
    query, result = require_query(request.GET, doing=doing, slug=model.slug), measurements.natural
    if result is None:
        raise NotFound(f"{doing}: {measurements.why_not_natural}", slug=model.slug)
    if not set(NEURON_METRICS) <= set(result.metrics):
        raise NotFound(f"{doing}: the survey of {measurements.natural_dataset} did not ask for neurons.")
    try:
        table = table_of(result, model, component.layer, query)
    except StoreError as error:
        raise NotFound(str(error), slug=model.slug) from error
    scatter = scatter_of(table.values, x=query.x, y=query.y)
    if scatter is None:
        raise NotFound(f"{doing}: no neuron has both {query.x.label} and {query.y.label}.", slug=model.slug)
    columns = ["neuron"]
    arrays = []
    for metric in NEURON_METRICS:
        columns.append(metric.key)
        arrays.append(table.values[metric.key].tolist())
        if metric.key in table.errors:
            columns.append(f"{metric.key} standard error")
            arrays.append(table.errors[metric.key].tolist())
    names = [f"{component}N{neuron}" for neuron in range(model.d_mlp)]
    return Figure(
        title=f"Neurons of {component} of {model.slug}: {query.y.label} against {query.x.label}",
        columns=columns,
        rows=list(zip(names, *arrays, strict=True)),
        template="pages/figures/scatter.svg",
        context={"scatter": scatter, "points": points(scatter, table.values), **_scatter_places()},
        source=source_of(result),
    )


def _scatter_places() -> dict[str, int]:
    left, top, width, height = (
        neuron_scatter.LEFT,
        neuron_scatter.TOP,
        neuron_scatter.WIDTH,
        neuron_scatter.HEIGHT,
    )
    return {"left": left, "top": top, "width": width, "height": height, "right": left + width, "floor": top + height}


@figure("layer", "residual")
def residual_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """What every layer does to the residual stream, this one marked."""
    assert component is not None
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    values, absent = residual_of(measurements, component.layer)
    if not values or measurements.natural is None:
        raise NotFound(f"Drawing the residual stream of {component}: {next(iter(absent.values()))}", slug=model.slug)
    columns, arrays = ["layer"], []
    for value in values:
        columns += [value.metric.key, f"{value.metric.key} standard error"]
        arrays += [value.values.tolist(), value.errors.tolist()]
    return Figure(
        title=f"The residual stream of {model.slug} by layer, {component} marked",
        columns=columns,
        rows=list(zip(range(model.n_layers), *arrays, strict=True)),
        template="pages/figures/residual.svg",
        context={
            "curves": [(value, 20 + 240 * (i % 3), 70 + 110 * (i // 3)) for i, value in enumerate(values)],
            "height": 80 + 110 * -(-len(values) // 3),
        },
        source=source_of(measurements.natural),
    )
