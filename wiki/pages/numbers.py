"""Numbers as pages write them: two decimals and no leading zero, and never a zero that is not one."""

from __future__ import annotations

import math

from analysis.metrics import Metric

MAX_DECIMALS = 6


def short(value: float, *, decimals: int = 2) -> str:
    """`.89`, `2.41`, `61.8`, `<.01`: what is too small for its decimals is said to be smaller, not shown as 0.

    Below zero it is `>-.01`.
    """
    if value == 0:
        return "0"
    if abs(value) >= 10:
        return f"{value:.1f}"
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        smallest = f"{10**-decimals:.{decimals}f}".removeprefix("0")
        return f"<{smallest}" if value > 0 else f">-{smallest}"
    return text.removeprefix("0") if value > 0 else text.replace("-0.", "-.")


def signed(value: float) -> str:
    """`+3.21`, `−.42`: with two decimals and always a sign."""
    return f"{'−' if value < 0 else '+'}{abs(value):.2f}".replace("+0.", "+.").replace("−0.", "−.")


def metric_value(metric: Metric, value: float) -> str:
    """A metric's value without its unit; values below .005 get a third decimal."""
    return short(value, decimals=_decimals(value))


def _decimals(value: float) -> int:
    """That a value without a standard error has, as `short` writes it."""
    if abs(value) >= 10:
        return 1
    return 3 if 0 < abs(value) < 0.005 else 2


def figure_and_error(value: float, error: float | None) -> tuple[str, str]:
    """A value and its standard error, both with the decimals that the first digit of the error needs, and never fewer
    than the value has alone: `.8890` and `.0001`, `2.41` and `.02`. The error is empty for what has none."""
    if error is None:
        return short(value, decimals=_decimals(value)), ""
    if not 0 < error < math.inf:
        return short(value, decimals=_decimals(value)), "0" if error == 0 else "unknown"
    decimals = min(MAX_DECIMALS, max(_decimals(value), -math.floor(math.log10(error))))
    return _fixed(value, decimals), _fixed(error, decimals)


def _fixed(value: float, decimals: int) -> str:
    """As `short`, with exactly so many decimals whatever the value is."""
    if abs(value) < 10:
        return short(value, decimals=decimals)
    return f"{value:.{decimals}f}"


def with_unit(metric: Metric, value: float) -> str:
    """`.89`, `.13 nats`, `61.8 tokens`."""
    return f"{metric_value(metric, value)} {metric.unit}".strip()


def with_error(metric: Metric, value: float, error: float | None) -> str:
    """A metric's value, its standard error where it has one, and its unit: `.89 ± .01`, `2.41 ± .02 nats`."""
    figure, of_error = figure_and_error(value, error)
    return f"{f'{figure} ± {of_error}' if of_error else figure} {metric.unit}".strip()


def with_small_error(metric: Metric, value: float, error: float | None) -> str:
    """The same as on the page of a head, where errors below .005 have a third decimal: `.88 ± .004`."""
    text = metric_value(metric, value)
    return f"{text if error is None else f'{text} ± {metric_value(metric, error)}'} {metric.unit}".strip()


def percent(share: float) -> str:
    """`12.5 %`, `0.0 %`; a share that is positive and too small for one decimal is `< 0.1 %`."""
    text = f"{100 * share:.1f} %"
    return "< 0.1 %" if share > 0 and text == "0.0 %" else text
