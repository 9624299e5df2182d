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
from django.test import Client
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from analysis.datasets.table import prepare_dataset
from analysis.metrics import HEAD_METRICS
from analysis.models import model_path
from analysis.schema import Component, SurveySpec
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.run import scrub
from analysis.store import Artifact, open_artifact, open_store, survey_path
from analysis.survey import measure_shard, merge_survey
from tests import tiny
from tests.object_store import ObjectStore
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.models import Job, Survey
from wiki.experiments.results import open_scrub, open_survey
from wiki.experiments.scrubs import ask_for_experiment, problems_of

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

PATIENCE = 300


def wait_until(condition: Callable[[], bool], *, what: str, every: float = 0.1) -> None:
    """Ask again until it is so; a test that waits too long fails with what it waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} seconds for {what}"
        time.sleep(every)


@contextlib.contextmanager
def worker(data: Path, site: LiveServer, broker_url: str, *, store_url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A measuring worker as `make run` starts it, with nothing of Django's in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
    environment |= {
        "LOUPE_BROKER_URL": broker_url,
        "LOUPE_SITE_URL": site.url,
        "LOUPE_WORKER_SECRET": django_settings.WORKER_SECRET,
        "LOUPE_DATA": str(data),
        "LOUPE_STORE": store_url,
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

    with worker(data, live_server, broker_url):
        finish_with_the_sweeper(survey)
    interrupted.refresh_from_db()
    assert (interrupted.state, interrupted.attempts) == (Job.State.DONE, 2)
    assert survey.jobs.filter(kind="survey-shard", state=Job.State.DONE).count() == spec.n_shards == 4
    assert sum(job.attempts for job in survey.jobs.all()) == spec.n_shards + 2  # a merge, and the killed one twice

    found = open_artifact(survey_path(data / "store", spec.hash))
    require_equal_to_one_measured_alone(found, spec, tmp_path / "alone", prepared=data / "store")


def require_equal_to_one_measured_alone(found: Artifact, spec: SurveySpec, alone: Path, *, prepared: Path) -> None:
    """Compare a survey's numbers with those of this process, which measures all of it in order in the store `alone`,
    with the model and dataset of the store `prepared`."""
    found.verify()
    # each row has 50 queries in its second half, and every row was counted once
    assert found.meta["provenance"]["queries"] == {"induction_repeated": 240 * 50}
    alone.mkdir()
    for folder in ("models", "datasets"):
        (alone / folder).symlink_to(prepared / folder)
    for shard in range(spec.n_shards):
        measure_shard(alone, spec, shard, on_batch=lambda rows_done: None)
    merge_survey(alone, spec, on_partial=lambda rows_done: None)
    expected = open_artifact(survey_path(alone, spec.hash)).read("head.induction_repeated", file="summary")
    np.testing.assert_allclose(found.read("head.induction_repeated", file="summary"), expected, rtol=0, atol=1e-6)


def kill_while_both_measure(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker in the middle of a shard, while another is in the middle of another."""

    def both_in_the_middle() -> bool:
        running = Job.objects.filter(state=Job.State.RUNNING, rows_done__range=(1, 50))
        if running.count() < 2:
            return False
        process.send_signal(signal.SIGSTOP)
        if running.count() == 2:
            return True
        process.send_signal(signal.SIGCONT)
        return False

    wait_until(both_in_the_middle, what="two workers in the middle of two shards", every=0.005)
    process.kill()
    process.wait()


def finish_with_the_sweeper(survey: Survey) -> None:
    def finished() -> bool:
        jobs.advance_surveys()  # what the sweeper does
        survey.refresh_from_db()
        return survey.finished_at is not None

    wait_until(finished, what="the survey to finish")


def require_every_shard_done_once_and_one_lost(survey: Survey) -> None:
    shards = survey.jobs.filter(kind="survey-shard")
    assert [(job.shard, job.state) for job in shards] == [
        (n, Job.State.DONE) for n in range(survey.parsed_spec.n_shards)
    ]
    assert sorted(job.attempts for job in survey.jobs.all()) == [1, 1, 1, 1, 2]  # the merge among them


def test_of_two_workers_at_once_one_is_killed_and_the_other_finishes_the_survey(
    data: Path, model: LanguageModel, spec: SurveySpec, live_server: LiveServer, broker_url: str, tmp_path: Path
) -> None:
    survey = jobs.ask_for_survey(model, spec, pin=True)
    with worker(data, live_server, broker_url) as first, worker(data, live_server, broker_url):
        kill_while_both_measure(first)
        finish_with_the_sweeper(survey)
    require_every_shard_done_once_and_one_lost(survey)
    found = open_artifact(survey_path(data / "store", spec.hash))
    require_equal_to_one_measured_alone(found, spec, tmp_path / "alone", prepared=data / "store")


