"""What the pinned survey of natural text says of every layer of a model."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from analysis.metrics import LAYER_METRICS, Metric
from wiki.experiments.results import StoreError, SurveyResult

from .measurements import Measurements
from .numbers import with_error


@dataclasses.dataclass(frozen=True, eq=False)
class LayerMetric:
    """One metric of all layers: float64 [layer] each."""

    metric: Metric
    values: np.ndarray
    errors: np.ndarray  # standard errors over documents
    positions: int  # that each value is a mean over

    def at(self, layer: int) -> tuple[float, float | None]:
        """A layer's value and its standard error, `None` where it has none."""
        error = float(self.errors[layer])
        return float(self.values[layer]), error if np.isfinite(error) else None

    @functools.cached_property
    def figures(self) -> list[str]:
        """Of each layer: the value and its standard error, without a unit."""
        return [
            with_error(self.metric, *self.at(layer)).removesuffix(self.metric.unit) for layer in range(len(self.values))
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "values": self.values.tolist(),
            "errors": self.errors.tolist(),
            "positions": self.positions,
            "label": self.metric.label,
            "unit": self.metric.unit,
            "definition": self.metric.definition,
        }


@dataclasses.dataclass(frozen=True)
class LayerMetrics:
    """The metrics of layers that are measured, by key, and a sentence for those that are not."""

    metrics: dict[str, LayerMetric]
    absent: dict[str, str]


def layer_metrics(measurements: Measurements) -> LayerMetrics:
    """Read the layers' metrics; whatever is not there is absent with a reason."""
    result = measurements.natural
    if result is None:
        return LayerMetrics({}, {metric.key: measurements.why_not_natural for metric in LAYER_METRICS})
    metrics, absent = {}, {}
    for metric in LAYER_METRICS:
        if metric not in result.metrics:
            asked = f"not measured: the pinned survey of {result.spec.dataset} did not ask for it."
            absent[metric.key] = result.absent.get(metric.key, asked)
            continue
        try:
            result.confirm("summary")
            metrics[metric.key] = _measured(result, metric)
        except StoreError as error:
            absent[metric.key] = f"not readable: {error}"
    return LayerMetrics(metrics, absent)


@functools.lru_cache(maxsize=256)
def _measured(result: SurveyResult, metric: Metric) -> LayerMetric:
    """A metric of a survey whose summary was just checked: a survey never changes."""
    errors = result.error(metric)
    assert errors is not None, "every metric of layers is a mean"
    return LayerMetric(metric, result.metric(metric), errors, result.queries[metric.key])
