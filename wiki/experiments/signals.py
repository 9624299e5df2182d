"""What apps above this one hear of, as the last thing within the transaction that does it."""

from __future__ import annotations

from django.dispatch import Signal

# An experiment is asked for, or a run of it ended with figures: `experiment`.
experiment_changed = Signal()