def test_two_machines_that_share_only_redis_and_an_object_store_do_the_same(
    data: Path,
    model: LanguageModel,
    spec: SurveySpec,
    live_server: LiveServer,
    redis_url: str,
    bucket: ObjectStore,
    settings: Settings,
    tmp_path: Path,
) -> None:
    settings.BROKER_URL, settings.STORE_URL, settings.DATA_DIR = redis_url, bucket.url, tmp_path / "site"
    site = open_store(settings.DATA_DIR, bucket.url)
    tiny.put_into(site, model.slug)
    prepare_dataset(site, open_artifact(model_path(site, model.slug)), spec.dataset)
    survey = jobs.ask_for_survey(model, spec, pin=True)
    with (
        worker(tmp_path / "first", live_server, redis_url, store_url=bucket.url) as first,
        worker(tmp_path / "second", live_server, redis_url, store_url=bucket.url),
    ):
        kill_while_both_measure(first)
        finish_with_the_sweeper(survey)
        wait_until(lambda: not any("/partials/" in name for name in bucket.names()), what="the partials to go")
    require_every_shard_done_once_and_one_lost(survey)
    page = open_survey(survey)
    assert page.metric(HEAD_METRICS[0]).shape == (model.n_layers, model.n_heads)
    assert page.pattern(0, Component(1, head=2)).shape == (101, 101)
    assert not (site / "surveys").exists(), "the site reads by ranges"
    found = open_artifact(survey_path(site, spec.hash))
    require_equal_to_one_measured_alone(found, spec, tmp_path / "alone", prepared=data / "store")


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


def test_a_folder_that_an_operator_names_becomes_a_model_with_first_surveys(
    data: Path, live_server: LiveServer, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("operators") / "Tiny Llama"
    tiny.build("tiny-llama").save_pretrained(folder)
    tiny.tiny_tokenizer().save_pretrained(folder)
    operator = Client()
    operator.force_login(User.objects.create_user("alice", role=Role.ADMIN))
    typed = {"source": str(folder), "revision": "", "slug": ""}
    address = operator.post("/models/add/", typed).headers["Location"]
    with worker(data, live_server, settings.BROKER_URL):
        wait_until(
            lambda: operator.get(address.removesuffix("/") + ".json").json()["state"] in ("finished", "failed"),
            what="the model to be added",
        )
        assert "Go to tiny-llama" in operator.get(address).content.decode()
        home = operator.get("/index.json").json()["models"]
        assert [(model["slug"], model["n_all_heads"], model["surveys"]["pinned"]) for model in home] == [
            ("tiny-llama", 18, 3)
        ]
    first = Survey.objects.filter(model="tiny-llama")
    assert [survey.dataset for survey in first] == ["bundled-texts", "repeated-random", "sotu"]


def test_a_worker_scrubs_what_is_asked_and_the_site_reads_what_the_engine_says(
    data: Path, model: LanguageModel, live_server: LiveServer, broker_url: str
) -> None:
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    nodes = [
        {"name": "out", "parts": ["out"]},
        {"name": "a", "parent": "out", "parts": ["L1H0"], "sampler": {"agree": "end_token"}},
    ]
    asked = {"model": model.slug, "model_hash": model.hash, "task": "induction-random", "rows": 40, "n": 30}
    question = Question.from_json({**asked, "nodes": nodes})
    assert problems_of(question, model) == []
    right = ask_for_experiment(question, model, user=alice).runs.get()
    # what only the worker can know: how long the rows are
    far = Question.from_json({**asked, "nodes": [nodes[0], {**nodes[1], "positions": [5000]}]})
    wrong = ask_for_experiment(far, model, user=alice).runs.get()
    with worker(data, live_server, broker_url):
        over = (Job.State.DONE, Job.State.FAILED)
        wait_until(lambda: Job.objects.filter(state__in=over).count() == 2, what="two scrubs")
    right.refresh_from_db()
    alone = scrub(question, data / "store")
    assert right.recovered == pytest.approx(alone.result.recovered.value, abs=1e-4)
    assert open_scrub(right).figures["n"] == 30
    assert wrong.job.error == "Reading node out/a: expected positions below 101, got [5000]."


def test_a_worker_killed_in_the_middle_of_a_scrub_leaves_it_to_the_next(
    data: Path, model: LanguageModel, live_server: LiveServer, broker_url: str
) -> None:
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    nodes = [
        {"name": "out", "parts": ["out"]},
        {"name": "a", "parent": "out", "parts": ["L1H0"], "sampler": "unconditional"},
    ]
    asked = {"model": model.slug, "model_hash": model.hash, "task": "induction-random", "rows": 400, "n": 400}
    question = Question.from_json({**asked, "nodes": nodes})
    run = ask_for_experiment(question, model, user=alice).runs.get()
    with worker(data, live_server, broker_url) as first:

        def frozen_in_the_middle() -> bool:
            if not Job.objects.filter(state=Job.State.RUNNING, rows_done__gt=0).exists():
                return False
            first.send_signal(signal.SIGSTOP)
            return Job.objects.filter(state=Job.State.RUNNING).exists()

        wait_until(frozen_in_the_middle, what="a worker in the middle of a scrub", every=0.005)
        first.kill()
        first.wait()
    assert not run.finished_at
    with worker(data, live_server, broker_url):

        def finished() -> bool:
            jobs.dispatch_waiting()  # what the sweeper does
            run.refresh_from_db()
            return run.finished_at is not None

        wait_until(finished, what="the scrub to finish")
    run.job.refresh_from_db()
    assert (run.job.state, run.job.attempts) == (Job.State.DONE, 2)
    assert run.recovered == pytest.approx(scrub(question, data / "store").result.recovered.value, abs=1e-4)
