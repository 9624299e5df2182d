from __future__ import annotations

import numpy as np

from wiki.pages.strip import LEVELS, strip_of


def test_all_heads_are_drawn_with_at_most_one_path_a_level() -> None:
    values = np.random.default_rng(0).random(5000)
    strip = strip_of(values).marking(float(values.max()))
    assert len(strip.paths) <= len(LEVELS) + 1
    assert strip.here == "196.0"


def test_equal_values_stand_in_the_middle() -> None:
    strip = strip_of(np.ones(4)).marking(1.0)
    assert strip.here == "100.0"
