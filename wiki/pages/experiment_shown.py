"""What the page of an experiment shows of one of its runs: exactly what the run's artifact has, on one scale."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analysis.scrubbing.experiment import Experiment as Question
from wiki.experiments.models import Experiment, Job, Run
from wiki.experiments.results import ScrubResult, StoreError, open_scrub
from wiki.experiments.scrubs import RunProgress, progress_of_run

from .agreement import standing_of
from .failing_inputs import FailingInput, failing_inputs, found_by_search
from .hypothesis_tree import tree_of
from .scrub_scale import Scale, doubt_of, percent, share_of

logger = logging.getLogger(__name__)


# Runs that a page lists.
MOST_RUNS = 50


@dataclasses.dataclass(frozen=True)
class ShownRun:
    """A run with how far it is."""

    run: Run
    progress: RunProgress
    standing: str = ""  # of an upload: what this server's own runs say of it

    @property
    def is_uploaded(self) -> bool:
        return is_uploaded(self.run)

    @property
    def share(self) -> str:
        return percent(self.run.recovered)

    @property
    def doubt(self) -> str:
        return doubt_of(self.run.recovery)

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
            "standing": self.standing,
        }


@dataclasses.dataclass(frozen=True)
class Line:
    """One share of a table, with its picture."""

    label: str
    share: str
    doubt: str
    picture: SafeString
    more: str = ""


@dataclasses.dataclass(frozen=True)
class OfClass:
    """A line of the split by class."""

    label: str
    n: int
    share: str
    doubt: str
    losses: Sequence[float]  # of the model, scrubbed, at 0 %


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a run, as tables show them."""

    result: Mapping[str, Any]
    whole: Line
    classes: Sequence[OfClass]
    nodes: Sequence[Line]
    assignments: Sequence[Line]
    worst: Sequence[FailingInput]
    searched: Mapping[str, Any]
    about: Mapping[str, Any]
    verdict: str  # empty without a criterion that was stated beforehand
    in_nats: bool
    zero: str  # what counts as 0 %


def runs_of(experiment: Experiment, *, asked: str = "") -> list[ShownRun]:
    """The runs, the newest first; of very many the newest, the first, and the one that an address names."""
    found = experiment.runs.select_related("asked_by", "experiment").defer("uploaded")
    runs = list(found.order_by("-pk")[: MOST_RUNS + 1])
    if len(runs) > MOST_RUNS:
        number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 18 else 0
        first = found.order_by("pk").values("pk")[:1]
        runs = list(found.filter(Q(pk__gte=runs[-2].pk) | Q(pk__in=first) | Q(pk=number)).order_by("-pk"))
    jobs = {job.run_id: job for job in Job.objects.filter(run__in=runs)}
    return [
        ShownRun(run, progress_of_run(run, jobs.get(run.pk)), standing_of(run, runs) if is_uploaded(run) else "")
        for run in runs
    ]


def is_uploaded(run: Run) -> bool:
    return run.origin == Run.Origin.UPLOADED


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
        classes=[_of_class(of) for of in result["classes"]],
        nodes=[_node_line(of, scale) for of in result["nodes"]],
        assignments=[_line(", ".join(of["parts"]), of["recovered"], scale) for of in result["assignments"]],
        worst=failing_inputs(read.worst, question.of_task.metric),
        searched=found_by_search(read.searched),
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
    return Line(label, share_of(recovered), doubt_of(recovered), scale.draw(recovered), more)


def _node_line(of: Mapping[str, Any], scale: Scale) -> Line:
    drawn = of["drawn"]
    more = f"{drawn['donors']:,} donors in {drawn['draws']:,} draws"
    if drawn["few"]:
        more += f", {drawn['few']:,} of them among few rows that agree"
    if not of["made_exact"]:
        return Line(of["path"], "exact already", "", SafeString(), more)
    if of["gain"] and of["gain"]["value"] is not None:
        more = f"{percent(of['gain']['value'])} {doubt_of(of['gain'])} more than with the whole hypothesis; {more}"
    return _line(of["path"], of["made_exact"], scale, more=more)


def _of_class(of: Mapping[str, Any]) -> OfClass:
    losses = [of[name]["value"] for name in ("model", "scrubbed", "nothing")]
    return OfClass(
        f"{of['name']} = {of['value']}", of["n"], share_of(of["recovered"]), doubt_of(of["recovered"]), losses
    )


def drawn_tree(experiment: Experiment, question: Question, figures: Figures | None) -> SafeString:
    """The tree of an experiment, each node with what is recovered where it alone is exact."""
    lines = {line.label: line for line in figures.nodes} if figures else {}
    hypothesis = question.hypothesis
    said = {
        node.name: format_html('<p class="soft">recovered with this node exact: {} {}</p>', line.share, line.doubt)
        for node in hypothesis.nodes
        if (line := lines.get(hypothesis.path(node.name))) and line.picture
    }
    return tree_of(experiment.spec["nodes"], experiment.model, hypothesis=hypothesis, said=said)
