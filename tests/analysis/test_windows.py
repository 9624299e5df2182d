from __future__ import annotations

import pytest
import torch

from analysis.statistics.neuron_examples import window_start
from analysis.windows import WINDOW, first_in_window


@pytest.mark.parametrize(
    ("position", "length", "first"),
    [
        (1, 128, 0),
        (15, 128, 0),
        (16, 128, 1),
        (100, 128, 85),
        (118, 128, 103),
        (127, 128, 104),
        (3, 10, 0),
        (23, 24, 0),
    ],
)
def test_a_window_has_fifteen_tokens_before_its_extreme_and_stays_in_the_row(
    position: int, length: int, first: int
) -> None:
    assert first_in_window(position, length=length) == first


@pytest.mark.parametrize("length", [5, 23, 24, 25, 40, 128])
def test_a_page_finds_windows_where_measuring_cut_them(length: int) -> None:
    cut = window_start(torch.arange(length), length, min(WINDOW, length))
    assert cut.tolist() == [first_in_window(position, length=length) for position in range(length)]
