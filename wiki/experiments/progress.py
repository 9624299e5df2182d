"""How far a survey is, in numbers and in one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, QuerySet, prefetch_related_objects
from django.utils import timezone

from analysis.schema import JobKind, SurveySpec
from wiki.components.models import LanguageModel
from wiki.lib.prepared import objects

from .models import Job, Survey

# What lets waiting texts go between its batches, partials, layers or scrubs (`analysis.worker`).
PAUSING = {kind.value for kind in JobKind} - {JobKind.PROMPT.value, JobKind.ADD_MODEL.value}


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
    """The progress of one survey."""
    return _progress(survey, last_sign_of_life=None if survey.finished_at else _last_sign_of_life())


def progress_of_model(model: LanguageModel) -> list[Progress]:
    """The progress of every survey that is pinned for a model, in the order of the pins."""
    return _progress_of_all(objects(_pinned, model.slug))


def _pinned(slug: str) -> QuerySet[Survey]:
    return Survey.objects.filter(pins__model=slug).order_by("pins__id")


def progress_of_models(models: Sequence[LanguageModel]) -> dict[str, list[Progress]]:
    """The same of many models, by slug; their `pins__survey` are prefetched."""
    surveys = [[pin.survey for pin in model.pins.all()] for model in models]
    progress = iter(_progress_of_all([survey for of_model in surveys for survey in of_model]))
    return {model.slug: [next(progress) for _ in of_model] for model, of_model in zip(models, surveys, strict=True)}


def _progress_of_all(surveys: Sequence[Survey]) -> list[Progress]:
    # what is finished needs no jobs to say so
    unfinished = [survey for survey in surveys if survey.finished_at is None]
    prefetch_related_objects(unfinished, "jobs")
    last_sign_of_life = _last_sign_of_life() if unfinished else None
    return [_progress(survey, last_sign_of_life=last_sign_of_life) for survey in surveys]


def _progress(survey: Survey, *, last_sign_of_life: datetime | None) -> Progress:
    spec = survey.parsed_spec
    if survey.finished_at is not None:
        sentence = f"{survey.dataset}: all {spec.rows:,} rows measured."
        return Progress(survey, spec.rows, spec.rows, finished=True, failed=False, sentence=sentence)
    jobs = list(survey.jobs.all())
    rows_done = sum(_rows_done(job, spec) for job in jobs)
    going = [job for job in jobs if job.state in (Job.State.QUEUED, Job.State.RUNNING)]
    failure = next((job.error for job in jobs if job.state == Job.State.FAILED), "")
    silent_since = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    last_sign = max(survey.asked_at, last_sign_of_life or survey.asked_at)
    if failure and not going:
        sentence = f"stopped after {rows_done:,} of {spec.rows:,} rows. {failure}"
    elif any(job.dispatched_at for job in going) and last_sign < silent_since:
        sentence = (
            f"{rows_done:,} of {spec.rows:,} rows measured; no measuring worker has answered for more than "
            f"{settings.LEASE_SECONDS} seconds. The work is kept and goes on when one starts."
        )
    elif failure:
        sentence = f"{rows_done:,} of {spec.rows:,} rows measured; a part of it failed. {failure}"
    elif rows_done == spec.rows:
        sentence = f"all {spec.rows:,} rows read, adding up."
    elif rows_done == 0 and all(job.state == Job.State.QUEUED for job in jobs):
        sentence = "waiting for its turn."
    else:
        sentence = f"{rows_done:,} of {spec.rows:,} rows measured."
    failed = bool(failure) and not going
    return Progress(
        survey, rows_done, spec.rows, finished=False, failed=failed, sentence=f"{survey.dataset}: {sentence}"
    )


def _rows_done(job: Job, spec: SurveySpec) -> int:
    if job.kind != JobKind.SURVEY_SHARD.value:
        return 0
    if job.state == Job.State.DONE:
        return len(spec.shard(job.shard))
    held = job.state == Job.State.RUNNING and job.lease_until is not None and job.lease_until > timezone.now()
    return job.rows_done if held else 0  # what a lost worker read is read again


def silent_for_long(asked_at: datetime) -> str:
    """A sentence where no measuring worker has shown a sign of life since something was asked for; else empty."""
    last_sign = max(asked_at, _last_sign_of_life() or asked_at)
    if last_sign >= timezone.now() - timedelta(seconds=settings.LEASE_SECONDS):
        return ""
    return f"No measuring worker has answered for more than {settings.LEASE_SECONDS} seconds."


def what_is_before(job: Job) -> str:
    """What is measured before the job of a text or a run that waits, and how many such jobs come first; empty where
    none does and nothing is measured."""
    held = Job.objects.filter(state=Job.State.RUNNING, lease_until__gt=timezone.now())
    running = list(held.select_related("survey", "measurement", "run__experiment").order_by("id"))
    n_before = Job.objects.claimable().filter(kind=job.kind, id__lt=job.pk).count()
    one, many = ("run", "runs") if job.kind == JobKind.SCRUB.value else ("text", "texts")
    texts = f"{n_before} other {f'{one} is' if n_before == 1 else f'{many} are'} before this one"
    if not running:
        return f"{texts}." if n_before else ""
    n_more = len(running) - 1
    more = f", and {n_more} more {'job' if n_more == 1 else 'jobs'} at the same time" if n_more else ""
    order = texts if n_before else f"this {one} is next"
    pauses = "it pauses for texts, and " if running[0].kind in PAUSING and job.kind == JobKind.PROMPT.value else ""
    return f"{_what_runs(running[0])}{more}; {pauses}{order}."


def _what_runs(job: Job) -> str:
    """What a running job does, in a sentence without its full stop."""
    if job.survey is not None:
        subject = f"the survey of {job.survey.dataset} on {job.survey.model_id}"
        if job.kind == JobKind.SURVEY_MERGE.value:
            return f"{subject} is being added up first"
        progress = progress_of(job.survey)
        return f"{subject} is being measured first, {progress.rows_done} of {progress.rows} rows"
    if job.run is not None:
        return f"a hypothesis about {job.run.experiment.model_id} is being scrubbed first, {job.rows_done} %"
    assert job.measurement is not None
    if job.kind == JobKind.WEIGHTS.value:
        return f"the weights of {job.measurement.model_id} are being read first, {job.rows_done} layers so far"
    return {
        JobKind.PROMOTED.value: "what heads promote on another text is being computed first",
        JobKind.ADD_MODEL.value: "a model is being added first",
    }.get(job.kind, "another text is being measured first")


def _last_sign_of_life() -> datetime | None:
    """When any worker last claimed, renewed or ended a job."""
    return Job.objects.aggregate(last=Max("renewed_at"))["last"]
