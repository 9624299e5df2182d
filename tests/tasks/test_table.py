"""All tasks: their splits share nothing, the same bytes come each time, and what cannot be given is said."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer

from analysis.datasets import corpus
from analysis.datasets.features import evaluate, is_by_position, validate
from analysis.datasets.task import Split, TaskError, TaskMetric, TaskRows
from analysis.datasets.tasks.drawing import draw, split_of
from analysis.datasets.tasks.table import TASKS, Task, find_task
from tests.tasks.conftest import BOS

EVERY = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
pytestmark = pytest.mark.usefixtures("few_addresses")


def make(task: Task, tokenizer: Tokenizer, split: str = "search", *, n: int = 100, seed: int = 0) -> TaskRows:
    return task.rows(split, n=n, seed=seed, tokenizer=tokenizer, bos=BOS)


def contents(rows: TaskRows) -> set[tuple[int, ...]]:
    return {tuple(line[mask].tolist()) for line, mask in zip(rows.tokens, rows.mask, strict=True)}


@EVERY
def test_no_sequence_of_one_split_is_ever_in_the_other(task: Task, tokenizer: Tokenizer) -> None:
    searched = set().union(*(contents(make(task, tokenizer, "search", seed=seed)) for seed in range(5)))
    confirmed = set().union(*(contents(make(task, tokenizer, "confirm", seed=seed)) for seed in range(5)))
    assert len(searched) > 100
    assert len(confirmed) > 100
    assert not searched & confirmed


@EVERY
@pytest.mark.parametrize("split", list(Split))
def test_the_same_rows_come_each_time_and_others_for_another_seed_or_split(
    task: Task, split: Split, tokenizer: Tokenizer
) -> None:
    rows = make(task, tokenizer, split.value)
    assert rows.hash == make(task, tokenizer, split.value).hash
    assert rows.hash != make(task, tokenizer, split.value, seed=1).hash
    (other,) = set(Split) - {split}
    assert rows.hash != make(task, tokenizer, other.value).hash


@EVERY
def test_fewer_rows_are_the_first_of_more(task: Task, tokenizer: Tokenizer) -> None:
    few, many = make(task, tokenizer, n=7), make(task, tokenizer, n=90)
    width = few.tokens.shape[1]
    for name in ("tokens", "mask", "counted", "labels"):
        assert (getattr(few, name) == getattr(many, name)[:7, :width]).all(), name
    assert (few.documents == many.documents[:7]).all()
    for role in few.roles:
        assert (few.roles[role] == many.roles[role][:7]).all()
    for kind in few.classes:
        assert (few.classes[kind] == many.classes[kind][:7]).all()


def test_rows_are_the_bytes_that_they_were() -> None:
    # another hash is another dataset: raise the task's version
    assert (
        find_task("brackets").rows("search", n=1000, seed=0).hash
        == "4efbbcc646084ca9a9f88e3eebcf67a04148356596f1066d87a92b34286754cb"
    )


@EVERY
def test_rows_have_one_shape_and_each_counted_position_a_label(task: Task, tokenizer: Tokenizer) -> None:
    rows = make(task, tokenizer)
    assert len(rows) == 100
    shape = rows.tokens.shape
    assert rows.mask.shape == rows.counted.shape == rows.labels.shape == shape
    assert rows.documents.shape == (100,)
    assert rows.counted.any(axis=1).all()
    assert not (rows.counted & ~rows.mask).any()
    assert set(rows.roles) == set(task.roles)
    for positions in rows.roles.values():
        assert rows.mask[np.arange(100), positions].all()
    assert (rows.wrong_labels is not None) is (task.metric is TaskMetric.LOGIT_DIFFERENCE)
    if task.metric is TaskMetric.NEXT_TOKEN_LOSS:
        r, p = np.nonzero(rows.counted)
        assert (rows.labels[r, p] == rows.tokens[r, p + 1]).all()
    elif task.metric is TaskMetric.LOGIT_DIFFERENCE:
        assert rows.wrong_labels is not None
        assert (rows.labels[rows.counted] != rows.wrong_labels[rows.counted]).all()


@EVERY
def test_every_feature_of_a_task_has_values_of_its_kind(task: Task, tokenizer: Tokenizer) -> None:
    rows = make(task, tokenizer)
    for key, feature in task.features.items():
        assert feature.key == key
        values = evaluate(key, rows, task.features)
        assert values.dtype == np.int64
        assert values.shape == (rows.tokens.shape if feature.by_position else (100,))
    together = {"all": list(task.features)}
    validate(together, task.features)
    assert evaluate(together, rows, task.features).shape == rows.tokens.shape
    assert is_by_position(together, task.features)


def test_only_logit_differences_are_better_the_higher() -> None:
    assert [metric for metric in TaskMetric if metric.higher_is_better] == [TaskMetric.LOGIT_DIFFERENCE]


CHANGES: dict[str, Callable[[TaskRows], TaskRows]] = {
    **{
        name: lambda rows, name=name: dataclasses.replace(rows, **{name: getattr(rows, name) ^ True})
        for name in ("tokens", "mask", "counted", "labels", "documents", "wrong_labels")
    },
    "a role": lambda rows: dataclasses.replace(rows, roles={**rows.roles, "END": rows.roles["END"] - 1}),
    "a role's name": lambda rows: dataclasses.replace(
        rows, roles={"LAST" if role == "END" else role: rows.roles[role] for role in rows.roles}
    ),
    "a class": lambda rows: dataclasses.replace(rows, classes={**rows.classes, "order": 1 - rows.classes["order"]}),
    "a class less": lambda rows: dataclasses.replace(rows, classes={"template": rows.classes["template"]}),
    "no wrong labels": lambda rows: dataclasses.replace(rows, wrong_labels=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_is_of_all_that_is_in_the_rows(change: str, tokenizer: Tokenizer) -> None:
    rows = make(TASKS["ioi"], tokenizer, n=5)
    assert CHANGES[change](rows).hash != rows.hash


def test_the_hash_does_not_depend_on_how_integers_are_stored(tokenizer: Tokenizer) -> None:
    rows = make(TASKS["ioi"], tokenizer, n=5)
    assert dataclasses.replace(rows, tokens=np.asfortranarray(rows.tokens.astype(np.int32))).hash == rows.hash


@EVERY
@pytest.mark.parametrize("split", ["train", "", "Search"])
def test_a_split_that_is_none_is_refused(task: Task, split: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(TaskError) as refused:
        make(task, tokenizer, split)
    assert str(refused.value) == (
        f"Making rows of {task.key}: expected one of the splits search and confirm, got “{split}”."
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": 0, "seed": 0}, "expected from 1 to 1000000 of them, got n = 0."),
        ({"n": 1_000_001, "seed": 0}, "expected from 1 to 1000000 of them, got n = 1000001."),
        ({"n": 1, "seed": -1}, "expected a seed ≥ 0, got -1."),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, sentence: str) -> None:
    with pytest.raises(TaskError) as refused:
        TASKS["brackets"].rows("search", **arguments)
    assert str(refused.value) == f"Making rows of brackets: {sentence}"


@pytest.mark.parametrize("key", [key for key, task in TASKS.items() if task.needs_tokenizer])
@pytest.mark.parametrize("given", ["tokenizer", "bos"])
def test_a_task_of_words_needs_a_tokenizer_and_its_bos(key: str, given: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(TaskError) as refused:
        TASKS[key].rows("search", n=1, seed=0, **({"tokenizer": tokenizer} if given == "tokenizer" else {"bos": 0}))
    assert str(refused.value) == f"Making rows of {key}: expected a model's tokenizer and its BOS, got none."


def test_a_task_that_is_not_there_is_refused() -> None:
    assert find_task("ioi") is TASKS["ioi"]
    with pytest.raises(TaskError) as refused:
        find_task("docstring")
    assert str(refused.value) == (
        "Finding a task: expected one of brackets, induction-random, induction-text, ioi, sotu, got “docstring”."
    )


@pytest.mark.parametrize("split", list(Split))
def test_a_generator_that_has_no_more_says_how_many_there_are(split: Split) -> None:
    letters = [letter for letter in "abcdefgh" if split_of(letter.encode()) is split]

    def drawn(n: int) -> list[str]:
        return draw(
            lambda generator: ["abcdefgh"[i] for i in generator.integers(8, size=4)],
            key=("letters", 0),
            split=split,
            content=str.encode,
            n=n,
            distinct=True,
        )

    assert sorted(drawn(len(letters))) == letters
    with pytest.raises(TaskError) as refused:
        drawn(len(letters) + 1)
    assert str(refused.value) == (
        f"Making rows of letters ({split.value}): expected at most {len(letters)} of them, as no more different ones "
        f"were found, got n = {len(letters) + 1}."
    )


def test_half_of_all_contents_are_for_confirming() -> None:
    confirmed = sum(split_of(str(number).encode()) is Split.CONFIRM for number in range(4000))
    assert abs(confirmed - 2000) < 130  # four standard deviations


def test_tasks_are_made_without_torch() -> None:
    code = (
        "import sys; from analysis.datasets.tasks.table import TASKS; "
        "TASKS['brackets'].rows('search', n=3, seed=0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_text_of_the_tests_is_a_small_one(few_addresses: list[corpus.Document]) -> None:
    assert len(few_addresses) == 39
