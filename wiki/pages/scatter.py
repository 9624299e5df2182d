"""Two metrics of all heads against each other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from django.http import QueryDict

from analysis.metrics import Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from .measurements import MeasuredMetric, Measurements
from .metric_groups import HEAD_METRICS_BY_KEY
from .numbers import with_error

# What is shown first: whether the heads that do induction on random tokens do it in text too.
FIRST = ("induction_repeated", "induction")


@dataclasses.dataclass(frozen=True)
class Axes:
    """The two metrics that the URL names."""

    x: Metric
    y: Metric
    missing: str = ""  # what the URL names and is no metric

    @classmethod
    def of(cls, asked: QueryDict) -> Axes:
        names = [asked.get(axis, first) for axis, first in zip("xy", FIRST, strict=True)]
        x, y = (
            HEAD_METRICS_BY_KEY.get(name, HEAD_METRICS_BY_KEY[first]) for name, first in zip(names, FIRST, strict=True)
        )
        unknown = [f"“{name[:40]}”" for name in names if name not in HEAD_METRICS_BY_KEY]
        return cls(x, y, missing=" and ".join(unknown))


@dataclasses.dataclass(frozen=True)
class Scatter:
    """The heads that have both metrics."""

    model: LanguageModel
    x: MeasuredMetric
    y: MeasuredMetric
    url_of: Callable[[Component], str]

    @property
    def title(self) -> str:
        return f"{self.y.metric.label} against {self.x.metric.label} of every head of {self.model.slug}"

    @property
    def heads(self) -> list[Component]:
        """Those that have both values, in order of address."""
        found = np.argwhere(np.isfinite(self.x.values) & np.isfinite(self.y.values))
        return [Component(int(layer), head=int(head)) for layer, head in found]

    @property
    def correlation(self) -> float | None:
        """Spearman's rank correlation over the heads that have both, in [-1, 1]; None where one of them is constant."""
        return _correlation(self.x, self.y)

    def rows(self) -> list[tuple[Component, float, float | None, float, float | None]]:
        """Each head with x, its standard error, y and its standard error."""
        return [(head, *self.x.at(head), *self.y.at(head)) for head in self.heads]

    def table(self) -> list[tuple[Component, list[str]]]:
        """Each head with both figures and their standard errors."""
        figures = dict(_figures(self.x)), dict(_figures(self.y))
        return [(head, [each[head] for each in figures]) for head in self.heads]

    def to_plotly(self) -> dict[str, Any]:
        """A figure as plotly reads it (`plotly.io.from_json`), without colours: those are the page's."""
        rows = self.rows()
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "x": [row[1] for row in rows],
            "y": [row[3] for row in rows],
            "text": [str(row[0]) for row in rows],
            "customdata": [self.url_of(row[0]) for row in rows],
            "hovertemplate": "%{text}: %{x:.2f}, %{y:.2f}<extra></extra>",
        }
        for axis, measured, place in (("x", self.x, 2), ("y", self.y, 4)):
            if measured.errors is not None:
                errors = [row[place] for row in rows]
                trace[f"error_{axis}"] = {"type": "data", "array": errors, "thickness": 0.6, "width": 0}
        return {
            "data": [trace],
            "layout": {
                "title": {"text": self.title},
                "xaxis": {"title": {"text": _axis(self.x.metric)}},
                "yaxis": {"title": {"text": _axis(self.y.metric)}},
            },
        }


@functools.lru_cache(maxsize=64)
def _figures(measured: MeasuredMetric) -> tuple[tuple[Component, str], ...]:
    """Of every head: the figure and its standard error."""
    heads = [Component(int(layer), head=int(head)) for layer, head in np.argwhere(np.isfinite(measured.values))]
    return tuple((head, with_error(measured.metric, *measured.at(head))) for head in heads)


@functools.lru_cache(maxsize=256)
def _correlation(first: MeasuredMetric, second: MeasuredMetric) -> float | None:
    both = np.isfinite(first.values) & np.isfinite(second.values)
    x, y = (_mean_ranks(measured.values[both]) for measured in (first, second))
    if not both.any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def scatter_of(measurements: Measurements, axes: Axes) -> tuple[Scatter | None, str]:
    """The scatter of two metrics, or a sentence that says why there is none."""
    for metric in (axes.x, axes.y):
        if metric.key not in measurements.metrics:
            return None, f"{metric.label}: {measurements.absent[metric.key]}"
    metrics = measurements.metrics
    return Scatter(measurements.model, metrics[axes.x.key], metrics[axes.y.key], measurements.url_of), ""


def _axis(metric: Metric) -> str:
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from the lowest, of equal values the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
