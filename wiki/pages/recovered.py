"""Recovered shares as people read and see them: never clamped, on a scale that has 0 % and 100 % and what is beyond."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH, MARGIN = 260, 6
# What every scale has at least.
LOW, HIGH = 0.0, 1.0


def share_words(recovered: Mapping[str, Any]) -> str:
    """The share with its standard error; where there is none, why."""
    if recovered["value"] is None:
        return str(recovered["absent"])
    error = "" if recovered["error"] is None else f" ± {100 * recovered['error']:.1f}"
    return f"{100 * recovered['value']:.1f}{error} %"


def interval_words(recovered: Mapping[str, Any]) -> str:
    """The interval that holds 95 % of resampled shares; empty where there is none."""
    if recovered["low"] is None:
        return ""
    return f"{100 * recovered['low']:.1f} to {100 * recovered['high']:.1f} %"


@dataclasses.dataclass(frozen=True)
class Plot:
    """One share on a scale: places from the left, in units of the drawing."""

    width: int
    zero: float
    whole: float  # 100 %
    value: float
    low: float
    high: float
    published: float | None
    words: str  # the same for who does not see it

    @property
    def across(self) -> float:
        """How long the interval is."""
        return self.high - self.low


@dataclasses.dataclass(frozen=True)
class Scale:
    """From the lowest to the highest of what is drawn, 0 and 100 % included."""

    low: float
    high: float

    @classmethod
    def of(cls, shares: Iterable[float]) -> Scale:
        found = [LOW, HIGH, *shares]
        return cls(min(found), max(found))

    def place(self, share: float) -> float:
        return round(MARGIN + (share - self.low) / (self.high - self.low) * (WIDTH - 2 * MARGIN), 1)

    def plot(self, recovered: Mapping[str, Any], *, published: float | None = None) -> Plot | None:
        """A share with its interval and, if there is one, the published figure; None where it could not be computed."""
        value = recovered["value"]
        if value is None:
            return None
        low, high = (value if recovered[end] is None else recovered[end] for end in ("low", "high"))
        words = f"{share_words(recovered)} recovered"
        words += "" if published is None else f", published {100 * published:.1f} %"
        return Plot(
            WIDTH,
            self.place(LOW),
            self.place(HIGH),
            self.place(value),
            self.place(low),
            self.place(high),
            None if published is None else self.place(published),
            words,
        )


def shares_in(recovered: Mapping[str, Any]) -> list[float]:
    """What of a share must be on a scale."""
    return [recovered[name] for name in ("value", "low", "high") if recovered[name] is not None]
