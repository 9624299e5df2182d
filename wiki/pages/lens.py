"""Logit-lens curves over the layers of a model, as SVG geometry."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from analysis.schema import Component

from .layer_metrics import LayerMetric, LayerMetrics
from .numbers import with_error

WIDTH, PANEL = 720, 170  # of the drawing; a panel's curve is this high
LEFT, RIGHT, TOP, GAP, BOTTOM = 46, 12, 26, 46, 34
HEIGHT = TOP + PANEL + GAP + PANEL + BOTTOM
# A tick is written below so many layers at most.
TICKS = 12


@dataclasses.dataclass(frozen=True)
class Tick:
    """A line across a panel, or a layer's number below it."""

    at: str
    text: str


@dataclasses.dataclass(frozen=True)
class Panel:
    """One curve with the band of its standard error."""

    title: str
    title_y: int
    top: int
    bottom: int
    band: str  # path data of value ± standard error; pieces where layers have no value
    curve: str
    ticks: list[Tick]


@dataclasses.dataclass(frozen=True)
class LensPoint:
    """A layer: a column that is a link, and a dot on each curve."""

    layer: Component
    words: str
    x: str
    left: str
    width: str
    dots: list[str]  # y of the dots, one for each panel that has a value here


@dataclasses.dataclass(frozen=True)
class LensCurves:
    """Agreement above, divergence below, layers from left to right."""

    panels: list[Panel]
    points: list[LensPoint]
    layer_ticks: list[Tick]
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def lens_curves(layers: LayerMetrics) -> LensCurves | None:
    """The curves of a model's logit lens; `None` where it was not measured."""
    if not {"lens_agreement", "lens_divergence"} <= layers.metrics.keys():
        return None
    return _curves(layers.metrics["lens_agreement"], layers.metrics["lens_divergence"])


@functools.lru_cache(maxsize=64)
def _curves(agreement: LayerMetric, divergence: LayerMetric) -> LensCurves:
    n_layers = len(agreement.values)
    xs = [_x(layer, n_layers) for layer in range(n_layers)]
    ceiling = _ceiling(divergence)
    scales = [(agreement, TOP, 1.0), (divergence, TOP + PANEL + GAP, ceiling)]
    step = math.ceil(n_layers / TICKS)
    return LensCurves(
        panels=[_panel(measured, xs, top=top, high=high) for measured, top, high in scales],
        points=[_point(layer, xs, scales) for layer in range(n_layers)],
        layer_ticks=[Tick(f"{xs[layer]:.1f}", f"L{layer}") for layer in range(0, n_layers, step)],
        summary=_summary(agreement, divergence),
    )


def _x(layer: int, n_layers: int) -> float:
    inside = WIDTH - LEFT - RIGHT
    return LEFT + inside * (layer + 0.5) / n_layers


def _y(value: float, *, top: int, high: float) -> float:
    """Pixels from above; what a standard error carries out of the panel ends at its edge."""
    return top + PANEL * (1 - min(max(value / high, 0.0), 1.0))


def _ceiling(measured: LayerMetric) -> float:
    """The next 1, 2 or 5 times a power of ten above all values: the end of the axis."""
    highest = float(np.nanmax(measured.values + np.nan_to_num(measured.errors)))
    if not highest > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= highest)


def _panel(measured: LayerMetric, xs: list[float], *, top: int, high: float) -> Panel:
    unit = f", {measured.metric.unit}" if measured.metric.unit else ""
    curve, band = [], []
    for run in _runs(measured.values):
        dots = [(xs[layer], *measured.at(layer)) for layer in run]
        curve.append("M" + "L".join(f"{x:.1f} {_y(value, top=top, high=high):.1f}" for x, value, _ in dots))
        upper = [f"{x:.1f} {_y(value + (error or 0), top=top, high=high):.1f}" for x, value, error in dots]
        lower = [f"{x:.1f} {_y(value - (error or 0), top=top, high=high):.1f}" for x, value, error in reversed(dots)]
        band.append("M" + "L".join(upper + lower) + "Z")
    return Panel(
        title=f"{measured.metric.label}{unit}",
        title_y=top - 10,
        top=top,
        bottom=top + PANEL,
        band="".join(band),
        curve="".join(curve),
        ticks=[Tick(f"{_y(share * high, top=top, high=high):.1f}", f"{share * high:g}") for share in (0, 0.5, 1)],
    )


def _runs(values: np.ndarray) -> list[list[int]]:
    """The layers that have values, in unbroken stretches."""
    runs: list[list[int]] = []
    for layer, value in enumerate(values):
        if not np.isfinite(value):
            continue
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return runs


def _point(layer: int, xs: list[float], scales: list[tuple[LayerMetric, int, float]]) -> LensPoint:
    half = (WIDTH - LEFT - RIGHT) / len(xs) / 2
    values = [(measured, *measured.at(layer), top, high) for measured, top, high in scales]
    words = ", ".join(
        f"{measured.metric.label} {with_error(measured.metric, value, error)}"
        if np.isfinite(value)
        else f"{measured.metric.label} could not be computed"
        for measured, value, error, _, _ in values
    )
    return LensPoint(
        layer=Component(layer),
        words=f"L{layer}: {words}",
        x=f"{xs[layer]:.1f}",
        left=f"{xs[layer] - half:.1f}",
        width=f"{2 * half:.1f}",
        dots=[f"{_y(value, top=top, high=high):.1f}" for _, value, _, top, high in values if np.isfinite(value)],
    )


def _summary(agreement: LayerMetric, divergence: LayerMetric) -> str:
    """The curves in words: the ends, and where more than half of the predictions are already those of the output."""
    last = len(agreement.values) - 1

    def ends(measured: LayerMetric) -> str:
        first, end = (
            with_error(measured.metric, *measured.at(layer)) if np.isfinite(measured.values[layer]) else "no figure"
            for layer in (0, last)
        )
        return f"{measured.metric.label} goes from {first} at L0 to {end} at L{last}"

    above = np.flatnonzero(agreement.values > 0.5)
    half = f", above one half first at L{above[0]}" if above.size else ", nowhere above one half"
    words = f"{ends(agreement)}{half}; {ends(divergence)}."
    return words[0].upper() + words[1:]
