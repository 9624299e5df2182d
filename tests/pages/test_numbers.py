from __future__ import annotations

import pytest

from analysis.metrics import HEAD_METRICS
from wiki.pages.numbers import metric_value, percent, short, with_error

METRICS = {metric.key: metric for metric in HEAD_METRICS}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.889, ".89"),
        (0.9996, "1.00"),
        (2.414, "2.41"),
        (61.79, "61.8"),
        (0.0, "0"),
        (0.001, "<.01"),
        (-0.001, ">-.01"),
        (-0.25, "-.25"),
    ],
)
def test_two_decimals_without_a_leading_zero(value: float, text: str) -> None:
    assert short(value) == text


def test_a_small_metric_is_never_shown_as_zero() -> None:
    assert metric_value(METRICS["self"], 0.003) == ".003"
    assert metric_value(METRICS["self"], 0.00001) == "<.001"


def test_a_mean_stands_with_its_standard_error_and_unit() -> None:
    assert with_error(METRICS["entropy"], 2.414, 0.021) == "2.41 ± .02 nats"
    assert with_error(METRICS["self"], 0.889, 0.0001) == ".89 ± <.01"
    assert with_error(METRICS["ov_copying"], -0.5, None) == "-.50"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.125, "12.5 %"), (1.0, "100.0 %"), (0.0006, "0.1 %"), (0.0004, "< 0.1 %"), (1e-9, "< 0.1 %"), (0.0, "0.0 %")],
)
def test_a_small_share_is_never_shown_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text
