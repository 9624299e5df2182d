"""Which examples a neuron has, in the order of their slots. No torch."""

from __future__ import annotations

N_STRONGEST = 20  # examples with the highest, and with the lowest, activations
N_INTERVALS = 5
N_IN_INTERVAL = 5
WINDOW = 24  # tokens with an example's activations, 8 or more on each side of the extreme where the row has so many
