"""Maps, lists and cards of measured heads, ready for templates."""

from __future__ import annotations

import dataclasses
import functools
from html import escape

import numpy as np
from django.utils.safestring import SafeString, mark_safe

from analysis.metrics import HEAD_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from .levels import linear_levels
from .markup import join_markup
from .measurements import HeadValue, MeasuredMetric, Measurements
from .numbers import figure_and_error, metric_value, short
from .strip import Strip, strip_of

# A map on which a value is as long as this has one decimal everywhere; others have two.
WITH_ONE_DECIMAL = 10


@dataclasses.dataclass(frozen=True)
class Cell:
    """One head on a model's map."""

    component: Component
    figure: str  # empty where the value could not be computed
    rank: int
    level: int  # of darkness; -1 where the value could not be computed
    negative: bool  # on a scale that has two hues
    of: int


@dataclasses.dataclass(frozen=True)
class HeadMap:
    """Layers × heads, shaded by one metric."""

    rows: list[tuple[Component, list[Cell]]]
    low: str
    high: str
    signed: bool  # two hues, white at 0: one for each sign

    @property
    def n_heads(self) -> int:
        return len(self.rows[0][1])


@functools.lru_cache(maxsize=64)
def map_of(measured: MeasuredMetric) -> HeadMap | None:
    """The map of a metric; `None` where no head has a value."""
    if not measured.finite.size:
        return None
    low, high = float(measured.finite.min()), float(measured.finite.max())
    signed = measured.metric.low is not None and measured.metric.low < 0
    largest = max(-low, high)
    levels = (
        linear_levels(np.abs(measured.values), low=0.0, high=largest)
        if signed
        else linear_levels(measured.values, low=low, high=high)
    )
    decimals = 1 if largest >= WITH_ONE_DECIMAL else 2
    n_layers, n_heads = measured.values.shape
    rows = [
        (
            Component(layer),
            [_cell(measured, Component(layer, head=head), levels, decimals=decimals) for head in range(n_heads)],
        )
        for layer in range(n_layers)
    ]
    if signed:
        low, high = -largest, largest  # where the scale ends
    return HeadMap(rows, short(low, decimals=decimals), short(high, decimals=decimals), signed)


def _cell(measured: MeasuredMetric, component: Component, levels: np.ndarray, *, decimals: int) -> Cell:
    at = (component.layer, component.head)
    level, value = int(levels[at]), float(measured.values[at])
    figure = short(value, decimals=decimals) if level >= 0 else ""
    negative = value < 0
    return Cell(component, figure, int(measured.ranks[at]), level, negative, measured.finite.size)


@functools.lru_cache(maxsize=64)
def _strip_of(measured: MeasuredMetric) -> Strip:
    return strip_of(measured.finite)


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
        return _strip_of(self.measured).marking(self.value.value) if self.measured and self.value else None


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
    figure, error = figure_and_error(value.value, value.error)
    return Card(
        metric=metric,
        figure=figure,
        error=error,
        queries=f"{value.queries:,}",
        uniform="" if value.uniform is None else metric_value(metric, value.uniform),
        value=value,
        low=metric_value(metric, float(finite.min())),
        high=metric_value(metric, float(finite.max())),
        measured=measured,
    )


def rows_of(measurements: Measurements, cards: list[Card]) -> SafeString:
    """Metrics as rows of a table: name, value with its standard error, rank, range of all heads."""
    rows, page = [], _before_metric(measurements)
    for card in cards:
        metric, value = card.metric, card.value
        unit = f", {metric.unit}" if metric.unit else ""
        rows.append(f'<tr><th scope="row"><a href="{page}{metric.key}">{escape(metric.label)}</a>{unit}</th>')
        if value is None:
            rows.append(f'<td colspan="3" class="absent">{escape(card.absent_reason)}</td></tr>')
            continue
        error = f' <span class="soft">± {escape(card.error)}</span>' if card.error else ""
        uniform = f'<br><span class="soft">uniform attention: {escape(card.uniform)}</span>' if card.uniform else ""
        rows.append(
            f'<td class="mono">{escape(card.figure)}{error}{uniform}</td>'
            f'<td class="rank">{value.rank:,} of {value.of:,}</td>'
            f'<td class="mono">{escape(card.low)}–{escape(card.high)}</td></tr>'
        )
    return mark_safe("".join(rows))  # noqa: S308 (figures and sentences are escaped; the rest is our own)


def _before_metric(measurements: Measurements) -> SafeString:
    """What stands before a metric's key in the address of the model's map by that metric."""
    return mark_safe(escape(f"{measurements.model_url}?{measurements.survey_and}metric="))  # noqa: S308 (escaped here)


def columns_of(measurements: Measurements, layer: int) -> list[Metric]:
    """The metrics of which some head of a layer has a figure."""
    return [
        metric
        for metric in HEAD_METRICS
        if metric.key in measurements.metrics and np.isfinite(measurements.metrics[metric.key].values[layer]).any()
    ]


def head_columns_html(measurements: Measurements, metrics: list[Metric]) -> SafeString:
    """Headings of a table of heads, each a link to the model's map by that metric."""
    page = _before_metric(measurements)
    return join_markup(
        '<th scope="col"><a href="{}{}">{}</a>{}</th>',
        ((page, metric.key, metric.label, f", {metric.unit}" if metric.unit else "") for metric in metrics),
    )


def reasons_by_metrics(absent: dict[str, str]) -> list[tuple[str, str]]:
    """Why metrics are absent (`absent` by key): each reason once, with the names of its metrics."""
    labels: dict[str, list[str]] = {}
    for metric in HEAD_METRICS:
        if metric.key in absent:
            labels.setdefault(absent[metric.key], []).append(metric.label)
    return [(", ".join(names), reason) for reason, names in labels.items()]


def head_rows_html(measurements: Measurements, model: LanguageModel, layer: int, metrics: list[Metric]) -> SafeString:
    """Rows of a table: each head of a layer with these metrics, the figure and its place, or that there is none."""
    rows = []
    for component in model.heads(layer):
        values = [_value_of(measurements, metric, component) for metric in metrics]
        cells = join_markup(
            '<td><span class="{}">{}</span> <span class="soft">{}</span></td>',
            (
                ("mono", metric_value(value.metric, value.value), f"{value.rank:,} of {value.of:,}")
                if value
                else ("soft", "no figure", "")
                for value in values
            ),
        )
        rows.append((measurements.url_of(component), component, cells))
    return join_markup('<tr><th scope="row"><a href="{}">{}</a></th>{}</tr>', rows)


def _value_of(measurements: Measurements, metric: Metric, component: Component) -> HeadValue | None:
    measured = measurements.metrics.get(metric.key)
    return measured.of_head(component) if measured else None
