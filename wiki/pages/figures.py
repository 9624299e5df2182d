"""Maps, lists and cards of measured heads, ready for templates."""

from __future__ import annotations

import dataclasses
from html import escape

import numpy as np
from django.utils.safestring import SafeString, mark_safe

from analysis.metrics import HEAD_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from .levels import linear_levels
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
    error: str = ""  # standard error; empty for what is no mean
    queries: str = ""  # that the mean is over
    uniform: str = ""  # what uniform attention would give, where that is known
    value: HeadValue | None = None
    low: str = ""
    high: str = ""
    absent_reason: str = ""
    measured: MeasuredMetric | None = None

    @property
    def strip(self) -> Strip | None:
        """Where the head stands among all, drawn."""
        return strip_of(self.measured.finite, here=self.value.value) if self.measured and self.value else None


# The metrics that a head page draws, each on a card of its own; the others stand in a table.
ON_CARDS = 6


def cards_of(measurements: Measurements, values: dict[str, HeadValue], absent: dict[str, str]) -> list[Card]:
    return [
        _card(measurements.metrics[metric.key], values[metric.key])
        if metric.key in values
        else Card(metric, absent_reason=absent[metric.key])
        for metric in HEAD_METRICS
    ]


def _card(measured: MeasuredMetric, value: HeadValue) -> Card:
    metric, finite = measured.metric, measured.finite
    return Card(
        metric=metric,
        figure=metric_value(metric, value.value),
        error="" if value.error is None else metric_value(metric, value.error),
        queries=f"{value.queries:,}",
        uniform="" if value.uniform is None else metric_value(metric, value.uniform),
        value=value,
        low=metric_value(metric, float(finite.min())),
        high=metric_value(metric, float(finite.max())),
        measured=measured,
    )


def rows_of(cards: list[Card], *, model_url: str) -> SafeString:
    """Metrics as rows of a table: name, value with its standard error, rank, range of all heads."""
    rows = []
    for card in cards:
        metric, value = card.metric, card.value
        unit = f", {metric.unit}" if metric.unit else ""
        rows.append(
            f'<tr><th scope="row"><a href="{model_url}?metric={metric.key}">{escape(metric.label)}</a>{unit}</th>'
        )
        if value is None:
            rows.append(f'<td colspan="3" class="absent">{escape(card.absent_reason)}</td></tr>')
            continue
        error = f' <span class="soft">± {escape(card.error)}</span>' if card.error else ""
        uniform = f'<br><span class="soft">uniform attention: {escape(card.uniform)}</span>' if card.uniform else ""
        rows.append(
            f'<td class="mono">{escape(card.figure)}{error}{uniform}</td>'
            f'<td class="rank">{value.rank} of {value.of}</td>'
            f'<td class="mono">{escape(card.low)}–{escape(card.high)}</td></tr>'
        )
    return mark_safe("".join(rows))  # noqa: S308 (figures and sentences are escaped; the rest is our own)


def layer_table(
    measurements: Measurements, model: LanguageModel, layer: int
) -> list[tuple[Component, list[tuple[Metric, str, HeadValue | None]]]]:
    """Each head of a layer with its six metrics: the figure and its place, or nothing where it is absent."""
    rows = []
    for component in model.heads(layer):
        values, _ = measurements.of_head(component)
        cells = []
        for metric in HEAD_METRICS:
            value = values.get(metric.key)
            cells.append((metric, metric_value(metric, value.value) if value else "", value))
        rows.append((component, cells))
    return rows
