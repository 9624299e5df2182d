from __future__ import annotations

import numpy as np

from analysis.metrics import HEAD_METRICS
from analysis.schema import Component
from wiki.pages.lead import Extreme, extremes
from wiki.pages.measurements import MeasuredMetric

METRIC = HEAD_METRICS[0]


def extremes_of(values: np.ndarray, head: int) -> list[Extreme]:
    measured = MeasuredMetric(METRIC, "repeated-random", values, queries=1)
    value = measured.of_head(Component(0, head=head))
    assert value
    return extremes({METRIC.key: value}, {METRIC.key: measured})


def test_the_highest_and_the_lowest_two_percent_are_extremes() -> None:
    values = np.linspace(0, 1, 100)[None]
    assert [(e.words, e.figure) for e in extremes_of(values, 99)] == [("highest", "1.00")]
    assert [e.words for e in extremes_of(values, 98)] == ["2nd highest"]
    assert [e.words for e in extremes_of(values, 1)] == ["2nd lowest"]
    assert extremes_of(values, 97) == []
    assert extremes_of(values, 2) == []


def test_a_value_that_many_heads_share_is_no_extreme() -> None:
    assert extremes_of(np.array([[0.0] * 50 + [1.0] * 50]), 99) == []
    assert extremes_of(np.ones((1, 4)), 0) == []


def test_the_lowest_of_many_near_the_median_is_no_extreme() -> None:
    skewed = np.array([[*np.linspace(0.001, 0.01, 99), 0.9]])
    assert extremes_of(skewed, 0) == []
    assert [e.words for e in extremes_of(skewed, 99)] == ["highest"]


def test_what_is_farthest_from_the_median_is_named_first() -> None:
    first, second = HEAD_METRICS[:2]
    values = {first: np.linspace(0, 1, 100)[None], second: np.array([[*np.linspace(0, 0.1, 99), 1.0]])}
    measured = {metric.key: MeasuredMetric(metric, "d", array, queries=1) for metric, array in values.items()}
    head = {key: value for key, m in measured.items() if (value := m.of_head(Component(0, head=99)))}
    assert [e.value.metric for e in extremes(head, measured)] == [second, first]


def test_the_meaning_leaves_the_formula_out() -> None:
    (extreme,) = extremes_of(np.linspace(0, 1, 100)[None], 99)
    assert extreme.meaning.startswith("attention to the token that followed")
