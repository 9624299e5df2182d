"""What a layer does to the residual stream, among all layers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from analysis.metrics import LAYER_METRICS, Metric
from wiki.experiments.results import StoreError

from .measurements import Measurements
from .neuron_values import figures_of
from .numbers import with_unit

WIDTH, HEIGHT, MARGIN = 200, 44, 4


@dataclasses.dataclass(frozen=True)
class LayerValue:
    """One metric of a layer, and the curve of all layers."""

    metric: Metric
    values: np.ndarray  # [layer]
    errors: np.ndarray
    layer: int
    positions: int  # that it is a mean over
    dataset: str

    @property
    def value(self) -> float:
        return float(self.values[self.layer])

    @property
    def figure(self) -> str:
        return f"{self._figures[0]} {self.metric.unit}".strip()

    @property
    def error(self) -> str:
        return self._figures[1]

    @property
    def _figures(self) -> tuple[str, str]:
        return figures_of(self.metric, self.value, float(self.errors[self.layer]))

    @property
    def low(self) -> str:
        return with_unit(self.metric, float(np.nanmin(self.values)))

    @property
    def high(self) -> str:
        return with_unit(self.metric, float(np.nanmax(self.values)))

    @property
    def curve(self) -> str:
        """Path data of all layers, the first at the left, the highest value at the top."""
        return "M" + "L".join(f"{x} {y}" for x, y in self._points)

    @property
    def here(self) -> tuple[str, str]:
        return self._points[self.layer]

    @property
    def _points(self) -> list[tuple[str, str]]:
        low, high = float(np.nanmin(self.values)), float(np.nanmax(self.values))
        places = np.full(len(self.values), 0.5) if low == high else (self.values - low) / (high - low)
        steps = max(1, len(self.values) - 1)
        return [
            (f"{MARGIN + (WIDTH - 2 * MARGIN) * i / steps:.1f}", f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * y:.1f}")
            for i, y in enumerate(np.nan_to_num(places).tolist())
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "error": float(self.errors[self.layer]),
            "positions": self.positions,
            "dataset": self.dataset,
            "label": self.metric.label,
            "unit": self.metric.unit,
        }


def residual_of(measurements: Measurements, layer: int) -> tuple[list[LayerValue], dict[str, str]]:
    """A layer's figures in the table's order and, by key, why others are absent."""
    result = measurements.natural
    if result is None:
        return [], {metric.key: measurements.why_not_natural for metric in LAYER_METRICS}
    found, absent = [], {}
    measured = set(result.metrics)
    for metric in LAYER_METRICS:
        if metric not in measured:
            asked = f"not measured: the survey of {result.spec.dataset} did not ask for it."
            absent[metric.key] = result.absent.get(metric.key, asked)
            continue
        try:
            values, errors = result.metric(metric), result.error(metric)
        except StoreError as error:
            absent[metric.key] = f"not readable: {error}"
            continue
        if errors is None or not np.isfinite(values[layer]):
            absent[metric.key] = f"could not be computed for L{layer}."
            continue
        positions = result.queries[metric.key]
        found.append(LayerValue(metric, values, errors, layer, positions, result.spec.dataset))
    return found, absent
