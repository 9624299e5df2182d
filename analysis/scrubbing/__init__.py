"""Causal scrubbing: a hypothesis is data, its sampling plan is integers, and two evaluators of one contract run it.

`hypothesis`, `legality`, `parts`, `wiring` and `plan` know no torch; the site imports the first two.
"""
