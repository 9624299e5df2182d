"""Experiments: what may be asked, who asked first, their runs on measuring workers, and how far those are."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

from django.db import transaction
from django.utils import timezone

from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.foreseen import foresee
from analysis.scrubbing.legality import Problem
from wiki.accounts.models import User
from wiki.components.models import LanguageModel

from .jobs import queue_run, stop_run
from .models import Experiment, Job, NamedPart, Run
from .named_parts import components_named
from .progress import silent_for_long, what_is_before
from .results import is_parallel
from .signals import experiment_changed

# What one question may cost the workers, who are everybody's; who needs more has `python -m analysis scrub`.
MOST_SAMPLES = 20_000
MOST_ROWS = 200_000
# Runs of one person that wait or run.
MOST_WAITING = 10


class ExperimentError(Exception):
    """An experiment that cannot be asked for now; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class RunProgress:
    """How far a run is, for a person."""

    state: str  # finished, failed, waiting, running
    hundredths: int
    sentence: str  # empty when finished

    @property
    def pending(self) -> bool:
        return self.state in ("waiting", "running")


def problems_of(question: Question, model: LanguageModel) -> list[Problem]:
    """All that is wrong of a question about a model of the site, as far as can be said without a worker."""
    found = foresee(question, model.sizes, model_hash=model.hash, parallel=is_parallel(model))
    for what, got, most in (("n", question.hypothesis.n, MOST_SAMPLES), ("rows", question.rows, MOST_ROWS)):
        if got > most:
            found.append(
                Problem(None, f"Reading an experiment, {what}: expected at most {most:,} on this server, got {got:,}.")
            )
    return found


def ask_for_experiment(question: Question, model: LanguageModel, *, user: User) -> Experiment:
    """The experiment of this question, which has no problem: asked for now with its first run, or the one that was
    asked before; where no run of the server is finished or under way, with one more. `ExperimentError` where
    somebody has too many under way."""
    with transaction.atomic():
        experiment = keep_experiment(question, model, user=user)
        own = experiment.runs.filter(origin=Run.Origin.SERVER).exclude(job__state=Job.State.FAILED)
        if not own.exists():
            _new_run(experiment, user=user, seed=question.hypothesis.seed)
    return experiment


def keep_experiment(question: Question, model: LanguageModel, *, user: User) -> Experiment:
    """The experiment of this question, which has no problem: a new one, or the one that was asked before. Within a
    transaction: of two who ask at once the second waits here, and then finds what the first did."""
    experiment, is_new = Experiment.objects.get_or_create(
        hash=question.hash,
        defaults={
            "model": model,
            "task": question.task,
            "title": question.title,
            "spec": _asked(question),
            "criterion": question.hypothesis.criterion,
            "asked_by": user,
        },
    )
    if is_new:
        NamedPart.objects.bulk_create(
            NamedPart(experiment=experiment, model=model, component=component, role=role, node=node[:200])
            for component, role, node in components_named(question, model, parallel=is_parallel(model))
        )
        experiment_changed.send(Experiment, experiment=experiment)
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    return experiment


def run_again(experiment: Experiment, *, user: User) -> Run:
    """One more run of an experiment with draws of its own."""
    return _new_run(experiment, user=user, seed=secrets.randbelow(2**31))


def _new_run(experiment: Experiment, *, user: User, seed: int) -> Run:
    waiting = Job.objects.filter(run__asked_by=user, state__in=(Job.State.QUEUED, Job.State.RUNNING)).count()
    if waiting >= MOST_WAITING:
        raise ExperimentError(
            f"Asking for a run: expected at most {MOST_WAITING} of yours that wait or run, got one more; stop one of "
            "them, or wait."
        )
    with transaction.atomic():
        run = Run(experiment=experiment, asked_by=user, seed=seed)
        run.artifact = Question.from_json(run.spec).hash
        run.save()
        queue_run(run)
    return run


def stop(run: Run, *, user: User) -> bool:
    """End a run that waits or runs; False where it was over already."""
    return stop_run(run, error=f"Stopped by {user.get_username()}.")


def note_figures(run: Run, told: dict[str, Any]) -> None:
    """Keep of a run that ended what a worker tells of it, for lists; all of it is in the artifact."""
    recovered = told["recovered"]
    figures = {
        "finished_at": timezone.now(),
        "device": told["device"],
        "code": told["code"],
        "dataset_hash": told["dataset_hash"],
        "recovered": recovered["value"],
        "error": recovered["error"],
        "low": recovered["low"],
        "high": recovered["high"],
    }
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, finished_at=None).update(**figures):
            experiment_changed.send(Run, experiment=run.experiment)


def progress_of_run(run: Run, job: Job | None) -> RunProgress:
    """How far a run is, and what is the matter where nothing moves; `job` is its job, None of an upload."""
    if run.finished_at or job is None:
        return RunProgress("finished", 100, "")
    if job.state == Job.State.FAILED:
        return RunProgress("failed", job.rows_done, job.error)
    state = "running" if job.state == Job.State.RUNNING else "waiting"
    if job.dispatched_at and (silence := silent_for_long(run.asked_at)):
        return RunProgress(state, job.rows_done, f"{silence} The run is kept and goes on when one starts.")
    if state == "running":
        return RunProgress(state, job.rows_done, f"A measuring worker scrubs it: {job.rows_done} % done.")
    before = what_is_before(job)
    return RunProgress(state, 0, f"Waiting for its turn. {before[:1].upper()}{before[1:]}".strip())


def _asked(question: Question) -> dict[str, Any]:
    """What is asked, without a title, which is kept beside."""
    return {name: value for name, value in question.to_json().items() if name != "title"}
