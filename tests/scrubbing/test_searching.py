"""A search in a task's generator: what it finds is true, of the right split, and worse than as many uniform draws."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from analysis.datasets.task import TaskError, TaskRows
from analysis.datasets.tasks.brackets import bracket_rows
from analysis.datasets.tasks.table import TASKS
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.printing import lines_of_search
from analysis.scrubbing.searched import Searched
from analysis.scrubbing.searching import Tried, n_searched, search, search_anew, try_uniformly
from analysis.scrubbing.subject import Subject
from tests.scrubbing.models import model_of
from tests.scrubbing.saying import node
from tests.scrubbing.subjects import a_subject, an_experiment, bracket_model, decode
from tests.tiny import tiny_tokenizer

COUNT = [node("out"), node("count", "out", "L2H0", "L2H1", sampler="count_test", via=["L2.mlp"])]
INDUCTION = [node("out"), node("induction", "out", "L1H*", "L2H*", sampler="after_token", via=["*"])]
SEEDS = range(6)


def make_words(split: str, *, n: int, seed: int) -> TaskRows:
    tokenizer = tiny_tokenizer().backend_tokenizer
    return TASKS["induction-random"].rows(split, n=n, seed=seed, tokenizer=tokenizer, bos=0)


def brackets_said() -> tuple[Subject, Hypothesis]:
    experiment = an_experiment(*COUNT)
    subject = a_subject().on(TASKS["brackets"].rows("search", n=1_000, seed=1), dataset="brackets/search")
    return subject, dataclasses.replace(experiment.hypothesis, dataset_hash=subject.dataset_hash)


def induction_said() -> tuple[Subject, Hypothesis]:
    task = TASKS["induction-random"]
    about = {"model": "attention-only", "model_hash": "a" * 64, "task": task.key, "rows": 500, "n": 60}
    subject = Subject(
        model_of("attention-only"),
        make_words("search", n=500, seed=1),
        metric=task.metric,
        features=task.features,
        slug="attention-only",
        model_hash="a" * 64,
        dataset=f"{task.key}/search",
    )
    said = Experiment.from_json({**about, "nodes": INDUCTION}).hypothesis
    return subject, dataclasses.replace(said, dataset_hash=subject.dataset_hash)


SAID = {"brackets": brackets_said, "induction": induction_said}


@pytest.fixture(scope="module", params=SAID)
def pairs(request: pytest.FixtureRequest) -> list[tuple[Tried, Tried]]:
    """A search and the uniform samples that it must beat, for each of some seeds."""
    subject, said = SAID[request.param]()
    found = []
    for seed in SEEDS:
        of_seed = dataclasses.replace(said, seed=seed)
        uniform = try_uniformly(subject, of_seed, samples=120)
        found.append((search(subject, of_seed, uniform=uniform, on_done=lambda done: None), uniform))
    return found


@functools.cache
def bracket_losses(strings: tuple[str, ...], labels: tuple[int, ...]) -> np.ndarray:
    """Of a bare model, its losses on strings against labels."""
    rows = bracket_rows(strings)
    with torch.no_grad():
        logits = bracket_model()(torch.from_numpy(rows.tokens), torch.from_numpy(rows.mask)).logits
    return -logits.log_softmax(-1).numpy()[np.arange(len(strings)), list(labels)]


def is_balanced(string: str) -> int:
    heights = np.cumsum([1 if bracket == "(" else -1 for bracket in string])
    return int(heights.min() >= 0 and heights[-1] == 0)


def bare(text: str) -> str:
    """A row's text without its start and end."""
    return text[1:-1]


def string_of(subject: Subject, row: int) -> str:
    return bare(decode([int(token) for token in subject.rows.tokens[row][subject.rows.mask[row]]]))


def beats(first: list[float], second: list[float]) -> None:
    apart = np.array(first) - np.array(second)
    assert apart.mean() > 2 * apart.std(ddof=1) / np.sqrt(len(apart)) > 0


def test_a_search_beats_as_many_uniform_draws(pairs) -> None:
    for found, by_chance in pairs:
        assert len(found) == len(by_chance) == 120
    beats([found.mean_of_worst() for found, _ in pairs], [by_chance.mean_of_worst() for _, by_chance in pairs])


def test_new_rows_that_are_chosen_fail_more_than_uniform_ones(pairs) -> None:
    """The first two fifths are those of the uniform samples; of what comes behind, each new row's first sample."""
    new = []
    for found, by_chance in pairs:
        np.testing.assert_array_equal(found.failures[:48], by_chance.failures[:48])
        begun, fresh = set(found.rows[:48].tolist()), dict[int, float]()
        for row, fails in zip(found.rows[48:].tolist(), found.failures[48:].tolist(), strict=True):
            if row not in begun:
                fresh.setdefault(row, fails)
        assert len(fresh) == 36
        new.append(float(np.mean(list(fresh.values()))))
    beats(new, [float(by_chance.failures.mean()) for _, by_chance in pairs])


def test_of_what_was_tried_the_worst_are_kept_each_sequence_once() -> None:
    subject, hypothesis = brackets_said()
    tried = try_uniformly(subject, hypothesis, samples=200)
    worst: dict[str, float] = {}
    for row, failure in zip(tried.rows, tried.failures, strict=True):
        string = string_of(subject, row)
        worst[string] = max(worst.get(string, -np.inf), failure)
    assert len(worst) < 200
    kept = tried.worst()
    assert kept.failures.tolist() == sorted(worst.values(), reverse=True)[:10]
    assert [worst[string_of(subject, row)] for row in kept.rows] == kept.failures.tolist()
    assert tried.mean_of_worst() == pytest.approx(np.mean(sorted(worst.values())[-10:]))


