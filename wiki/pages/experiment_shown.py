"""What the page of an experiment shows of one of its runs: exactly what the run's artifact has, on one scale."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from analysis.scrubbing.experiment import Experiment as Question
from wiki.experiments.models import Experiment, Job, Run
from wiki.experiments.results import ScrubResult, StoreError, open_scrub
from wiki.experiments.scrubs import RunProgress, progress_of_run

from .hypothesis_tree import tree_of
from .scrub_scale import Scale, interval_of, percent

logger = logging.getLogger(__name__)

# Failing inputs on the page; the data has all of them.
MOST_WORST = 8
# Runs agree within so many standard errors of their difference.
AGREES = 4.0


@dataclasses.dataclass(frozen=True)
class ShownRun:
    """A run with how far it is."""

    run: Run
    progress: RunProgress

    @property
    def share(self) -> str:
        return percent(self.run.recovered)

    @property
    def interval(self) -> str:
        return interval_of({"low": self.run.low, "high": self.run.high})

    def to_json(self) -> dict[str, Any]:
        run = self.run
        names = ("id", "seed", "origin", "device", "code", "dataset_hash", "recovered", "error", "low", "high")
        return {name: getattr(run, name) for name in names} | {
            "asked_by": run.asked_by.get_username(),
            "asked_at": run.asked_at.isoformat(),
            "finished_at": run.finished_at.isoformat() if run.finished_at else None,
            "state": self.progress.state,
            "sentence": self.progress.sentence,
            "artifact": run.artifact,
            "met": run.is_met,
        }


@dataclasses.dataclass(frozen=True)
class Line:
    """One share of a table, with its picture."""

    label: str
    share: str
    interval: str
    picture: SafeString
    more: str = ""


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a run, as tables show them."""

    result: Mapping[str, Any]
    whole: Line
    classes: Sequence[Mapping[str, Any]]
    nodes: Sequence[Line]
    assignments: Sequence[Line]
    worst: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any]
    verdict: str  # empty without a criterion that was stated beforehand
    in_nats: bool
    zero: str  # what counts as 0 %


def runs_of(experiment: Experiment) -> list[ShownRun]:
    """All runs, the newest first."""
    runs = list(experiment.runs.select_related("asked_by", "experiment").order_by("-pk"))
    jobs = {job.run_id: job for job in Job.objects.filter(run__in=runs)}
    return [ShownRun(run, progress_of_run(run, jobs.get(run.pk))) for run in runs]


def chosen_run(runs: Sequence[ShownRun], asked: str) -> ShownRun | None:
    """The run that an address names; else the newest that the server finished, else the newest uploaded."""
    if named := next((shown for shown in runs if str(shown.run.pk) == asked), None):
        return named
    finished = [shown for shown in runs if shown.run.finished_at]
    return next((shown for shown in finished if shown.run.origin == Run.Origin.SERVER), next(iter(finished), None))


def read_run(run: Run) -> tuple[ScrubResult | None, str]:
    """What came out of a finished run, or a sentence that says why it cannot be shown."""
    if run.finished_at is None:
        return None, ""
    try:
        return open_scrub(run), ""
    except StoreError as error:
        logger.error("run %s of %s: %s", run.pk, run.experiment_id[:12], error)
        return None, str(error)


def figures_of(question: Question, read: ScrubResult) -> Figures:
    """The figures of what was read, all on one scale."""
    result, criterion = read.figures, question.hypothesis.criterion
    recovered = result["recovered"]
    shares = [recovered[name] for name in ("value", "low", "high")]
    shares += [of["made_exact"]["value"] for of in result["nodes"] if of["made_exact"]]
    shares += [of["recovered"]["value"] for of in result["assignments"]]
    scale = Scale.of(shares, criterion=criterion)
    return Figures(
        result=result,
        whole=_line("recovered", recovered, scale),
        classes=[{**of, "share": percent(_share(of))} for of in result["classes"]],
        nodes=[_node_line(of, scale) for of in result["nodes"]],
        assignments=[_line(", ".join(of["parts"]), of["recovered"], scale) for of in result["assignments"]],
        worst=read.worst[:MOST_WORST],
        about=read.about,
        verdict=result["verdict"]["text"] if result["verdict"] else "",
        in_nats=not question.of_task.metric.higher_is_better,
        zero=zero_of(question),
    )


def zero_of(question: Question) -> str:
    """What counts as 0 %, in words."""
    end_point = question.hypothesis.end_point
    return f"{end_point.kind.value}: {', '.join(end_point.parts)}" if end_point.parts else end_point.kind.value


def _line(label: str, recovered: Mapping[str, Any], scale: Scale, *, more: str = "") -> Line:
    share = percent(recovered["value"]) if recovered["value"] is not None else recovered["absent"]
    return Line(label, share, interval_of(recovered), scale.draw(recovered), more)


def _node_line(of: Mapping[str, Any], scale: Scale) -> Line:
    drawn = of["drawn"]
    more = f"{drawn['donors']:,} donors in {drawn['draws']:,} draws"
    if drawn["few"]:
        more += f", {drawn['few']:,} of them among few rows that agree"
    if not of["made_exact"]:
        return Line(of["path"], "exact already", "", SafeString(), more)
    if of["gain"] and of["gain"]["value"] is not None:
        more = f"{percent(of['gain']['value'])} more {interval_of(of['gain'])}; {more}"
    return _line(of["path"], of["made_exact"], scale, more=more)


def _share(of: Mapping[str, Any]) -> float | None:
    scrubbed, model, nothing = (of[name]["value"] for name in ("scrubbed", "model", "nothing"))
    return None if model == nothing else (scrubbed - nothing) / (model - nothing)


def drawn_tree(experiment: Experiment, question: Question, figures: Figures | None) -> SafeString:
    """The tree of an experiment, each node with what is recovered where it alone is exact."""
    lines = {line.label: line for line in figures.nodes} if figures else {}
    hypothesis = question.hypothesis
    said = {
        node.name: format_html('<p class="soft">recovered with this node exact: {}</p>', line.share)
        for node in hypothesis.nodes
        if (line := lines.get(hypothesis.path(node.name))) and line.picture
    }
    return tree_of(experiment.spec["nodes"], experiment.model, hypothesis=hypothesis, said=said)


def agreement_of(runs: Sequence[ShownRun]) -> str:
    """Whether the newest run of the server agrees with the first one of the same experiment, in a sentence; empty where
    there are no two with figures."""
    done = [shown.run for shown in runs if shown.run.origin == Run.Origin.SERVER and shown.run.recovered is not None]
    if len(done) < 2 or done[0].error is None or done[-1].error is None:
        return ""
    newest, first = done[0], done[-1]
    assert newest.recovered is not None
    assert first.recovered is not None
    apart = abs(newest.recovered - first.recovered)
    allowed = AGREES * math.hypot(done[0].error, done[-1].error)
    agrees = "agree" if apart <= allowed else "do not agree"
    return (
        f"The first and the newest run, whose draws differ, {agrees}: they are {percent(apart)} apart, and 4 standard "
        f"errors of that are {percent(allowed)}."
    )
