"""Rows of language models' tokens: where tokens repeat, and the features that all such tasks have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int

from analysis.datasets.task import ABSENT, Feature, TaskRows

Tokens = Int[np.ndarray, "rows pos"]


def next_token_rows(
    tokens: Tokens,
    *,
    counted: Bool[np.ndarray, "rows pos"],
    documents: Int[np.ndarray, " rows"],
    roles: Mapping[str, Int[np.ndarray, " rows"]],
) -> TaskRows:
    """Rows without padding whose labels are the tokens that come next; at the last position there is none to count."""
    assert not counted[:, -1].any(), "the last position has no next token"
    labels = np.zeros_like(tokens)
    labels[:, :-1] = tokens[:, 1:]
    return TaskRows(
        tokens=tokens,
        mask=np.ones(tokens.shape, dtype=bool),
        counted=counted,
        labels=labels,
        documents=documents,
        roles=roles,
    )


def latest_earlier(tokens: Tokens) -> Tokens:
    """The latest position before each that has the same token, −1 where there is none; the BOS at 0 is never one."""
    order = np.argsort(tokens, axis=1, kind="stable")
    ordered = np.take_along_axis(tokens, order, axis=1)
    before = np.full_like(order, -1)
    before[:, 1:] = np.where(ordered[:, 1:] == ordered[:, :-1], order[:, :-1], -1)
    earlier = np.empty_like(order)
    np.put_along_axis(earlier, order, before, axis=1)
    return np.where(earlier == 0, -1, earlier).astype(np.int64)


def _token(rows: TaskRows) -> np.ndarray:
    return np.where(rows.mask, rows.tokens, ABSENT)


def _previous_token(rows: TaskRows) -> np.ndarray:
    previous = np.full(rows.tokens.shape, ABSENT, dtype=np.int64)
    previous[:, 1:] = rows.tokens[:, :-1]
    return np.where(rows.mask, previous, ABSENT)


def _occurred_before(rows: TaskRows) -> np.ndarray:
    return (latest_earlier(rows.tokens) >= 0) & rows.mask


def _induction_token(rows: TaskRows) -> np.ndarray:
    earlier = latest_earlier(rows.tokens)
    after = np.take_along_axis(np.asarray(rows.tokens), np.maximum(earlier, 0) + 1, axis=1)
    return np.where((earlier >= 0) & rows.mask, after, ABSENT)


WORD_FEATURES = (
    Feature("token", "The token; absent in padding.", True, _token),
    Feature("previous_token", "The token one position before; absent at position 0.", True, _previous_token),
    Feature(
        "occurred_before",
        "1 where the token is also at an earlier position, the BOS apart, else 0.",
        True,
        _occurred_before,
    ),
    Feature(
        "induction_token",
        "The token that followed the latest earlier occurrence of the token; absent where there is none.",
        True,
        _induction_token,
    ),
)


def role_features(**meanings: str) -> tuple[Feature, ...]:
    """For each role, its token and its position; absent in rows that lack it."""

    def token_at(role: str) -> Feature:
        def values(rows: TaskRows) -> np.ndarray:
            at = np.maximum(rows.roles[role], 0)
            return np.where(rows.roles[role] >= 0, rows.tokens[np.arange(len(rows)), at], ABSENT)

        return Feature(f"{role}_token", f"The token at {meanings[role]}.", False, values)

    def position_of(role: str) -> Feature:
        def values(rows: TaskRows) -> np.ndarray:
            return np.where(rows.roles[role] >= 0, rows.roles[role], ABSENT)

        return Feature(f"{role}_position", f"The position of {meanings[role]}.", False, values)

    return tuple(make(role) for role in meanings for make in (token_at, position_of))
