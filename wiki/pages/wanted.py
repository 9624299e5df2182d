"""Heads and neurons that stand out in some metric and that nobody has written about, the farthest out first."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from analysis.metrics import NEURON_METRICS, Metric
from analysis.schema import Component, ComponentKind
from wiki.coverage.counting import Coverage, written_among
from wiki.experiments.results import StoreError, SurveyResult

from .lead import EXTREME_DISTANCE, EXTREME_SHARE
from .measurements import MeasuredMetric, Measurements
from .neuron_values import figures_of
from .numbers import with_unit
from .ranks import ordinal

# Of each metric and end: there are tens of thousands of neurons.
MOST_NEURONS = 100


@dataclasses.dataclass(frozen=True)
class Outlier:
    """A head or neuron that is among the most extreme of all in a metric."""

    component: Component
    name: str  # canonical, of the component
    metric: Metric
    value: float
    distance: float  # from the median of all, as a share of their range; in [0, 1]
    place: int  # from its end
    highest: bool
    of: int

    @property
    def figure(self) -> str:
        if self.component.kind is ComponentKind.NEURON:
            return figures_of(self.metric, self.value, None)[0]
        return with_unit(self.metric, self.value)

    @property
    def words(self) -> str:
        end = "highest" if self.highest else "lowest"
        place = end if self.place == 1 else f"{ordinal(self.place)} {end}"
        return f"{place} of {self.of:,} {self.component.kind.value}s"

    def to_json(self) -> dict[str, Any]:
        return {
            "component": self.name,
            "metric": self.metric.key,
            "value": self.value,
            "place": self.place,
            "end": "highest" if self.highest else "lowest",
            "of": self.of,
            "distance": round(self.distance, 6),
        }


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A part to write about, and who does."""

    outlier: Outlier
    workers: list[str]

    def to_json(self) -> dict[str, Any]:
        return {**self.outlier.to_json(), "worked_on_by": self.workers}


def wanted_parts(measurements: Measurements, coverage: Coverage, *, kind: ComponentKind | None = None) -> list[Wanted]:
    """What stands out and has neither summary nor note, each once by the metric in which it is farthest out."""
    outliers = [each for each in outliers_of(measurements) if kind in (None, each.component.kind)]
    farthest: dict[str, Outlier] = {}
    for outlier in sorted(outliers, key=lambda each: (-each.distance, each.name)):
        farthest.setdefault(outlier.name, outlier)
    neurons = [name for name, outlier in farthest.items() if outlier.component.kind is ComponentKind.NEURON]
    written = coverage.summaries | coverage.notes.keys() | written_among(coverage.model_slug, neurons)
    return [Wanted(outlier, coverage.workers_on(name)) for name, outlier in farthest.items() if name not in written]


def outliers_of(measurements: Measurements) -> Iterator[Outlier]:
    """All heads and neurons that stand out in a metric, as pages of heads say it of theirs."""
    for measured in measurements.metrics.values():
        yield from _heads(measured)
    result = measurements.natural
    if result is not None:
        for metric in NEURON_METRICS:
            if metric in result.metrics:
                try:
                    result.confirm("summary")
                    yield from _neurons(result, metric)
                except StoreError:
                    continue  # said on the pages of neurons


@functools.lru_cache(maxsize=64)
def _heads(measured: MeasuredMetric) -> tuple[Outlier, ...]:
    return tuple(_outliers(measured.values, measured.metric, most=measured.values.size))


@functools.lru_cache(maxsize=64)
def _neurons(result: SurveyResult, metric: Metric) -> tuple[Outlier, ...]:
    return tuple(_outliers(result.metric(metric).astype(float), metric, most=MOST_NEURONS))


def _outliers(values: np.ndarray, metric: Metric, *, most: int) -> Iterable[Outlier]:
    """Those of float64 [layer, number] among the highest or lowest 2 % (at least one) and far from the median."""
    finite = values[np.isfinite(values)]
    spread = float(np.ptp(finite)) if finite.size else 0.0
    if not spread:
        return
    median, limit = float(np.median(finite)), max(1, round(EXTREME_SHARE * finite.size))
    ordered = np.sort(finite)
    kind = metric.component.value
    for highest in (True, False):
        signed = values if highest else -values
        order = np.argsort(np.where(np.isfinite(signed), -signed, np.inf), axis=None, kind="stable")
        for index in order[: min(limit, most)].tolist():
            layer, number = divmod(index, values.shape[1])
            value = float(values[layer, number])
            distance = abs(value - median) / spread
            if highest:
                n_extreme = finite.size - int(np.searchsorted(ordered, value, side="left"))
                place = 1 + finite.size - int(np.searchsorted(ordered, value, side="right"))
            else:
                n_extreme = int(np.searchsorted(ordered, value, side="right"))
                place = 1 + int(np.searchsorted(ordered, value, side="left"))
            if np.isfinite(value) and distance >= EXTREME_DISTANCE and n_extreme <= limit:
                component = Component(layer, **{kind: number})
                yield Outlier(component, str(component), metric, value, distance, place, highest, finite.size)
