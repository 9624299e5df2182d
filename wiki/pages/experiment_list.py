"""The list of experiments, with its filters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from analysis.schema import Component, SchemaError
from wiki.experiments.models import Experiment, Job, NamedPart, Run
from wiki.lib.paging import Part, part_of, rows_of

from .scrub_scale import doubt_of, percent

PER_PAGE = 25
FILTERS = ("model", "task", "part", "by", "criterion", "state")
CRITERIA = {"met": "met", "not-met": "not met", "none": "none stated"}
STATES = {"finished": "finished", "under-way": "under way", "failed": "no run finished"}


@dataclasses.dataclass(frozen=True)
class Listed:
    """An experiment with the run that its page shows."""

    experiment: Experiment
    run: Run | None
    is_under_way: bool

    @property
    def share(self) -> str:
        return percent(self.run.recovered) if self.run else ""

    @property
    def doubt(self) -> str:
        return doubt_of(self.run.recovery) if self.run else ""

    @property
    def verdict(self) -> str:
        """Only against what was stated beforehand."""
        criterion = self.experiment.criterion
        if criterion is None:
            return ""
        met = self.run.is_met if self.run else None
        said = {True: ": met", False: ": not met", None: ""}[met]
        return f"criterion ≥ {percent(criterion, decimals=0)}{said}"

    @property
    def state(self) -> str:
        if self.run:
            return "uploaded" if self.run.origin == Run.Origin.UPLOADED else "finished"
        return "under way" if self.is_under_way else "no run finished"

    def to_json(self) -> dict[str, Any]:
        experiment, run = self.experiment, self.run
        return {
            "experiment": experiment.hash,
            "url": experiment.get_absolute_url(),
            "title": experiment.title,
            "model": experiment.model_id,
            "task": experiment.task,
            "asked_by": experiment.asked_by.get_username(),
            "asked_at": experiment.asked_at.isoformat(),
            "state": self.state,
            "criterion": experiment.criterion,
            "met": run.is_met if run else None,
            "recovered": run.recovery if run else None,
        }


def list_experiments(asked: Mapping[str, str], *, page: str | None) -> tuple[Part[Experiment], list[Listed], str]:
    """A page of the experiments that an address asks for, each with its run, and what is wrong of what it asks, in a
    sentence."""
    found, error = _filtered(asked)
    part = part_of(rows_of(found.select_related("asked_by").defer("spec")), PER_PAGE, page)
    return part, listed(part.object_list), error


def listed(experiments: list[Experiment]) -> list[Listed]:
    """Experiments that `with_runs` annotated, with their runs: one query."""
    keys = [experiment.shown_run for experiment in experiments if experiment.shown_run]  # type: ignore[attr-defined]
    runs = (
        {
            run.pk: run
            for run in Run.objects.select_related("experiment")
            .defer("uploaded", "experiment__spec")
            .filter(pk__in=keys)
        }
        if keys
        else {}
    )
    return [
        Listed(each, runs.get(each.shown_run), each.is_under_way)  # type: ignore[attr-defined]
        for each in experiments
    ]


def with_runs(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    """With the run that is shown of each (`shown_run`, `recovered`), and whether one `is_under_way`."""
    # “server” comes before “uploaded”
    finished = Run.objects.filter(experiment=OuterRef("pk"), finished_at__isnull=False).order_by("origin", "-pk")
    going = Job.objects.filter(run__experiment=OuterRef("pk"), state__in=(Job.State.QUEUED, Job.State.RUNNING))
    return experiments.annotate(
        shown_run=Subquery(finished.values("pk")[:1]),
        recovered=Subquery(finished.values("recovered")[:1]),
        is_under_way=Exists(going),
    )


def _filtered(asked: Mapping[str, str]) -> tuple[QuerySet[Experiment], str]:
    found, nothing = with_runs(Experiment.objects.all()), Experiment.objects.none()
    for name in ("model", "task", "by"):
        value = asked.get(name, "").strip()
        if "\0" in value or len(value) > 150:
            return with_runs(nothing), f"Looking for experiments: expected a short {name}, got something else."
        if value:
            found = found.filter(**{{"by": "asked_by__username"}.get(name, name): value.removeprefix("@")})
    if typed := asked.get("part", "").strip():
        try:
            component = Component.parse(typed.rpartition("/")[2])
        except SchemaError as error:
            return with_runs(nothing), str(error)
        named = NamedPart.objects.filter(experiment=OuterRef("pk"), component=str(component))
        found = found.filter(Exists(named))
    conditions = {
        ("criterion", "met"): Q(recovered__gte=F("criterion")),
        ("criterion", "not-met"): Q(recovered__lt=F("criterion")),
        ("criterion", "none"): Q(criterion=None),
        ("state", "finished"): Q(shown_run__isnull=False),
        ("state", "under-way"): Q(is_under_way=True),
        ("state", "failed"): Q(shown_run=None, is_under_way=False),
    }
    for name in ("criterion", "state"):
        value = asked.get(name, "")
        if value and (name, value) not in conditions:
            return with_runs(nothing), f"Looking for experiments: expected another {name} than “{value[:40]}”."
        if value:
            found = found.filter(conditions[name, value])
    return found, ""
