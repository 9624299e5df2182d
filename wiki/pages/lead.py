"""The sentence at the top of a head page, made of ranks alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from analysis.metrics import HEAD_METRICS
from analysis.schema import DatasetKind

from .measurements import HeadValue, MeasuredMetric
from .numbers import with_unit
from .ranks import ordinal

# A head is among the extremes of a metric when at most this share of the heads is as extreme as it is.
EXTREME_SHARE = 0.02
# … and it is this far from the median, as a share of all heads' range: the lowest of many near 0 is nothing unusual.
EXTREME_DISTANCE = 0.2


# Of fewer metrics than this it is not said what is unusual about a head.
MIN_METRICS = 5


@dataclasses.dataclass(frozen=True)
class Extreme:
    """A metric in which a head stands out."""

    value: HeadValue
    distance: float  # from the median of all heads, as a share of their range; in [0, 1]
    place: int
    highest: bool

    @property
    def figure(self) -> str:
        return with_unit(self.value.metric, self.value.value)

    @property
    def meaning(self) -> str:
        """What the metric says, without its formula: definitions are written “formula: meaning”."""
        return self.value.metric.definition.split(": ", 1)[-1]

    @property
    def words(self) -> str:
        end = "highest" if self.highest else "lowest"
        return end if self.place == 1 else f"{ordinal(self.place)} {end}"


def extremes(values: dict[str, HeadValue], metrics: dict[str, MeasuredMetric]) -> list[Extreme]:
    """The metrics in which a head is among the highest or lowest 2 % (at least one head) and far from the median,
    farthest first."""
    found = []
    for key, value in values.items():
        measured = metrics[key]
        distance = abs(value.value - measured.median) / measured.spread if measured.spread else 0.0
        if distance < EXTREME_DISTANCE:
            continue
        limit = max(1, round(EXTREME_SHARE * value.of))
        if np.count_nonzero(measured.finite >= value.value) <= limit:
            found.append(Extreme(value, distance, value.rank, highest=True))
        elif np.count_nonzero(measured.finite <= value.value) <= limit:
            found.append(Extreme(value, distance, value.rank_low, highest=False))
    return sorted(found, key=lambda extreme: -extreme.distance)


def too_few_metrics(values: dict[str, HeadValue], *, pending: bool) -> str:
    """A sentence where too few metrics of a head are measured to say what is unusual about it; empty where there are
    enough."""
    n, of = len(values), len(HEAD_METRICS)
    if n >= MIN_METRICS:
        return ""
    if n == 0:
        return "No metric of this head has been measured yet."
    measured = f"{n} of {of} metrics {'is' if n == 1 else 'are'} measured"
    if pending:
        return f"{measured} so far. What is unusual about this head is said when more of them are."
    return f"Only {measured}, too few to say what is unusual about this head."


def telling_kind(found: list[Extreme]) -> DatasetKind:
    """The kind of text on which a head does what it stands out for."""
    return (found[0].value.metric.dataset_kind if found else None) or DatasetKind.NATURAL
