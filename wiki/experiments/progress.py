"""How far a survey is, in numbers and in one sentence."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from analysis.schema import JobKind
from wiki.components.models import LanguageModel

from .models import Job, Survey


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state of one survey, for a person."""

    survey: Survey
    rows_done: int
    rows: int
    finished: bool
    failed: bool
    sentence: str


def progress_of(survey: Survey) -> Progress:
    """The progress of one survey; its jobs are read once (or come prefetched)."""
    spec = survey.parsed_spec
    jobs = list(survey.jobs.all())
    shards = [job for job in jobs if job.kind == JobKind.SURVEY_SHARD.value]
    done = sum(
        len(spec.shard(job.shard)) if job.state == Job.State.DONE else job.rows_done
        for job in shards
        if job.state in (Job.State.DONE, Job.State.RUNNING)
    )
    finished = survey.finished_at is not None
    failed = any(job.state == Job.State.FAILED for job in jobs)
    rows_done = spec.rows if finished else done
    return Progress(survey, rows_done, spec.rows, finished, failed, _sentence(survey, jobs, rows_done))


def progress_of_model(model: LanguageModel) -> list[Progress]:
    """The progress of every survey that is pinned for a model, in the order of the pins."""
    pins = model.pins.select_related("survey").prefetch_related("survey__jobs")
    return [progress_of(pin.survey) for pin in pins]


def _sentence(survey: Survey, jobs: list[Job], rows_done: int) -> str:
    rows = survey.parsed_spec.rows
    if survey.finished_at is not None:
        return f"{survey.dataset}: all {rows} rows measured."
    if failure := next((job for job in jobs if job.state == Job.State.FAILED), None):
        return f"{survey.dataset}: stopped after {rows_done} of {rows} rows. {failure.error}"
    if _no_worker_answers(jobs):
        return (
            f"{survey.dataset}: {rows_done} of {rows} rows measured; no measuring worker has answered for "
            f"{settings.LEASE_SECONDS} seconds. The work is kept and goes on when one starts."
        )
    if rows_done == rows:
        return f"{survey.dataset}: all {rows} rows read, adding up."
    if rows_done == 0 and all(job.state == Job.State.QUEUED for job in jobs):
        return f"{survey.dataset}: waiting for its turn."
    return f"{survey.dataset}: {rows_done} of {rows} rows measured."


def _no_worker_answers(jobs: list[Job]) -> bool:
    """Whether any worker has been silent for longer than a lease, on this survey or any other, while work waits."""
    since = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    waits = any(job.dispatched_at is not None for job in jobs if job.state in (Job.State.QUEUED, Job.State.RUNNING))
    asked_lately = any(job.survey.asked_at > since for job in jobs)
    return waits and not asked_lately and not Job.objects.filter(renewed_at__gt=since).exists()
