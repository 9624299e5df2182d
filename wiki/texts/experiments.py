"""Experiments as texts name them: `x:` and their hash, or its first digits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from wiki.experiments.models import Experiment
from wiki.lib.prepared import objects, padded

from .models import Link
from .versions import bump

# Links may give the first digits alone: as many as pages print at least.
LEAST_DIGITS, ALL_DIGITS = 8, 64
_NAMED = re.compile(rf"x[:/]([0-9a-f]{{{LEAST_DIGITS},{ALL_DIGITS}}})", re.ASCII)
# Of several experiments that begin alike two are enough to know it; very many texts may name very many.
MOST_NAMED = 256


def digits_named(words: str) -> str:
    """The digits of a hash that the words of a link give; empty where they name no experiment."""
    found = _NAMED.fullmatch(words)
    return found[1] if found else ""


def experiments_beginning(digits: Iterable[str]) -> dict[str, Experiment]:
    """For each of these beginnings of hashes the experiment whose hash alone begins so; one query."""
    asked = sorted(set(digits))[:MOST_NAMED]
    beginnings = padded(asked, "")
    # no digit of a hash comes after “f”
    ends = [f"{each}g" if each else "" for each in beginnings]
    found = objects(_between, *beginnings, *ends) if asked else []
    of_each = {each: [one for one in found if one.hash.startswith(each)] for each in asked}
    return {each: ones[0] for each, ones in of_each.items() if len(ones) == 1}


def _between(*bounds: str) -> QuerySet[Experiment]:
    half = len(bounds) // 2
    among = Q()
    for low, high in zip(bounds[:half], bounds[half:], strict=True):
        among |= Q(hash__gte=low, hash__lt=high)
    return Experiment.objects.filter(among).order_by()


def names_of_experiment(experiment_hash: str) -> list[str]:
    """Every target that leads to an experiment."""
    return [f"x/{experiment_hash[:n]}" for n in range(LEAST_DIGITS, ALL_DIGITS + 1)]


def bump_experiment(sender: Any, *, experiment: Experiment, **_: Any) -> None:
    """Count a change on the pages of an experiment's model, and of those about which texts name it."""
    links = Link.objects.filter(target__in=names_of_experiment(experiment.hash)).order_by()
    bump({experiment.model_id, *links.values_list("source__model_slug", flat=True)})
