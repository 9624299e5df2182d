from __future__ import annotations

import numpy as np
import pytest

from wiki.pages.ranks import ordinal, ranks_from_bottom, ranks_from_top


def naive_rank(values: np.ndarray, value: float) -> int:
    rank = 1
    for other in values.ravel():
        if other > value:
            rank += 1
    return rank


@pytest.mark.parametrize("seed", range(5))
def test_rank_is_one_more_than_the_number_of_strictly_greater_values(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 6, size=(5, 4)) / 5  # few distinct values: many ties
    expected = [[naive_rank(values, value) for value in row] for row in values]
    assert ranks_from_top(values).tolist() == expected


def test_equal_values_share_a_rank_from_either_end() -> None:
    values = np.array([3.0, 2.0, 2.0, 1.0])
    assert ranks_from_top(values).tolist() == [1, 2, 2, 4]
    assert ranks_from_bottom(values).tolist() == [4, 2, 2, 1]


def test_what_is_not_a_number_has_no_rank_and_moves_no_other() -> None:
    assert ranks_from_top(np.array([1.0, np.nan, 3.0])).tolist() == [2, 0, 1]


def test_ordinals_are_english() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th")
    ]
