"""The whole path with real processes: site, broker, worker; a worker killed in the middle costs nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from analysis.schema import SurveySpec
from analysis.store import open_artifact, survey_path
from analysis.survey import measure_shard, merge_survey
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.models import Job, Survey

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

PATIENCE = 90


def wait_until(condition: Callable[[], bool], *, what: str, every: float = 0.1) -> None:
    """Ask again until it is so; a test that waits too long fails with what it waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} seconds for {what}"
        time.sleep(every)


@pytest.fixture(params=["embedded", "redis"])
def broker_url(request: pytest.FixtureRequest, data: Path, settings: Settings) -> str:
    if request.param == "redis":
        settings.BROKER_URL = request.getfixturevalue("redis_url")
    return str(settings.BROKER_URL)


@contextlib.contextmanager
def worker(data: Path, site: LiveServer, broker_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A measuring worker as `make run` starts it, with nothing of Django's in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
    environment |= {
        "LOUPE_BROKER_URL": broker_url,
        "LOUPE_SITE_URL": site.url,
        "LOUPE_WORKER_SECRET": django_settings.WORKER_SECRET,
        "LOUPE_DATA": str(data),
    }
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "analysis.worker", "worker", "--pool", "solo"]
    process = subprocess.Popen(command, env=environment, cwd=django_settings.BASE_DIR)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stop_in_the_middle_of_a_shard(process: subprocess.Popen[bytes], survey: Survey) -> Job:
    """Freeze the worker after a renewal of a job that it has not finished, and return the job."""

    def frozen_in_the_middle() -> bool:
        if not Job.objects.filter(state=Job.State.RUNNING, rows_done__gt=0).exists():
            return False
        process.send_signal(signal.SIGSTOP)
        if Job.objects.filter(state=Job.State.RUNNING, rows_done__range=(1, 50)).exists():
            return True
        process.send_signal(signal.SIGCONT)
        return False

    wait_until(frozen_in_the_middle, what="a worker in the middle of a shard", every=0.005)
    return survey.jobs.get(state=Job.State.RUNNING)


def test_a_worker_killed_after_its_first_renewal_loses_no_shard_and_none_counts_twice(
    data: Path, model: LanguageModel, spec: SurveySpec, live_server: LiveServer, broker_url: str, tmp_path: Path
) -> None:
    survey = jobs.ask_for_survey(model, spec, pin=True)
    with worker(data, live_server, broker_url) as first:
        interrupted = stop_in_the_middle_of_a_shard(first, survey)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    interrupted.refresh_from_db()
    assert interrupted.state == Job.State.RUNNING
    assert not survey.jobs.filter(state=Job.State.FAILED).exists()

    def finished() -> bool:
        jobs.advance_surveys()  # what the sweeper does
        survey.refresh_from_db()
        return survey.finished_at is not None

    with worker(data, live_server, broker_url):
        wait_until(finished, what="the survey to finish")
    interrupted.refresh_from_db()
    assert (interrupted.state, interrupted.attempts) == (Job.State.DONE, 2)
    assert survey.jobs.filter(kind="survey-shard", state=Job.State.DONE).count() == spec.n_shards == 4
    assert sum(job.attempts for job in survey.jobs.all()) == spec.n_shards + 2  # a merge, and the killed one twice

    found = open_artifact(survey_path(data / "store", spec.hash))
    found.verify()
    # each row has 50 queries in its second half, and every row was counted once
    assert found.meta["provenance"]["queries"] == {"induction_repeated": 240 * 50}
    alone = tmp_path / "alone"
    alone.mkdir()
    for folder in ("models", "datasets"):
        (alone / folder).symlink_to(data / "store" / folder)
    for shard in range(spec.n_shards):
        measure_shard(alone, spec, shard, on_batch=lambda rows_done: None)
    merge_survey(alone, spec, on_partial=lambda rows_done: None)
    expected = open_artifact(survey_path(alone, spec.hash)).read("induction_repeated", file="summary")
    np.testing.assert_allclose(found.read("induction_repeated", file="summary"), expected, rtol=0, atol=1e-6)


def test_a_job_that_cannot_be_done_fails_with_the_workers_sentence(
    data: Path, model: LanguageModel, spec: SurveySpec, live_server: LiveServer, settings: Settings
) -> None:
    weights = data / "store" / "models" / model.slug / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    survey = jobs.ask_for_survey(model, spec, pin=True)
    with worker(data, live_server, settings.BROKER_URL):
        wait_until(lambda: survey.jobs.filter(state=Job.State.FAILED).count() == spec.n_shards, what="the jobs to fail")
    error = survey.jobs.first().error
    assert error.startswith(f"Opening {model.slug}: expected model.safetensors of ")
    assert error.endswith(f"delete {weights.parent} and start again.")
    assert not survey_path(data / "store", spec.hash).exists()


def test_the_worker_has_neither_django_nor_a_database(data: Path) -> None:
    code = (
        "import sys, analysis.worker;"
        "print([m for m in ('django.conf', 'django.db', 'wiki', 'sqlite3', 'psycopg') if m in sys.modules])"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "LOUPE_BROKER_URL": f"loupe-filesystem://{data}/broker",
        "LOUPE_SITE_URL": "http://127.0.0.1:9",
        "LOUPE_WORKER_SECRET": "s",
        "LOUPE_DATA": str(data),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=django_settings.BASE_DIR, capture_output=True, check=True
    )
    assert result.stdout.decode().strip() == "[]"
