"""The head finder: the heads of a model with the highest or lowest values of a metric."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from django.http import QueryDict

from analysis.schema import Component

from .measurements import MeasuredMetric
from .numbers import with_error

COUNTS = ("5", "10", "25", "all")
ENDS = ("highest", "lowest")


@dataclasses.dataclass(frozen=True)
class Question:
    """How many heads, and from which end, as the URL says it."""

    top: str = "10"  # one of COUNTS
    end: str = "highest"  # one of ENDS
    missing: str = ""  # what the URL asks for and cannot be had

    @classmethod
    def of(cls, asked: QueryDict) -> Question:
        """The question of a URL; what is no choice is said to be missing."""
        top, end = asked.get("top", cls.top), asked.get("end", cls.end)
        missing = [
            f"“{given[:40]}” heads" if choices is COUNTS else f"the “{given[:40]}”"
            for given, choices in ((top, COUNTS), (end, ENDS))
            if given not in choices
        ]
        return cls(top if top in COUNTS else cls.top, end if end in ENDS else cls.end, missing=" and ".join(missing))


@dataclasses.dataclass(frozen=True)
class Found:
    """A head that was found."""

    rank: int  # from the top, whichever end was asked for
    component: Component
    value: float
    error: float | None  # standard error over documents; None for what is no mean
    figure: str

    def to_json(self) -> dict[str, Any]:
        return {"rank": self.rank, "head": str(self.component), "value": self.value, "error": self.error}


def find_heads(measured: MeasuredMetric, question: Question) -> list[Found]:
    """The heads that were asked for, the most extreme first, equals in order of address.

    A head without a value is never found.
    """
    highest = question.end == "highest"
    values = measured.values.ravel()
    order = np.argsort(-values if highest else values, kind="stable")[: measured.finite.size]  # nan comes last
    ranks = measured.ranks.ravel()
    errors = None if measured.errors is None else measured.errors.ravel()
    n_heads = measured.values.shape[1]
    chosen = order if question.top == "all" else order[: int(question.top)]
    return [
        _found(
            measured,
            Component(int(i) // n_heads, head=int(i) % n_heads),
            rank=int(ranks[i]),
            value=float(values[i]),
            error=None if errors is None or not np.isfinite(errors[i]) else float(errors[i]),
        )
        for i in chosen
    ]


def _found(measured: MeasuredMetric, component: Component, *, rank: int, value: float, error: float | None) -> Found:
    return Found(rank, component, value, error, with_error(measured.metric, value, error))
