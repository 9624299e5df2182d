"""The inputs on which a hypothesis fails worst: what changed of the output, and what was swapped in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.datasets.task import TaskMetric

from .scrub_scale import percent

# On the page; the data has all of them.
MOST_WORST = 8
# Of an output of many numbers those that moved farthest are named.
MOST_MOVED = 3


@dataclasses.dataclass(frozen=True)
class FailingInput:
    """A sample as the page shows it."""

    sample: int
    row: int
    text: str
    losses: Mapping[str, float]
    moved: Sequence[str]  # what changed of the output, the most first
    swapped_in: Sequence[Mapping[str, Any]]
    mended_by: Mapping[str, float]  # by node: how much less it fails where that one is exact


def failing_inputs(worst: Sequence[Mapping[str, Any]], metric: TaskMetric) -> list[FailingInput]:
    """The worst of a result."""
    return [
        FailingInput(
            each["sample"],
            each["row"],
            each["text"],
            each["losses"],
            list(_moved(each["outputs"], metric)),
            each["swapped_in"],
            each["mended_by"],
        )
        for each in worst[:MOST_WORST]
    ]


def found_by_search(searched: Mapping[str, Any]) -> dict[str, Any]:
    """What a search in the task's generator found, with no more inputs than a page shows."""
    kept, means = searched["worst"], (searched["mean_of_worst"], searched["mean_of_worst_uniform"])
    found_worse = None not in means and means[0] > means[1]
    return {**searched, "worst": kept[:MOST_WORST], "worst_kept": len(kept), "found_worse": found_worse}


def _moved(outputs: Mapping[str, Sequence[float | None]], metric: TaskMetric) -> Iterator[str]:
    """The numbers of an output that moved farthest, in words; a logit difference is the figure itself."""
    if metric is TaskMetric.LOGIT_DIFFERENCE:
        return
    pairs = [
        (at, math.exp(model), math.exp(scrubbed))
        for at, (model, scrubbed) in enumerate(zip(outputs["model"], outputs["scrubbed"], strict=True))
        if model is not None and scrubbed is not None
    ]
    pairs.sort(key=lambda pair: -abs(pair[1] - pair[2]))
    for at, model, scrubbed in pairs[:MOST_MOVED]:
        what = f"class {at}" if metric is TaskMetric.CLASS_LOSS else f"the right token after position {at}"
        yield f"{what}: {percent(model)} → {percent(scrubbed)}"
