"""Experiments as texts name them: `x/<hash>`, or its first digits."""

from __future__ import annotations

from typing import Any

from wiki.experiments.models import Experiment

from .models import Link
from .versions import bump

# Links may give the first digits alone: as many as pages print at least.
LEAST_DIGITS, ALL_DIGITS = 8, 64


def names_of_experiment(experiment_hash: str) -> list[str]:
    """Every target that leads to an experiment."""
    return [f"x/{experiment_hash[:n]}" for n in range(LEAST_DIGITS, ALL_DIGITS + 1)]


def bump_experiment(sender: Any, *, experiment: Experiment, **_: Any) -> None:
    """Count a change on the pages of an experiment's model, and of those about which texts name it."""
    links = Link.objects.filter(target__in=names_of_experiment(experiment.hash)).order_by()
    bump({experiment.model_id, *links.values_list("source__model_slug", flat=True)})
