"""A text of one's own on its whole way: asked for, claimed, measured by a real worker, and what follows."""

from __future__ import annotations

import dataclasses
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from pytest_django.live_server_helper import LiveServer

from analysis.prompt import measure_prompt
from analysis.schema import Component, JobKind, PromotedSpec, PromptSpec, SurveySpec
from analysis.store import open_artifact, prompt_path, survey_path
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.consequences import finish_and_follow
from wiki.experiments.models import Job, Measurement
from wiki.experiments.results import open_prompt
from wiki.experiments.texts import (
    ask_for_prompt,
    find_prompt,
    forget_old_texts,
    is_at_hand,
    progress_of_promoted,
    progress_of_prompt,
    promoted_of,
)

from .test_worker import (
    finish_with_the_sweeper,
    require_equal_to_one_measured_alone,
    stop_in_the_middle_of_a_shard,
    wait_until,
    worker,
)

pytestmark = pytest.mark.both_databases

TEXT = "The cat sat on the mat. The cat"


def job_of(measurement: Measurement) -> Job:
    return Job.objects.get(measurement=measurement)


@pytest.fixture
def prompt(model: LanguageModel, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Measurement:
    with django_capture_on_commit_callbacks(execute=True):
        return ask_for_prompt(model, TEXT)


def finish(prompt: Measurement) -> None:
    claim = jobs.claim_job(job_of(prompt).pk)
    assert claim
    assert finish_and_follow(job_of(prompt).pk, claim.token, result={})
    prompt.refresh_from_db()


def test_a_claim_carries_the_text_and_only_its_holder_ends_it(prompt: Measurement) -> None:
    job = job_of(prompt)
    claim = jobs.claim_job(job.pk)
    assert claim
    assert (claim.kind, claim.spec["text"], claim.shard) == (JobKind.PROMPT, TEXT, 0)
    assert jobs.claim_job(job.pk) is None
    assert progress_of_prompt(prompt).sentence == "Being measured."
    assert not finish_and_follow(job.pk, "somebody else's", result={})
    past = timezone.now() - timedelta(seconds=60)
    Job.objects.filter(pk=job.pk).update(lease_until=past)
    again = jobs.claim_job(job.pk)
    assert again
    assert not finish_and_follow(job.pk, claim.token, result={}), "the first holder lost it"
    assert finish_and_follow(job.pk, again.token, result={})
    prompt.refresh_from_db()
    assert prompt.finished_at


def test_what_heads_promote_is_asked_for_once_the_text_is_measured(prompt: Measurement) -> None:
    assert promoted_of(prompt) is None
    finish(prompt)
    follower = promoted_of(prompt)
    assert follower
    assert (follower.kind, job_of(follower).state) == ("promoted", "queued")
    assert PromotedSpec.from_json(follower.spec).prompt.hash == prompt.hash


def test_asking_again_while_it_waits_adds_nothing(prompt: Measurement, model: LanguageModel) -> None:
    job = job_of(prompt)
    assert is_at_hand(model, TEXT)
    assert not is_at_hand(model, TEXT + " ")
    assert ask_for_prompt(model, TEXT) == prompt
    assert job_of(prompt) == job


def test_a_measured_text_that_is_asked_for_again_is_kept_for_so_long_again(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "measurement_is_readable", lambda measurement: True)
    long_ago = timezone.now() - timedelta(days=29)
    again, not_again = (ask_for_prompt(model, text) for text in (TEXT, "Another"))
    Measurement.objects.update(asked_at=long_ago, finished_at=long_ago)
    ask_for_prompt(model, TEXT)
    Measurement.objects.filter(asked_at=long_ago).update(asked_at=long_ago - timedelta(days=2))
    assert forget_old_texts() == 1
    assert list(Measurement.objects.all()) == [again] != [not_again]
    again.refresh_from_db()
    assert again.finished_at == long_ago, "it is not measured again"


def test_a_failed_text_is_tried_again_when_asked_for_again(prompt: Measurement, model: LanguageModel) -> None:
    claim = jobs.claim_job(job_of(prompt).pk)
    assert claim
    jobs.fail_job(job_of(prompt).pk, claim.token, error="It was too long.")
    assert progress_of_prompt(prompt).failed
    assert progress_of_prompt(prompt).sentence == "It was too long."
    assert not is_at_hand(model, TEXT)
    ask_for_prompt(model, TEXT)
    assert job_of(prompt).state == "queued"
    assert progress_of_prompt(prompt).sentence == "Waiting for its turn."


def test_a_lost_artifact_is_measured_anew_when_asked_for_again(
    prompt: Measurement, model: LanguageModel, data: Path
) -> None:
    finish(prompt)
    assert not is_at_hand(model, TEXT), "nothing was published"
    ask_for_prompt(model, TEXT)
    prompt.refresh_from_db()
    assert (prompt.finished_at, job_of(prompt).state) == (None, "queued")


def test_a_name_is_8_or_more_digits_of_the_hash_of_one_text_of_the_model(
    prompt: Measurement, model: LanguageModel
) -> None:
    assert find_prompt(model, prompt.hash[:8]) == find_prompt(model, prompt.hash) == prompt
    for name in ("", prompt.hash[:7], prompt.hash.upper(), prompt.hash + "0", "%", "\0" * 8):
        assert find_prompt(model, name) is None
    twin = prompt.hash[:8] + "0" * 56
    Measurement.objects.create(hash=twin, kind="prompt", model=model, spec=prompt.spec)
    assert find_prompt(model, prompt.hash[:8]) is None


def test_a_waiting_text_says_what_is_measured_first_and_how_many_texts_are_before_it(
    prompt: Measurement, model: LanguageModel, small_spec: SurveySpec
) -> None:
    second, third = ask_for_prompt(model, "Second"), ask_for_prompt(model, "Third")
    assert progress_of_prompt(prompt).sentence == "Waiting for its turn."
    assert progress_of_prompt(second).sentence == "Waiting: 1 other text is before this one."
    survey = jobs.ask_for_survey(model, small_spec, pin=True)
    shard = survey.jobs.get(shard=0)
    claim = jobs.claim_job(shard.pk)
    assert claim
    jobs.renew_job(shard.pk, claim.token, rows_done=1)
    doing = "Waiting: the survey of repeated-random on tiny-llama is being measured first, 1 of 6 rows"
    assert progress_of_prompt(prompt).sentence == f"{doing}; it pauses for texts, and this text is next."
    said = progress_of_prompt(third).sentence
    assert said == f"{doing}; it pauses for texts, and 2 other texts are before this one."
    assert jobs.claim_job(survey.jobs.get(shard=1).pk)
    said = progress_of_prompt(prompt).sentence
    assert said == f"{doing}, and 1 more job at the same time; it pauses for texts, and this text is next."
    Job.objects.filter(survey=survey).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert progress_of_prompt(prompt).sentence == "Waiting for its turn.", "whoever measured it is gone"


def test_what_heads_promote_says_what_is_measured_first(prompt: Measurement, model: LanguageModel) -> None:
    adding = Measurement.objects.create(hash="a" * 64, kind=JobKind.ADD_MODEL.value, spec={"source": "folder"})
    job = Job.objects.create(measurement=adding, kind=adding.kind)
    assert jobs.claim_job(job.pk)
    assert progress_of_prompt(prompt).sentence == "Waiting: a model is being added first; this text is next."
    finish(prompt)
    said = progress_of_promoted(prompt).sentence
    assert said == "Waiting to be computed: a model is being added first; this text is next."


@pytest.mark.django_db(transaction=True)
def test_a_text_is_measured_in_the_middle_of_a_shard_and_changes_none_of_its_numbers(
    data: Path, model: LanguageModel, spec: SurveySpec, live_server: LiveServer, broker_url: str, tmp_path: Path
) -> None:
    one_shard = dataclasses.replace(spec, shard_rows=spec.rows)
    survey = jobs.ask_for_survey(model, one_shard, pin=True)
    shard = survey.jobs.get()
    with worker(data, live_server, broker_url) as process:
        stop_in_the_middle_of_a_shard(process, survey)
        prompt = ask_for_prompt(model, TEXT)
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: job_of(prompt).state == Job.State.DONE, what="the text", every=0.01)
        finish_with_the_sweeper(survey)
    shard.refresh_from_db()
    assert (shard.attempts, shard.state) == (1, Job.State.DONE)
    assert job_of(prompt).renewed_at < shard.renewed_at, "the text was over first"
    found = open_artifact(survey_path(data / "store", one_shard.hash))
    require_equal_to_one_measured_alone(found, one_shard, tmp_path / "alone", prepared=data / "store")