def test_a_failure_is_what_the_bare_model_says_of_other_data() -> None:
    """Nothing mapped: the model on another row, against the label of the reference."""
    subject, _ = brackets_said()
    nothing = dataclasses.replace(an_experiment(node("out")).hypothesis, dataset_hash=subject.dataset_hash, n=50)
    tried = try_uniformly(subject, nothing, samples=50)
    plan = subject.plan(nothing)
    (others,) = (rows for draw, rows in plan.rows.items() if draw.is_other)
    references = tuple(string_of(subject, row) for row in plan.reference)
    assert tuple(string_of(subject, row) for row in tried.rows) == references
    labels = tuple(is_balanced(string) for string in references)
    before = bracket_losses(references, labels)
    after = bracket_losses(tuple(string_of(subject, row) for row in others), labels)
    np.testing.assert_allclose(tried.model, before, atol=1e-9)
    np.testing.assert_allclose(tried.scrubbed, after, atol=1e-9)
    np.testing.assert_allclose(tried.failures, after - before, atol=1e-9)


def searched_for(experiment: Experiment, make_rows: Any = TASKS["brackets"].rows) -> Searched:
    return search_anew(a_subject(), experiment, make_rows=make_rows, decode=decode, on_done=lambda *_: None)


@pytest.mark.parametrize("split", ["search", "confirm"])
def test_rows_are_made_anew_and_never_of_the_split_that_confirms(split: str) -> None:
    asked: list[tuple[str, int, int]] = []

    def make(of: str, *, n: int, seed: int) -> TaskRows:
        asked.append((of, n, seed))
        return TASKS["brackets"].rows(of, n=n, seed=seed)

    experiment = an_experiment(*COUNT, split=split, n=200, rows_seed=7)
    searched = searched_for(experiment, make)
    assert asked == [("search", 400, 8)]
    assert (searched.split, searched.rows, searched.rows_seed, searched.samples) == ("search", 400, 8, 50)
    strings = [bare(of["text"]) for of in searched.worst]
    assert len(set(strings)) == len(strings) == 10
    for string, of in zip(strings, searched.worst, strict=True):
        assert hashlib.sha256(string.encode()).digest()[0] % 2 == 0
        (expected,) = bracket_losses((string,), (is_balanced(string),))
        assert of["losses"]["model"] == pytest.approx(expected)
    rises = [of["losses"]["scrubbed"] - of["losses"]["model"] for of in searched.worst]
    assert rises == sorted(rises, reverse=True)
    assert searched.mean_of_worst == pytest.approx(np.mean(rises))
    said = "\n".join(lines_of_search(searched, split=split))
    assert said.startswith("searching 400 new rows of the split search")
    assert ("(the experiment is on confirm)" in said) == (split == "confirm")
    assert f"fail by {np.mean(rises):.4g} in the mean" in said


def test_the_same_search_finds_the_same_and_survives_being_written() -> None:
    experiment = an_experiment(*COUNT)
    first, second = searched_for(experiment), searched_for(experiment)
    assert first == second
    assert Searched.from_json(first.to_json()) == first
    other = searched_for(an_experiment(*COUNT, seed=1))
    assert other.worst != first.worst


def test_what_cannot_be_searched_is_said() -> None:
    def make_none(split: str, *, n: int, seed: int) -> TaskRows:
        raise TaskError(f"Making rows: expected at most 7 of them, got n = {n}.")

    fixed = an_experiment(COUNT[0], {**COUNT[1], "sampler": {"fixed": 3}})
    for searched, sentence in (
        (searched_for(an_experiment(*COUNT), make_none), "Making rows: expected at most 7 of them, got n = 256."),
        (searched_for(an_experiment(*COUNT), None), "expected the generator of the experiment's task, got none."),
        (searched_for(fixed), "got out/count, which names one of the experiment's rows."),
    ):
        assert searched.absent.endswith(sentence)
        assert (searched.samples, searched.worst, searched.mean_of_worst) == (0, (), None)
        assert list(lines_of_search(searched, split="search")) == [
            f"no worse inputs were searched for: {searched.absent}"
        ]


@pytest.mark.parametrize(("n", "samples"), [(2, 2), (32, 32), (100, 32), (200, 50), (4_000, 512)])
def test_a_search_is_smaller_than_its_experiment(n: int, samples: int) -> None:
    assert n_searched(n) == samples


def test_of_a_logit_difference_what_falls_fails() -> None:
    """Of two classes: what the loss of the right one rises, the difference to the wrong one falls."""
    subject, hypothesis = brackets_said()
    fails = try_uniformly(subject, hypothesis, samples=20)
    wrong = np.where(subject.rows.counted, 1 - subject.rows.labels, 0)
    task = TASKS["ioi"]
    turned = Subject(
        bracket_model(),
        dataclasses.replace(subject.rows, wrong_labels=wrong),
        metric=task.metric,
        features=TASKS["brackets"].features,
        slug=subject.slug,
        model_hash=subject.model_hash,
        dataset=subject.dataset,
    )
    said = dataclasses.replace(hypothesis, dataset_hash=turned.dataset_hash)
    falls = try_uniformly(turned, said, samples=20)
    # the loss is log(1 + exp(−difference))
    np.testing.assert_array_equal(np.sign(falls.failures), np.sign(fails.failures))
    np.testing.assert_allclose(np.log1p(np.exp(-falls.scrubbed)), fails.scrubbed, atol=1e-9)
