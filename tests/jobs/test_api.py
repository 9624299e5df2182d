"""The calls of workers: signed, about one job, and refused otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from analysis.schema import SurveySpec
from analysis.signing import SigningError, sign, unsign
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.models import Job

pytestmark = pytest.mark.both_databases


@pytest.fixture
def job(model: LanguageModel, small_spec: SurveySpec) -> Job:
    return jobs.ask_for_survey(model, small_spec, pin=False).jobs.get(shard=0)


def detail(response: HttpResponse) -> str:
    return str(response.json()["detail"])


def post(client: Client, job: Job, action: str, *, signed_as: str | None = None, secret: str = "", **payload: object):
    body = sign({"job": job.pk, **payload}, secret=secret or settings.WORKER_SECRET, action=signed_as or action)
    return client.post(f"/api/jobs/{job.pk}/{action}/", body, content_type="text/plain")


def test_a_job_is_claimed_renewed_and_finished_by_signed_calls(
    client: Client, job: Job, small_spec: SurveySpec
) -> None:
    answer = post(client, job, "claim").json()
    assert SurveySpec.from_json(answer["spec"]) == small_spec
    assert (answer["kind"], answer["shard"]) == ("survey-shard", 0)
    assert post(client, job, "claim").status_code == 409
    assert post(client, job, "renew", token=answer["token"], rows_done=1).status_code == 200
    assert post(client, job, "renew", token="another", rows_done=1).status_code == 409
    assert post(client, job, "finish", token=answer["token"]).status_code == 200
    assert post(client, job, "finish", token=answer["token"]).status_code == 409
    job.refresh_from_db()
    assert job.state == Job.State.DONE


def test_a_failure_keeps_its_sentence(client: Client, job: Job) -> None:
    token = post(client, job, "claim").json()["token"]
    post(client, job, "fail", token=token, error="The disk is full.")
    job.refresh_from_db()
    assert (job.state, job.error) == (Job.State.FAILED, "The disk is full.")


@pytest.mark.parametrize("action", ["claim", "renew", "finish", "fail"])
def test_what_is_not_signed_with_the_secret_for_this_action_is_refused(client: Client, job: Job, action: str) -> None:
    other = "fail" if action == "claim" else "claim"
    answer = post(client, job, action, secret="another")
    assert answer.status_code == 403
    assert "expected one signed with this site's LOUPE_WORKER_SECRET" in detail(answer)
    assert post(client, job, action, signed_as=other).status_code == 403
    url = f"/api/jobs/{job.pk}/{action}/"
    assert client.post(url, b"\xff\xfe", content_type="text/plain").status_code == 403
    assert client.post(url, b"", content_type="text/plain").status_code == 403
    assert client.get(url).status_code == 405
    assert (
        client.post(
            f"/api/jobs/{job.pk + 1}/{action}/",
            sign({"job": job.pk}, secret=settings.WORKER_SECRET, action=action),
            content_type="text/plain",
        ).status_code
        == 403
    )
    job.refresh_from_db()
    assert (job.state, job.attempts) == (Job.State.QUEUED, 0)


def test_old_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = sign({"job": 1}, secret="s", action="claim")
    assert unsign(text, secret="s", action="claim") == {"job": 1}
    monkeypatch.setattr("analysis.signing.MAX_AGE", -1)
    with pytest.raises(SigningError, match="got an older one; do the clocks"):
        unsign(text, secret="s", action="claim")


def test_a_job_that_is_not_there_is_not_held(client: Client, job: Job, data: Path) -> None:
    pk = job.pk
    Job.objects.all().delete()
    job.pk = pk
    assert post(client, job, "claim").status_code == 409
