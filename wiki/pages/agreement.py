"""Whether runs of one experiment agree: within four standard errors of their difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wiki.experiments.models import Run

from .scrub_scale import percent

AGREES = 4.0


def agree(one: Run, other: Run) -> bool | None:
    """Whether the shares of two runs are near enough; None where one has no share or no standard error."""
    allowed = _allowed(one, other)
    return None if allowed is None else _apart(one, other) <= allowed


def agreement_of(runs: Sequence[Run]) -> str:
    """Whether the newest run of the server, of runs from the newest, agrees with its first, in a sentence; empty where
    there are no two with figures."""
    done = [run for run in runs if run.origin == Run.Origin.SERVER and run.recovered is not None]
    if len(done) < 2 or (allowed := _allowed(done[0], done[-1])) is None:
        return ""
    agrees = "agree" if agree(done[0], done[-1]) else "do not agree"
    return (
        f"The first and the newest run, whose draws differ, {agrees}: they are {percent(_apart(done[0], done[-1]))} "
        f"apart, and {AGREES:.0f} standard errors of that are {percent(allowed)}."
    )


def standing_of(upload: Run, runs: Sequence[Run]) -> str:
    """What this server's own runs, from the newest, say of an uploaded one."""
    own = next((run for run in runs if run.origin == Run.Origin.SERVER and run.recovered is not None), None)
    if own is None:
        return "this server has not run it."
    agrees = agree(upload, own)
    if agrees is None:
        return f"whether run {own.pk} of this server agrees cannot be said without standard errors."
    apart = f"{percent(_apart(upload, own))} apart, {AGREES:.0f} standard errors are {percent(_allowed(upload, own))}"
    return f"run {own.pk} of this server {'agrees' if agrees else 'does not agree'} ({apart})."


def _apart(one: Run, other: Run) -> float:
    assert one.recovered is not None
    assert other.recovered is not None
    return abs(one.recovered - other.recovered)


def _allowed(one: Run, other: Run) -> float | None:
    if one.recovered is None or other.recovered is None or one.error is None or other.error is None:
        return None
    return AGREES * math.hypot(one.error, other.error)
