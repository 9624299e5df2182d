"""The one module that enqueues measuring, and the rules by which a job changes state.

The `Job` row is the truth. A worker claims it by one conditional UPDATE that sets a token, renews its lease while it
works, and finishes by one conditional UPDATE on that token; whoever lost the lease changes nothing. The sweeper sends
again what no live worker holds.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import uuid
from datetime import timedelta
from typing import Any

import kombu.exceptions
from celery import Celery
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from analysis.broker import TASK_NAME, make_celery
from analysis.schema import JobKind, Spec, SurveySpec
from wiki.components.models import LanguageModel

from .models import Job, Measurement, Pin, Run, Survey
from .results import is_readable, measurement_is_readable

logger = logging.getLogger(__name__)

# A job whose worker was lost so often is likely to be what kills workers.
MAX_ATTEMPTS = 5


@functools.cache
def _celery(broker_url: str) -> Celery:
    return make_celery(broker_url)


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a worker is given with a job."""

    token: str
    kind: JobKind
    spec: dict[str, Any]
    shard: int


def ask_for_survey(model: LanguageModel, spec: SurveySpec, *, pin: bool) -> Survey:
    """The survey of this spec: asked for now, or the one that was asked for before.

    What went wrong before is tried again: failed jobs are queued; a survey that is finished but whose artifact is lost
    or damaged, or that could not be merged, starts over, its whole partials kept.
    """
    with transaction.atomic():
        survey, _ = Survey.objects.get_or_create(
            hash=spec.hash, defaults={"model": model, "dataset": spec.dataset, "spec": spec.to_json()}
        )
        if pin:
            Pin.objects.update_or_create(model=model, dataset=spec.dataset, defaults={"survey": survey})
        merge_failed = survey.jobs.filter(kind=JobKind.SURVEY_MERGE.value, state=Job.State.FAILED).exists()
        if merge_failed or (survey.finished_at and not is_readable(survey)):
            logger.warning("The survey of %s is lost or damaged and is measured anew.", survey.dataset)
            survey.jobs.all().delete()
            survey.finished_at = None
        if survey.finished_at is None:
            survey.asked_at = timezone.now()
            survey.save(update_fields=["asked_at", "finished_at"])
            Job.objects.bulk_create(
                [Job(survey=survey, kind=JobKind.SURVEY_SHARD.value, shard=shard) for shard in range(spec.n_shards)],
                ignore_conflicts=True,
            )
            survey.jobs.filter(state=Job.State.FAILED).update(
                state=Job.State.QUEUED, attempts=0, error="", dispatched_at=None
            )
        transaction.on_commit(dispatch_waiting)
    return survey


def ask_for_measurement(kind: JobKind, spec: Spec, *, model: LanguageModel | None) -> Measurement:
    """The measurement of this spec: asked for now, or the one that was asked for before, tried again if it failed or
    if what it left is lost or damaged."""
    with transaction.atomic():
        measurement, _ = Measurement.objects.get_or_create(
            hash=spec.hash, defaults={"kind": kind.value, "model": model, "spec": spec.to_json()}
        )
        # of two who ask at once the second waits here, and then finds the first one's job
        measurement = Measurement.objects.select_for_update().get(pk=measurement.pk)
        if measurement.finished_at and measurement_is_readable(measurement):
            return measurement
        waits = Job.objects.filter(measurement=measurement, state__in=(Job.State.QUEUED, Job.State.RUNNING))
        if not waits.exists():
            Job.objects.filter(measurement=measurement).delete()
            Job.objects.create(measurement=measurement, kind=kind.value)
            measurement.asked_at, measurement.finished_at = timezone.now(), None
            measurement.save(update_fields=["asked_at", "finished_at"])
        transaction.on_commit(dispatch_waiting)
    return measurement


def queue_run(run: Run) -> None:
    """Have a run done by a measuring worker, from the start: whatever it left before is done anew."""
    with transaction.atomic():
        Job.objects.create(run=run, kind=JobKind.SCRUB.value)
        transaction.on_commit(dispatch_waiting)


def stop_run(run: Run, *, error: str) -> bool:
    """End the job of a run that waits or runs, for this reason; its worker finds out at the next renewal. False where
    it was over already."""
    going = Job.objects.filter(run=run, state__in=(Job.State.QUEUED, Job.State.RUNNING))
    return bool(going.update(state=Job.State.FAILED, error=error))


