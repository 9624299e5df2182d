"""Which examples a neuron has, and which tokens of a text stand around an example's extreme. No torch."""

from __future__ import annotations

N_STRONGEST = 20  # examples with the highest, and with the lowest, activations
N_INTERVALS = 5
N_IN_INTERVAL = 5
WINDOW = 24  # tokens with an example's activations
BEFORE = 15  # of them, tokens before the extreme where the row has so many


def first_in_window(position: int, *, length: int) -> int:
    """The first position of the window around an extreme, in a row of `length` tokens, so that the whole window is in
    the row; 0 where the row is shorter than a window."""
    return max(0, min(position - BEFORE, length - WINDOW))
