"""What was measured of one neuron, among the neurons of its layer and of its model."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from analysis.metrics import NEURON_METRICS, Metric
from analysis.schema import Component
from wiki.experiments.results import StoreError, SurveyResult

from .measurements import Measurements
from .numbers import figure_and_error


@dataclasses.dataclass(frozen=True)
class NeuronValue:
    """One metric of one neuron; ranks count from the highest."""

    metric: Metric
    value: float
    error: float | None  # standard error over documents; None for what is no mean
    rank: int  # among all neurons of the model
    of: int
    rank_in_layer: int
    of_layer: int
    dataset: str
    positions: int

    @property
    def figure(self) -> str:
        return figures_of(self.metric, self.value, self.error)[0]

    @property
    def error_figure(self) -> str:
        """Empty for what is no mean."""
        return figures_of(self.metric, self.value, self.error)[1]

    @property
    def figures(self) -> str:
        """The value and, where it has one, its standard error."""
        return " ± ".join(filter(None, [self.figure, self.error_figure]))

    @property
    def place(self) -> str:
        return f"{self.rank:,} of {self.of:,}"

    @property
    def sentence(self) -> str:
        return (
            f"{self.metric.definition} Rank {self.rank:,} of {self.of:,} neurons of the model and "
            f"{self.rank_in_layer:,} of {self.of_layer:,} of the layer; rank 1 is the highest. "
            f"{self.positions:,} positions of {self.dataset}."
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "error": self.error,
            "rank": self.rank,
            "of": self.of,
            "rank_in_layer": self.rank_in_layer,
            "of_layer": self.of_layer,
            "dataset": self.dataset,
            "positions": self.positions,
            "label": self.metric.label,
            "unit": self.metric.unit,
        }


def figures_of(metric: Metric, value: float, error: float | None) -> tuple[str, str]:
    """A value and its standard error as a page writes them: `figure_and_error`, or percent. The error is empty where
    there is none; the unit is left out."""
    return _percents(value, error) if metric.key == "share_active" else figure_and_error(value, error)


def _percents(share: float, error: float | None) -> tuple[str, str]:
    """A share and its error in percent, with the first digit of the error: a rare thing is not shown as 0."""
    decimals = min(4, max(1, -math.floor(math.log10(100 * error)))) if error and error < math.inf else 1
    return f"{100 * share:.{decimals}f} %", "" if error is None else f"{100 * error:.{decimals}f} %"


def values_of(measurements: Measurements, component: Component) -> tuple[list[NeuronValue], dict[str, str]]:
    """A neuron's values in the table's order and, by key, why others are absent."""
    result = measurements.natural
    if result is None:
        return [], {metric.key: measurements.why_not_natural for metric in NEURON_METRICS}
    values, absent = [], {}
    measured = set(result.metrics)
    for metric in NEURON_METRICS:
        if metric not in measured:
            absent[metric.key] = f"not measured: the survey of {result.spec.dataset} did not ask for neurons."
            continue
        try:
            value = _value(result, metric, component)
        except StoreError as error:
            absent[metric.key] = f"not readable: {error}"
            continue
        if value:
            values.append(value)
        else:
            absent[metric.key] = f"could not be computed for {component}: its activation never varied."
    return values, absent


def _value(result: SurveyResult, metric: Metric, component: Component) -> NeuronValue | None:
    """`None` where the value is not a number. Ranks are counted over the summary array [layer, neuron]."""
    everyone = result.metric(metric)
    layer = everyone[component.layer]
    value = everyone[component.layer, component.neuron]
    if not np.isfinite(value):
        return None
    error = result.error(metric, (component.layer, component.neuron))
    return NeuronValue(
        metric=metric,
        value=float(value),
        error=float(error) if error is not None and np.isfinite(error) else None,
        rank=1 + int(np.count_nonzero(everyone > value)),
        of=int(np.count_nonzero(np.isfinite(everyone))),
        rank_in_layer=1 + int(np.count_nonzero(layer > value)),
        of_layer=int(np.count_nonzero(np.isfinite(layer))),
        dataset=result.spec.dataset,
        positions=result.queries[metric.key],
    )
