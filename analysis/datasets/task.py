"""What a task gives: sequences with roles, labels and what counts, and the features that tell its rows apart. No torch.

A feature gives each row an integer, or each position of each row one: rows agree where these are equal. Expressions
combine features by data, so that what runs on a server is from a fixed vocabulary (`analysis.datasets.features`):

    "count_test"                        a feature of the task
    {"all": ["count_test", "starts_with_open"]}   both agree
    {"equal": ["a", "b"]}               1 where two features are equal, else 0
    {"offset": ["open_proportion", -1]} a feature by position, read so many positions away; outside: a value of its own
    {"bin": ["open_proportion", [0.5]]} in which interval between these edges a feature lies
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Int

# The value of a feature where there is nothing to say: outside a row, or a share of nothing. Equal to itself alone.
ABSENT = int(np.iinfo(np.int64).min)


class TaskError(Exception):
    """A task cannot give the rows that were asked for; the message is one sentence."""


class FeatureError(Exception):
    """A feature that is not there, or an expression that says nothing; the message is one sentence."""


class Split(enum.Enum):
    """Which rows: a sequence's content says in which of the two it is, so that they share none."""

    SEARCH = "search"  # for looking for hypotheses
    CONFIRM = "confirm"  # for testing them; whoever searches never sees it


class TaskMetric(enum.Enum):
    """What is read at the counted positions; the value is the word used in specs and on pages."""

    CLASS_LOSS = "class-loss"  # cross-entropy of the label among the classes, in nats
    NEXT_TOKEN_LOSS = "next-token-loss"  # noqa: S105 - cross-entropy of the label among all tokens, in nats
    LOGIT_DIFFERENCE = "logit-difference"  # logit of the label − logit of the wrong label

    @property
    def higher_is_better(self) -> bool:
        return self is TaskMetric.LOGIT_DIFFERENCE


@dataclasses.dataclass(frozen=True)
class TaskRows:
    """Sequences of a task, padded to one length."""

    tokens: Int[np.ndarray, "rows pos"]
    mask: Bool[np.ndarray, "rows pos"]  # True: a token; False: padding
    counted: Bool[np.ndarray, "rows pos"]  # the positions at which the metric is read
    labels: Int[np.ndarray, "rows pos"]  # what is right at each of them: a class, or the next token
    documents: Int[np.ndarray, " rows"]  # what a row is of: means and intervals are over these
    roles: Mapping[str, Int[np.ndarray, " rows"]] = dataclasses.field(default_factory=dict)  # a position; −1: none
    classes: Mapping[str, Int[np.ndarray, " rows"]] = dataclasses.field(default_factory=dict)  # by which results split
    # what a logit difference is taken from, at the counted positions; None: the metric is a loss
    wrong_labels: Int[np.ndarray, "rows pos"] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def hash(self) -> str:
        """sha256 (hex) of all that is in the rows, the names of roles and classes included."""
        digest = hashlib.sha256()
        for name, array in self._named_arrays():
            digest.update(f"{name} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return digest.hexdigest()

    def _named_arrays(self) -> list[tuple[str, np.ndarray]]:
        own = ("tokens", "mask", "counted", "labels", "documents", "wrong_labels")
        named = [(name, getattr(self, name)) for name in own if getattr(self, name) is not None]
        named += [(f"role {name}", self.roles[name]) for name in sorted(self.roles)]
        return named + [(f"class {name}", self.classes[name]) for name in sorted(self.classes)]


@dataclasses.dataclass(frozen=True)
class Feature:
    """One word of the vocabulary."""

    key: str
    definition: str
    by_position: bool
    # int64 [rows], or [rows, pos] where `by_position`; floats where `continuous`
    values: Callable[[TaskRows], np.ndarray]
    # value × scale is the integer that rows agree on; the edges of `bin` are values
    scale: int = 1
    continuous: bool = False  # floats, on which hardly two rows agree: only to be used through `bin`