@pytest.mark.django_db(transaction=True)
def test_a_worker_measures_a_text_and_what_follows_and_says_why_it_cannot(
    data: Path, model: LanguageModel, live_server: LiveServer, settings: Settings, tmp_path: Path
) -> None:
    good, bad = ask_for_prompt(model, TEXT), ask_for_prompt(model, "\t" * 300)
    with worker(data, live_server, settings.BROKER_URL):
        wait_until(lambda: Job.objects.exclude(state__in=("done", "failed")).count() == 0, what="the texts")
    good.refresh_from_db()
    follower = promoted_of(good)
    assert follower
    assert follower.finished_at
    assert job_of(follower).rows_done == 3, "layers of the model"
    assert job_of(bad).state == "failed"
    assert job_of(bad).error == "Reading a text: expected 1 to 255 tokens, got 300; shorten it."
    found = open_prompt(good)
    n = len(found.pattern_rows[0].tokens)
    assert found.pattern(0, Component(2, head=5)).shape == (n, n)
    together = found.attention_from(0, n - 1)
    assert together.shape == (3, 6, n)
    for layer in range(3):
        for head in range(6):
            assert np.array_equal(together[layer, head], found.pattern(0, Component(layer, head=head))[n - 1])
    activations = found.activations(0, Component(1, neuron=7))
    assert activations is not None
    assert np.isnan(activations[0])
    assert np.isfinite(activations[1:]).all()
    tokens, logits = found.promoted(0, Component(2, head=5), n - 1) or (None, None)
    assert tokens is not None
    assert tokens.shape == logits.shape == (8,)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "models").symlink_to(data / "store" / "models")
    measure_prompt(alone, PromptSpec.from_json(good.spec))
    for path in prompt_path(alone, good.hash).glob("*.safetensors"):
        assert path.read_bytes() == (prompt_path(data / "store", good.hash) / path.name).read_bytes()
