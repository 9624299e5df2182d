"""The life of a job: who may claim, renew and end it, and what is sent when."""

from __future__ import annotations

import dataclasses
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from analysis.schema import SurveySpec
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.models import Job, Pin, Survey
from wiki.experiments.progress import progress_of, progress_of_model

pytestmark = pytest.mark.both_databases


def messages(data: Path) -> list[str]:
    """The messages that wait in the embedded broker, oldest first."""
    return [path.name for path in sorted((data / "broker" / "queue").glob("*.msg"))]


@pytest.fixture
def survey(
    model: LanguageModel, small_spec: SurveySpec, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> Survey:
    with django_capture_on_commit_callbacks(execute=True):
        return jobs.ask_for_survey(model, small_spec, pin=True)


def lose_worker(job: Job) -> None:
    """As time would."""
    past = timezone.now() - timedelta(seconds=60)
    Job.objects.filter(pk=job.pk).update(lease_until=past, dispatched_at=past, renewed_at=past)


def test_asking_queues_a_job_a_shard_and_sends_each_once(survey: Survey, data: Path) -> None:
    assert [(job.kind, job.shard, job.state) for job in survey.jobs.all()] == [
        ("survey-shard", shard, "queued") for shard in range(3)
    ]
    assert len(messages(data)) == 3
    assert all(name.endswith(".survey-shard.msg") for name in messages(data))
    jobs.dispatch_waiting()
    assert len(messages(data)) == 3


def test_asking_again_for_the_same_survey_adds_nothing(
    survey: Survey, model: LanguageModel, small_spec: SurveySpec
) -> None:
    assert jobs.ask_for_survey(model, small_spec, pin=True) == survey
    assert Survey.objects.count() == 1
    assert survey.jobs.count() == 3
    assert Pin.objects.count() == 1


def test_a_pin_moves_only_when_an_operator_asks(survey: Survey, model: LanguageModel, small_spec: SurveySpec) -> None:
    newer = jobs.ask_for_survey(model, dataclasses.replace(small_spec, rows=4), pin=False)
    assert model.pins.get().survey == survey
    jobs.ask_for_survey(model, dataclasses.replace(small_spec, rows=4), pin=True)
    assert model.pins.get().survey == newer


def test_a_job_is_claimed_once(survey: Survey) -> None:
    job = survey.jobs.first()
    claim = jobs.claim_job(job.pk)
    assert claim is not None
    assert (claim.spec, claim.shard) == (survey.spec, 0)
    assert jobs.claim_job(job.pk) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_at_once_one_gets_the_job(survey: Survey) -> None:
    job = survey.jobs.first()
    claims: list[jobs.Claim | None] = []

    def claim() -> None:
        try:
            claims.append(jobs.claim_job(job.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claims) == 8
    assert sum(claim is not None for claim in claims) == 1


def test_a_lost_job_goes_to_another_and_the_first_holder_changes_nothing(survey: Survey) -> None:
    job = survey.jobs.first()
    first = jobs.claim_job(job.pk)
    lose_worker(job)
    second = jobs.claim_job(job.pk)
    assert first is not None
    assert second is not None
    assert not jobs.renew_job(job.pk, first.token, rows_done=1)
    assert not jobs.finish_job(job.pk, first.token)
    assert not jobs.fail_job(job.pk, first.token, error="late")
    assert jobs.renew_job(job.pk, second.token, rows_done=2)
    assert jobs.finish_job(job.pk, second.token)
    assert not jobs.finish_job(job.pk, second.token)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.rows_done) == ("done", 2, 2)


def test_a_job_whose_message_is_lost_is_sent_again_and_one_that_waits_is_not(survey: Survey, data: Path) -> None:
    for job in survey.jobs.all():
        lose_worker(job)
    jobs.advance_surveys()
    assert len(messages(data)) == 3, "all messages are still in the broker"
    for path in (data / "broker" / "queue").iterdir():
        path.unlink()
    jobs.advance_surveys()
    assert len(messages(data)) == 3
    jobs.advance_surveys()
    assert len(messages(data)) == 3


def test_a_living_worker_is_left_alone_by_the_sweeper(survey: Survey, data: Path) -> None:
    claim = jobs.claim_job(survey.jobs.first().pk)
    for path in (data / "broker" / "queue").iterdir():
        path.unlink()
    Job.objects.update(dispatched_at=timezone.now() - timedelta(seconds=60))
    assert jobs.dispatch_waiting() == 2
    assert claim is not None
    assert jobs.renew_job(survey.jobs.first().pk, claim.token, rows_done=1)


def test_a_job_that_loses_its_worker_again_and_again_is_given_up_with_a_sentence(survey: Survey) -> None:
    job = survey.jobs.first()
    for _ in range(jobs.MAX_ATTEMPTS):
        assert jobs.claim_job(job.pk) is not None
        lose_worker(job)
    jobs.dispatch_waiting()
    job.refresh_from_db()
    assert (job.state, job.error) == (
        "failed",
        "The measuring worker was lost 5 times while doing this; its log says why.",
    )
    assert jobs.claim_job(job.pk) is None


def test_the_merge_is_queued_when_every_shard_is_done_and_ends_the_survey(
    survey: Survey, data: Path, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    for job in survey.jobs.all():
        assert not survey.jobs.filter(kind="survey-merge").exists()
        claim = jobs.claim_job(job.pk)
        assert claim is not None
        with django_capture_on_commit_callbacks(execute=True):
            assert jobs.finish_job(job.pk, claim.token)
    merge = survey.jobs.get(kind="survey-merge")
    assert messages(data)[-1].endswith(".survey-merge.msg")
    claim = jobs.claim_job(merge.pk)
    assert claim is not None
    survey.refresh_from_db()
    assert survey.finished_at is None
    jobs.finish_job(merge.pk, claim.token)
    survey.refresh_from_db()
    assert survey.finished_at is not None


def test_failed_jobs_are_queued_again_when_the_survey_is_asked_for_again(
    survey: Survey, model: LanguageModel, small_spec: SurveySpec
) -> None:
    job = survey.jobs.first()
    claim = jobs.claim_job(job.pk)
    assert claim is not None
    jobs.fail_job(job.pk, claim.token, error="The disk is full.")
    jobs.ask_for_survey(model, small_spec, pin=True)
    job.refresh_from_db()
    assert (job.state, job.error, job.attempts) == ("queued", "", 0)


def test_a_broker_that_cannot_be_reached_loses_nothing(
    model: LanguageModel,
    small_spec: SurveySpec,
    data: Path,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    embedded = settings.BROKER_URL
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    with django_capture_on_commit_callbacks(execute=True):
        survey = jobs.ask_for_survey(model, small_spec, pin=True)
    assert "They stay queued and are sent again" in caplog.text
    assert survey.jobs.filter(dispatched_at=None).count() == 3
    settings.BROKER_URL = embedded
    assert jobs.dispatch_waiting() == 3


def test_progress_is_said_in_numbers_and_words(survey: Survey, model: LanguageModel) -> None:
    def sentence() -> str:
        return progress_of(survey).sentence

    assert sentence() == "repeated-random: waiting for its turn."
    first, second, third = survey.jobs.all()
    claim = jobs.claim_job(first.pk)
    assert claim is not None
    jobs.renew_job(first.pk, claim.token, rows_done=1)
    assert sentence() == "repeated-random: 1 of 6 rows measured."
    jobs.finish_job(first.pk, claim.token)
    assert sentence() == "repeated-random: 2 of 6 rows measured."
    Job.objects.filter(pk__in=[second.pk, third.pk]).update(state=Job.State.DONE)
    assert sentence() == "repeated-random: all 6 rows read, adding up."
    Job.objects.filter(pk=third.pk).update(state=Job.State.FAILED, error="The disk is full.")
    assert sentence() == "repeated-random: stopped after 4 of 6 rows. The disk is full."
    Survey.objects.update(finished_at=timezone.now())
    (progress,) = progress_of_model(model)
    assert (progress.sentence, progress.finished, progress.rows_done) == (
        "repeated-random: all 6 rows measured.",
        True,
        6,
    )


def test_rows_that_a_lost_worker_read_do_not_count(survey: Survey) -> None:
    job = survey.jobs.first()
    claim = jobs.claim_job(job.pk)
    assert claim is not None
    jobs.renew_job(job.pk, claim.token, rows_done=1)
    assert progress_of(survey).rows_done == 1
    lose_worker(job)
    assert progress_of(survey).rows_done == 0


def test_nobody_is_called_silent_just_after_asking_again(
    survey: Survey, model: LanguageModel, small_spec: SurveySpec
) -> None:
    past = timezone.now() - timedelta(hours=1)
    Survey.objects.update(asked_at=past)
    Job.objects.update(renewed_at=past, dispatched_at=past)
    survey.refresh_from_db()
    assert "no measuring worker" in progress_of(survey).sentence
    assert "no measuring worker" not in progress_of(jobs.ask_for_survey(model, small_spec, pin=True)).sentence


def test_a_worker_that_is_gone_is_said(survey: Survey) -> None:
    claim = jobs.claim_job(survey.jobs.first().pk)
    assert claim is not None
    Survey.objects.update(asked_at=timezone.now() - timedelta(hours=1))
    survey.refresh_from_db()
    assert "no measuring worker" not in progress_of(survey).sentence
    Job.objects.update(renewed_at=timezone.now() - timedelta(minutes=1))
    assert progress_of(survey).sentence == (
        "repeated-random: 0 of 6 rows measured; no measuring worker has answered for more than 2 seconds. "
        "The work is kept and goes on when one starts."
    )


def test_a_part_that_failed_does_not_stop_the_others(survey: Survey) -> None:
    first = survey.jobs.first()
    claim = jobs.claim_job(first.pk)
    assert claim is not None
    jobs.fail_job(first.pk, claim.token, error="The disk is full.")
    progress = progress_of(survey)
    assert not progress.failed
    assert progress.sentence == "repeated-random: 0 of 6 rows measured; a part of it failed. The disk is full."


def test_a_finished_survey_whose_artifact_is_lost_starts_over_when_asked_for_again(
    survey: Survey, model: LanguageModel, small_spec: SurveySpec
) -> None:
    survey.jobs.update(state=Job.State.DONE)
    Survey.objects.update(finished_at=timezone.now())
    again = jobs.ask_for_survey(model, small_spec, pin=True)
    assert again.finished_at is None
    assert [job.state for job in again.jobs.all()] == ["queued"] * 3


def test_a_survey_that_could_not_be_merged_starts_over_when_asked_for_again(
    survey: Survey, model: LanguageModel, small_spec: SurveySpec
) -> None:
    survey.jobs.update(state=Job.State.DONE)
    Job.objects.create(survey=survey, kind="survey-merge", shard=0, state=Job.State.FAILED, error="Damaged.")
    assert progress_of(survey).failed
    jobs.ask_for_survey(model, small_spec, pin=True)
    assert [(job.kind, job.state) for job in survey.jobs.all()] == [("survey-shard", "queued")] * 3
