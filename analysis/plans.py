"""How much of each dataset is surveyed unless somebody asks for more. No torch."""

from __future__ import annotations

import dataclasses
from typing import Any

from analysis.schema import SurveySpec

BATCH_ROWS = 16


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much of a dataset a first survey reads."""

    rows: int
    shard_rows: int
    pattern_rows: int = 0
    in_depth: bool = False
    lens_rows: int = 0


# By dataset, in the order in which they run: what is shown first is measured first.
PLANS: dict[str, Plan] = {
    "bundled-texts": Plan(rows=3, shard_rows=3, pattern_rows=3),
    "repeated-random": Plan(rows=64, shard_rows=64, pattern_rows=1),
    # the logit lens reads four positions of a row, 512 in all
    "sotu": Plan(rows=512, shard_rows=256, in_depth=True, lens_rows=128),
    "bracket-examples": Plan(rows=4, shard_rows=4, pattern_rows=4),
    "bracket-strings": Plan(rows=512, shard_rows=512, in_depth=True),
}


def planned_spec(model: dict[str, Any], dataset: dict[str, Any], **changes: int) -> SurveySpec:
    """The first survey of a dataset by the cards of both, or with other sizes; what is kept shrinks with the rows."""
    plan = PLANS[dataset["name"]]
    rows = min(changes.get("rows", plan.rows), dataset["rows"])
    return SurveySpec(
        model=model["slug"],
        model_hash=model["hash"],
        dataset=dataset["name"],
        dataset_hash=dataset["hash"],
        rows=rows,
        pattern_rows=changes.get("pattern_rows", min(plan.pattern_rows, rows)),
        in_depth=plan.in_depth,
        lens_rows=changes.get("lens_rows", min(plan.lens_rows, rows)),
        shard_rows=changes.get("shard_rows", plan.shard_rows),
        batch_rows=BATCH_ROWS,
    )
