"""Maps, lists and cards of measured heads, ready for templates."""

from __future__ import annotations

import dataclasses

import numpy as np
from django.utils.safestring import SafeString

from analysis.metrics import HEAD_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from .levels import linear_levels
from .markup import join_markup
from .measurements import HeadValue, MeasuredMetric, Measurements
from .numbers import metric_value, with_unit
from .strip import Strip, strip_of


@dataclasses.dataclass(frozen=True)
class Cell:
    """One head on a model's map."""

    component: Component
    figure: str  # empty where the value could not be computed
    rank: int
    level: int
    of: int


@dataclasses.dataclass(frozen=True)
class HeadMap:
    """Layers × heads, shaded by one metric."""

    rows: list[tuple[Component, list[Cell]]]
    low: str
    high: str

    @property
    def n_heads(self) -> int:
        return len(self.rows[0][1])


def map_of(measured: MeasuredMetric) -> HeadMap | None:
    """The map of a metric; `None` where no head has a value."""
    if not measured.finite.size:
        return None
    low, high = float(measured.finite.min()), float(measured.finite.max())
    levels = linear_levels(measured.values, low=low, high=high)
    rows = [
        (Component(layer), [_cell(measured, Component(layer, head=head), levels) for head in range(n_heads)])
        for n_layers, n_heads in [measured.values.shape]
        for layer in range(n_layers)
    ]
    return HeadMap(rows, metric_value(measured.metric, low), metric_value(measured.metric, high))


def _cell(measured: MeasuredMetric, component: Component, levels: np.ndarray) -> Cell:
    at = (component.layer, component.head)
    level, value = int(levels[at]), float(measured.values[at])
    figure = metric_value(measured.metric, value) if level >= 0 else ""
    return Cell(component, figure, int(measured.ranks[at]), level, measured.finite.size)


def top_heads(measured: MeasuredMetric, *, n: int) -> list[tuple[int, Component, str]]:
    """Rank, address and figure of the `n` heads with the highest values, ties in order of address."""
    flat = np.where(np.isfinite(measured.values), measured.values, -np.inf).ravel()
    order = np.argsort(-flat, kind="stable")[: min(n, measured.finite.size)]
    width = measured.values.shape[1]
    ranks = measured.ranks.ravel()
    return [
        (int(ranks[i]), Component(int(i) // width, head=int(i) % width), with_unit(measured.metric, float(flat[i])))
        for i in order
    ]


@dataclasses.dataclass(frozen=True)
class Card:
    """One metric of a head: the value among all heads, or why there is none."""

    metric: Metric
    figure: str = ""
    value: HeadValue | None = None
    strip: Strip | None = None
    low: str = ""
    high: str = ""
    absent_reason: str = ""


def cards_of(measurements: Measurements, values: dict[str, HeadValue], absent: dict[str, str]) -> list[Card]:
    return [
        _card(measurements.metrics[metric.key], values[metric.key])
        if metric.key in values
        else Card(metric, absent_reason=absent[metric.key])
        for metric in HEAD_METRICS
    ]


def _card(measured: MeasuredMetric, value: HeadValue) -> Card:
    metric, strip = measured.metric, strip_of(measured.finite, here=value.value)
    return Card(
        metric=metric,
        figure=metric_value(metric, value.value),
        value=value,
        strip=strip,
        low=metric_value(metric, strip.low),
        high=metric_value(metric, strip.high),
    )


def head_columns_html(model: LanguageModel) -> SafeString:
    """Headings of a table of heads, each a link to the model's map by that metric."""
    page = model.get_absolute_url()
    return join_markup(
        '<th scope="col"><a href="{}?metric={}">{}</a>{}</th>',
        ((page, metric.key, metric.label, f", {metric.unit}" if metric.unit else "") for metric in HEAD_METRICS),
    )


def head_rows_html(measurements: Measurements, model: LanguageModel, layer: int) -> SafeString:
    """Rows of a table: each head of a layer with every metric, the figure and its place, or that there is none."""
    rows, page = [], model.get_absolute_url()
    for component in model.heads(layer):
        values = [_value_of(measurements, metric, component) for metric in HEAD_METRICS]
        cells = join_markup(
            '<td><span class="{}">{}</span> <span class="soft">{}</span></td>',
            (
                ("mono", metric_value(value.metric, value.value), f"{value.rank} of {value.of}")
                if value
                else ("soft", "no figure", "")
                for value in values
            ),
        )
        rows.append((f"{page}{component}/", component, cells))
    return join_markup('<tr><th scope="row"><a href="{}">{}</a></th>{}</tr>', rows)


def _value_of(measurements: Measurements, metric: Metric, component: Component) -> HeadValue | None:
    measured = measurements.metrics.get(metric.key)
    return measured.of_head(component) if measured else None
