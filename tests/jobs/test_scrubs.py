"""Experiments and their runs: who asks first, what a worker makes of it, what stops it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.run import scrub_path
from analysis.store import scrub_path as site_path
from tests.pages.building import build_model
from tests.pages.building_scrubs import build_experiment, finish_run, question_about
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments import jobs, scrubs
from wiki.experiments.consequences import finish_and_follow
from wiki.experiments.models import Experiment, Job, NamedPart, Run
from wiki.experiments.results import open_scrub

pytestmark = pytest.mark.both_databases


@pytest.fixture
def alice(data: Path, db: None) -> User:
    return User.objects.create_user("alice", role=Role.RESEARCHER)


@pytest.fixture
def bob(data: Path, db: None) -> User:
    return User.objects.create_user("bob", role=Role.RESEARCHER)


@pytest.fixture
def small(data: Path, db: None) -> LanguageModel:
    return build_model()


def test_asking_makes_one_experiment_with_one_run_and_job_whoever_asks_again(
    small: LanguageModel, alice: User, bob: User, data: Path, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        experiment = build_experiment(small, alice, title="Mine")
    again = build_experiment(small, bob, title="Another title is the same question")
    assert again == experiment
    assert (experiment.asked_by, experiment.title, experiment.criterion) == (alice, "Mine", 0.8)
    run = experiment.runs.get()
    assert (run.asked_by, run.origin, run.seed, run.artifact) == (alice, "server", 0, experiment.hash)
    assert (run.job.kind, run.job.state) == ("scrub", "queued")
    assert [path.name.rpartition("-")[0] != "" for path in (data / "broker" / "queue").glob("*.scrub.msg")] == [True]


def test_a_question_whose_runs_all_failed_is_run_once_more(small: LanguageModel, alice: User, bob: User) -> None:
    experiment = build_experiment(small, alice)
    scrubs.stop(experiment.runs.get(), user=alice)
    build_experiment(small, bob)
    assert [run.asked_by for run in experiment.runs.all()] == [alice, bob]


def test_running_again_takes_draws_of_its_own_and_an_artifact_of_its_own(small: LanguageModel, alice: User) -> None:
    experiment = build_experiment(small, alice)
    run = scrubs.run_again(experiment, user=alice)
    assert run.seed != 0
    assert run.artifact == Question.from_json({**experiment.spec, "seed": run.seed}).hash != experiment.hash
    assert jobs.claim_job(run.job.pk).spec == {**experiment.spec, "seed": run.seed}  # type: ignore[union-attr]


def test_both_halves_look_for_a_scrub_in_one_place(tmp_path: Path) -> None:
    assert scrub_path(tmp_path, "abc") == site_path(tmp_path, "abc")


def test_the_components_that_a_question_names_are_kept_with_their_roles(small: LanguageModel, alice: User) -> None:
    nodes = [
        {"name": "out", "parts": ["out"]},
        {"name": "all", "parent": "out", "parts": ["L2.attn", "L0N3+5"], "sampler": "exact", "via": ["L1.mlp"]},
    ]
    rewrites = [{"kind": "ungroup", "head": "L1H1"}]
    build_experiment(small, alice, nodes=nodes, rewrites=rewrites, end_point={"inputs scrubbed": ["L1KV0"]})
    found = list(NamedPart.objects.values_list("component", "role", "node"))
    assert found == [
        *((f"L2H{head}", "mapped", "all") for head in range(4)),
        ("L0N3", "mapped", "all"),
        ("L0N5", "mapped", "all"),
        ("L1", "way", "all"),
        ("L1KV0", "end point", ""),
        ("L1H1", "rewritten", ""),
    ]


def test_a_name_of_thousands_of_neurons_names_their_layer(small: LanguageModel, alice: User) -> None:
    small.d_mlp = 3000
    small.save()
    nodes = [
        {"name": "out", "parts": ["out"]},
        {"name": "n", "parent": "out", "parts": ["L0N0-2999"], "sampler": "exact"},
    ]
    build_experiment(small, alice, nodes=nodes)
    assert list(NamedPart.objects.filter(role="mapped").values_list("component", flat=True)) == ["L0"]


def test_somebody_with_many_runs_under_way_is_asked_to_wait(small: LanguageModel, alice: User, bob: User) -> None:
    experiment = build_experiment(small, alice)
    for _ in range(scrubs.MOST_WAITING - 1):
        scrubs.run_again(experiment, user=alice)
    with pytest.raises(scrubs.ExperimentError, match="expected at most 10 of yours that wait or run"):
        scrubs.run_again(experiment, user=alice)
    with pytest.raises(scrubs.ExperimentError):
        build_experiment(small, alice, n=41)
    assert Experiment.objects.count() == 1
    assert scrubs.run_again(experiment, user=bob).asked_by == bob


def test_what_costs_the_server_too_much_is_refused_with_a_sentence(small: LanguageModel) -> None:
    question = question_about(small)
    asked = dataclasses.replace(question, rows=200_001, hypothesis=dataclasses.replace(question.hypothesis, n=20_001))
    assert [problem.sentence for problem in scrubs.problems_of(asked, small)] == [
        "Reading an experiment, n: expected at most 20,000 on this server, got 20,001.",
        "Reading an experiment, rows: expected at most 200,000 on this server, got 200,001.",
    ]


def test_a_run_that_is_stopped_is_lost_to_its_worker_and_says_by_whom(small: LanguageModel, alice: User) -> None:
    run = build_experiment(small, alice).runs.get()
    claim = jobs.claim_job(run.job.pk)
    assert claim is not None
    assert jobs.renew_job(run.job.pk, claim.token, rows_done=30)
    assert scrubs.progress_of_run(run, Job.objects.get()).sentence == "A measuring worker scrubs it: 30 % done."
    assert scrubs.stop(run, user=alice)
    assert not jobs.renew_job(run.job.pk, claim.token, rows_done=40)
    assert not finish_and_follow(run.job.pk, claim.token, result={"recovered": {}})
    progress = scrubs.progress_of_run(run, Job.objects.get())
    assert (progress.state, progress.sentence) == ("failed", "Stopped by alice.")
    assert not scrubs.stop(run, user=alice)


def test_a_run_that_ended_keeps_its_figures_for_ever(small: LanguageModel, alice: User) -> None:
    run = finish_run(build_experiment(small, alice).runs.get())
    assert run.recovered is not None
    assert 0.5 < run.recovered < 0.7
    assert (run.device, run.is_met) == ("cpu", False)
    before = Run.objects.values().get()
    scrubs.note_figures(
        run,
        {"recovered": dict.fromkeys(("value", "error", "low", "high"), 9.0)}
        | dict.fromkeys(("device", "code", "dataset_hash"), "x"),
    )
    assert Run.objects.values().get() == before
    result = open_scrub(run)
    assert result.figures["recovered"]["value"] == run.recovered
    assert result.samples() is not None
    assert [worst["text"] for worst in result.worst] == ["The cat sat", "on the mat"]