def dispatch_waiting() -> int:
    """Send a message for every job that waits and whose message is lost or was never sent; return how many.

    Messages are lost with a worker that held them. One that is merely waiting is still in the broker, so nothing is
    sent twice while the broker has messages of its kind. A broker that cannot be reached costs only time.
    """
    now = timezone.now()
    silence = now - timedelta(seconds=settings.LEASE_SECONDS)
    due = Job.objects.claimable().filter(Q(dispatched_at=None) | Q(dispatched_at__lt=silence)).order_by("id")
    sent = 0
    try:
        lost = {job.kind for job in due if job.dispatched_at} and _empty_queues()
        for job in due:
            if job.attempts >= MAX_ATTEMPTS:
                _give_up(job)
            elif job.dispatched_at is None or job.kind in lost:
                _celery(settings.BROKER_URL).send_task(TASK_NAME, args=[job.pk], queue=job.kind, retry=False)
                Job.objects.filter(pk=job.pk).update(dispatched_at=now)
                sent += 1
    except (kombu.exceptions.KombuError, OSError) as error:
        logger.error("Sending jobs to the broker: %s. They stay queued and are sent again.", error)
    return sent


def _empty_queues() -> set[str]:
    """The kinds of job of which the broker holds no message."""
    with _celery(settings.BROKER_URL).connection_for_write() as connection:
        channel = connection.default_channel
        return {kind.value for kind in JobKind if not channel.queue_declare(kind.value).message_count}


def _give_up(job: Job) -> None:
    sentence = f"The measuring worker was lost {job.attempts} times while doing this; its log says why."
    Job.objects.claimable().filter(pk=job.pk).update(state=Job.State.FAILED, error=sentence)


def claim_job(job_id: int) -> Claim | None:
    """Give the job to the caller, or None if it is done, failed, or held by a living worker."""
    token, now = uuid.uuid4().hex, timezone.now()
    claimed = (
        Job.objects.claimable()
        .filter(pk=job_id)
        .update(
            state=Job.State.RUNNING,
            token=token,
            attempts=F("attempts") + 1,
            rows_done=0,
            renewed_at=now,
            lease_until=now + timedelta(seconds=settings.LEASE_SECONDS),
        )
    )
    if not claimed:
        return None
    job = Job.objects.select_related("survey", "measurement", "run__experiment").get(pk=job_id)
    asked_for = job.survey or job.measurement or job.run
    assert asked_for is not None
    return Claim(token, JobKind(job.kind), asked_for.spec, job.shard)


def renew_job(job_id: int, token: str, *, rows_done: int) -> bool:
    """Extend the lease of the holder of `token`; False if it lost the job."""
    now = timezone.now()
    return bool(
        _held(job_id, token).update(
            rows_done=rows_done, renewed_at=now, lease_until=now + timedelta(seconds=settings.LEASE_SECONDS)
        )
    )


def finish_job(job_id: int, token: str) -> Job | None:
    """Mark the job done for the holder of `token`, and what it was the end of; None if it lost the job."""
    now = timezone.now()
    with transaction.atomic():
        if not _held(job_id, token).update(state=Job.State.DONE, renewed_at=now):
            return None
        job = Job.objects.select_related("survey__model", "measurement", "run").get(pk=job_id)
        if job.kind == JobKind.SURVEY_MERGE.value:
            Survey.objects.filter(pk=job.survey_id).update(finished_at=now)
        Measurement.objects.filter(pk=job.measurement_id).update(finished_at=now)
        transaction.on_commit(advance_surveys)
    return job


def fail_job(job_id: int, token: str, *, error: str) -> bool:
    """Mark the job failed with one sentence for the holder of `token`; False if it lost the job."""
    return bool(_held(job_id, token).update(state=Job.State.FAILED, error=error, renewed_at=timezone.now()))


def advance_surveys() -> None:
    """Queue the merge of every survey whose shards are all done, and send what waits."""
    for survey in Survey.objects.filter(finished_at=None):
        shards = survey.jobs.filter(kind=JobKind.SURVEY_SHARD.value)
        if shards.exists() and not shards.exclude(state=Job.State.DONE).exists():
            Job.objects.get_or_create(survey=survey, kind=JobKind.SURVEY_MERGE.value, shard=0)
    dispatch_waiting()


def _held(job_id: int, token: str) -> models.QuerySet[Job]:
    return Job.objects.filter(pk=job_id, token=token, state=Job.State.RUNNING)
