"""What a search for inputs on which a hypothesis fails has found. No torch."""

from __future__ import annotations

import dataclasses
from typing import Any

from analysis.datasets.task import Split


@dataclasses.dataclass(frozen=True)
class Searched:
    """What a search found, beside uniform draws; without `samples` it was not made, and `absent` says why."""

    split: str = Split.SEARCH.value  # of the rows that were made, whatever split the experiment is on
    rows: int = 0
    rows_seed: int = 0
    samples: int = 0  # that the search scrubbed, and as many uniform ones
    worst: tuple[dict[str, Any], ...] = ()  # row, text and losses, each sequence once, the worst first
    mean_of_worst: float | None = None  # by how much the worst ones' losses are worse than the model's
    mean_of_worst_uniform: float | None = None
    absent: str = ""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Searched:
        return cls(**{**data, "worst": tuple(data["worst"])})
