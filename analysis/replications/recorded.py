"""What the replications gave when they were last run from nothing: one file, kept beside the experiments. No torch."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from .table import Row

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
EXPERIMENTS = HERE / "experiments"
# Figures that are further apart than so many standard errors differ.
ERRORS_APART = 4.0
# A row explains a difference if it makes up this share of it.
EXPLAINS = 0.5


class ReplicationError(Exception):
    """A replication cannot be run, or read; the message is one sentence."""


def experiment_file(key: str) -> Path:
    """Where the experiment of a row is."""
    return EXPERIMENTS / f"{key}.yaml"


@functools.lru_cache(maxsize=1)
def read_recorded() -> dict[str, Any]:
    """The recorded runs: by key of the rows, with what was found of heads before any scrub."""
    try:
        data: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReplicationError(
            "Reading the recorded replications: expected the file that `make replicate` writes, got none that can be "
            "read."
        ) from error
    return data


@dataclasses.dataclass(frozen=True)
class Compared:
    """Our figure beside a published one."""

    differs: bool  # by more than ERRORS_APART standard errors of both
    explained: bool | None  # whether the linked row makes up half of the difference; None: nothing to explain

    @property
    def verdict(self) -> str:
        if not self.differs:
            return "agrees"
        return "explained" if self.explained else "unexplained"


def compare_with_published(row: Row, rows: dict[str, Any]) -> Compared | None:
    """Whether a recorded row differs from what was published, and whether its linked row explains that; None where
    nothing was published."""
    if row.published is None:
        return None
    ours = rows[row.key]["result"]["recovered"]
    gap = row.published.share - ours["value"]
    apart = (row.published.error**2 + (ours["error"] or 0.0) ** 2) ** 0.5
    if abs(gap) <= ERRORS_APART * apart:
        return Compared(differs=False, explained=None)
    if row.explained_by is None:
        return Compared(differs=True, explained=False)
    moved = rows[row.explained_by]["result"]["recovered"]["value"] - ours["value"]
    return Compared(differs=True, explained=moved / gap >= EXPLAINS)
