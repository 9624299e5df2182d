"""The one table of tasks: experiments, pages and documents read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from tokenizers import Tokenizer

from analysis.datasets.task import Feature, Split, TaskError, TaskMetric, TaskRows

from . import brackets, induction, ioi, texts

SPLITS = tuple(split.value for split in Split)
# Ten times the published task; what more would need is the memory of a worker.
MOST_ROWS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Task:
    """One task: how its rows are made and what is asked of them."""

    key: str
    label: str
    definition: str
    licence: str
    version: int  # of the generator: raised when it makes other rows from the same seed
    metric: TaskMetric
    features: Mapping[str, Feature]
    roles: Mapping[str, str]  # name to meaning
    make: Callable[..., TaskRows]
    needs_tokenizer: bool = True

    def rows(
        self, split: str, *, n: int, seed: int, tokenizer: Tokenizer | None = None, bos: int | None = None
    ) -> TaskRows:
        """`n` rows of the split `search` or `confirm`, which share no sequence: the same bytes each time, and those
        for a smaller n are the first of them, up to their padding.

        `tokenizer` and `bos`, the token that begins every row, are a language model's own; a task that has its own
        vocabulary leaves them out. Raises `TaskError` where there are no such rows.
        """
        doing = f"Making rows of {self.key}"
        if split not in SPLITS:
            raise TaskError(f"{doing}: expected one of the splits {' and '.join(SPLITS)}, got “{split[:60]}”.")
        if not 1 <= n <= MOST_ROWS:
            raise TaskError(f"{doing}: expected from 1 to {MOST_ROWS} of them, got n = {n}.")
        if seed < 0:
            raise TaskError(f"{doing}: expected a seed ≥ 0, got {seed}.")
        if not self.needs_tokenizer:
            return self.make(Split(split), n=n, seed=seed)
        if tokenizer is None or bos is None:
            raise TaskError(f"{doing}: expected a model's tokenizer and its BOS, got none.")
        return self.make(Split(split), n=n, seed=seed, tokenizer=tokenizer, bos=bos)


def find_task(key: str) -> Task:
    """The task of that name, or a `TaskError`."""
    if key not in TASKS:
        raise TaskError(f"Finding a task: expected one of {', '.join(TASKS)}, got “{key[:60]}”.")
    return TASKS[key]


def _by_key(*features: Feature) -> dict[str, Feature]:
    return {feature.key: feature for feature in features}


TASKS: Mapping[str, Task] = {
    task.key: task
    for task in (
        Task(
            brackets.KEY,
            "balanced brackets",
            "Is a string of 2 to 40 brackets balanced? Read at position 0 as one of two classes; about 26 in 100 are.",
            licence="no rights (random strings)",
            version=brackets.VERSION,
            metric=TaskMetric.CLASS_LOSS,
            features=_by_key(*brackets.FEATURES),
            roles=brackets.ROLES,
            make=brackets.make_rows,
            needs_tokenizer=False,
        ),
        Task(
            induction.RANDOM_KEY,
            "induction (random tokens)",
            "BOS, 50 distinct random ordinary tokens and the same again; the loss of the next token is counted within "
            "the second half.",
            licence="no rights (random tokens)",
            version=induction.RANDOM_VERSION,
            metric=TaskMetric.NEXT_TOKEN_LOSS,
            features=_by_key(*induction.FEATURES),
            roles=induction.ROLES,
            make=induction.make_random_rows,
        ),
        Task(
            induction.TEXT_KEY,
            "induction (text)",
            "Rows of the State of the Union addresses; the loss of the next token is counted where the input token is "
            "one whose followers come back in a row at least twice as often as by chance.",
            licence="public domain (works of the United States Government)",
            version=induction.TEXT_VERSION,
            metric=TaskMetric.NEXT_TOKEN_LOSS,
            features=_by_key(*induction.FEATURES),
            roles=induction.ROLES,
            make=induction.make_text_rows,
        ),
        Task(
            ioi.KEY,
            "indirect object identification",
            "Of two names, one comes twice and gives something to the other: the logit of the other's name less that "
            "of the giver's, at the last token.",
            licence="CC0-1.0 (written for Loupe)",
            version=ioi.VERSION,
            metric=TaskMetric.LOGIT_DIFFERENCE,
            features=_by_key(*ioi.FEATURES),
            roles=ioi.ROLES,
            make=ioi.make_rows,
        ),
        Task(
            texts.KEY,
            "text (State of the Union)",
            "Rows of 128 tokens of the State of the Union addresses; the loss of every next token.",
            licence="public domain (works of the United States Government)",
            version=texts.VERSION,
            metric=TaskMetric.NEXT_TOKEN_LOSS,
            features=_by_key(*texts.FEATURES),
            roles={},
            make=texts.make_rows,
        ),
    )
}
