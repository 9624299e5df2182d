"""Heads of the same model whose figures are closest: a suggestion by statistics, not a claim."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from django.utils.safestring import SafeString

from analysis.schema import Component
from wiki.experiments.results import StoreError

from .measurements import Measurements
from .numbers import short
from .shading import linked_heads

N_SIMILAR = 5
# Over fewer figures a distance says little of how heads behave.
MIN_FIGURES = 5


@dataclasses.dataclass(frozen=True)
class SimilarHeads:
    """The nearest heads, nearest first, with their distances."""

    heads: list[tuple[Component, float]]
    n_figures: int  # that the distance is over
    url_of: Callable[[Component], str]
    absent: str = ""  # why there are none

    @property
    def links(self) -> SafeString:
        return linked_heads([(head, short(distance)) for head, distance in self.heads], url_of=self.url_of)

    def to_json(self) -> dict[str, Any]:
        heads = [[str(component), distance] for component, distance in self.heads]
        absent = {"absent": self.absent} if self.absent else {}
        return {"figures": self.n_figures, "heads": heads, **absent}


def similar_heads(measurements: Measurements, component: Component) -> SimilarHeads:
    """The heads with the smallest Euclidean distance of standardised figures: every metric, and where attention goes.

    The distance is a root mean square over figures, so that 1 is one standard deviation in each. A figure that any
    head lacks, or that all share, is left out; of fewer than `MIN_FIGURES` nothing is made.
    """
    columns = [measured.values.astype(float)[..., None] for measured in measurements.metrics.values()]
    columns += _masses(measurements)
    if not columns:
        return SimilarHeads([], 0, measurements.url_of, _too_few(0, pending=measurements.pending))
    figures = np.concatenate(columns, axis=-1)  # [layer, head, figure]
    spread = figures.std((0, 1))
    usable = np.isfinite(spread) & (spread > 0)
    n_usable = int(usable.sum())
    if n_usable < MIN_FIGURES:
        return SimilarHeads([], n_usable, measurements.url_of, _too_few(n_usable, pending=measurements.pending))
    standardised = figures[..., usable] / spread[usable]
    here = standardised[component.layer, component.head]
    distances = np.sqrt(np.square(standardised - here).mean(-1)).ravel()
    n_heads = figures.shape[1]
    own = component.layer * n_heads + (component.head or 0)
    order = [int(i) for i in np.argsort(distances, kind="stable") if i != own][:N_SIMILAR]
    heads = [(Component(i // n_heads, head=i % n_heads), float(distances[i])) for i in order]
    return SimilarHeads(heads, n_usable, measurements.url_of)


def _too_few(n: int, *, pending: bool) -> str:
    there = f"{n or 'none'} that all heads have {'is' if n == 1 else 'are'} measured"
    if pending:
        return f"Waits for more figures: heads are compared by {MIN_FIGURES} or more, and {there} so far."
    return f"Too few figures to compare heads by: expected {MIN_FIGURES} or more, and {there}."


def _masses(measurements: Measurements) -> list[np.ndarray]:
    result = measurements.natural
    try:
        if result is None or "head.mass" not in result.names(file="summary"):
            return []
        return [result.read("head.mass", file="summary")]
    except StoreError:
        return []  # said where attention goes
