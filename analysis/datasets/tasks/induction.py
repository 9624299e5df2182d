"""Induction: after a token that was there before, what followed it then comes again.

On repeated random tokens nothing else helps; on natural text it is counted after tokens of which the text itself says
that their followers come back (`whitelist`), as the published experiment counts after some 10,000 tokens.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from tokenizers import Tokenizer

from analysis.datasets.repeated import PERIOD, ordinary_tokens
from analysis.datasets.task import Split, TaskError, TaskRows

from .drawing import draw
from .texts import choose, text_tokens
from .words import WORD_FEATURES, latest_earlier, next_token_rows, role_features

RANDOM_KEY = "induction-random"
RANDOM_VERSION = 1
TEXT_KEY = "induction-text"
TEXT_VERSION = 1

BLOCK = 256
# A token is whitelisted if it came again within a row so often in the text of the search split, …
LEAST_REPEATS = 8
# … and its follower was then the same so many times as often as two of its followers agree anywhere.
LEAST_LIFT = 2

ROLES = {
    "end": "the last counted position whose token occurred before",
    "earlier": "the latest earlier occurrence of the end's token",
    "after": "the position after that occurrence",
}
FEATURES = (*WORD_FEATURES, *role_features(**ROLES))


def make_random_rows(split: Split, *, n: int, seed: int, tokenizer: Tokenizer, bos: int) -> TaskRows:
    """BOS, 50 distinct ordinary tokens and the same again; counted where the token came before and the next did too."""
    ordinary = ordinary_tokens(tokenizer)
    if len(ordinary) < PERIOD:
        raise TaskError(
            f"Making rows of {RANDOM_KEY} ({split.value}): expected a vocabulary with {PERIOD} or more ordinary "
            f"tokens, got {len(ordinary)}."
        )
    halves = draw(
        lambda generator: [
            tuple(generator.choice(ordinary, size=PERIOD, replace=False).tolist()) for _ in range(BLOCK)
        ],
        key=(RANDOM_KEY, RANDOM_VERSION, seed),
        split=split,
        content=lambda half: np.asarray(half, dtype="<i4").tobytes(),
        n=n,
        distinct=True,
    )
    tokens = np.asarray([(bos, *half, *half) for half in halves], dtype=np.int64)
    positions = np.arange(2 * PERIOD + 1)
    counted = np.broadcast_to((positions > PERIOD) & (positions < 2 * PERIOD), tokens.shape).copy()
    return next_token_rows(tokens, counted=counted, documents=np.arange(n), roles=_roles(tokens, counted))


def make_text_rows(split: Split, *, n: int, seed: int, tokenizer: Tokenizer, bos: int) -> TaskRows:
    """`n` different rows of text in which a whitelisted token comes again; counted after whitelisted tokens, whether
    they came before or not."""
    sought, documents = text_tokens(Split.SEARCH, tokenizer, bos=bos)
    listed = whitelist(sought, n_tokens=tokenizer.get_vocab_size())
    tokens = sought
    if split is Split.CONFIRM:
        tokens, documents = text_tokens(split, tokenizer, bos=bos)
    counted = listed[tokens]
    counted[:, [0, -1]] = False
    roles = _roles(tokens, counted)
    chosen = choose((TEXT_KEY, TEXT_VERSION, seed), split=split, available=np.flatnonzero(roles["end"] >= 0), n=n)
    return next_token_rows(
        tokens[chosen],
        counted=counted[chosen],
        documents=documents[chosen],
        roles={role: positions[chosen] for role, positions in roles.items()},
    )


def whitelist(tokens: Int[np.ndarray, "rows pos"], *, n_tokens: int) -> Bool[np.ndarray, " n_tokens"]:
    """After which tokens to count the loss, by these rows alone (position 0 is a BOS) and no model.

    A token is listed if it came again within a row `LEAST_REPEATS` times or more, and was then followed by what had
    followed its latest occurrence at least `LEAST_LIFT` times as often as two of its followers in all rows agree.
    """
    here, following = tokens[:, 1:-1], tokens[:, 2:]
    earlier = latest_earlier(tokens)[:, 1:-1]
    again = earlier >= 0
    followed = np.take_along_axis(tokens, np.maximum(earlier, 0) + 1, axis=1)
    repeats = np.bincount(here[again], minlength=n_tokens)
    hits = np.bincount(here[again & (followed == following)], minlength=n_tokens)
    pairs, counts = np.unique(here.ravel() * n_tokens + following.ravel(), return_counts=True)
    agreeing = np.zeros(n_tokens, dtype=np.int64)
    np.add.at(agreeing, pairs // n_tokens, counts * (counts - 1))
    occurrences = np.bincount(here.ravel(), minlength=n_tokens)
    # of hits / repeats ≥ lift · agreeing / all pairs, both sides as whole numbers
    lifted = hits * occurrences * (occurrences - 1) >= LEAST_LIFT * repeats * agreeing
    return (repeats >= LEAST_REPEATS) & (hits > 0) & lifted


def _roles(tokens: np.ndarray, counted: np.ndarray) -> dict[str, np.ndarray]:
    """Positions by role, −1 in rows in which no counted token occurred before."""
    earlier = latest_earlier(tokens)
    candidates = counted & (earlier >= 0)
    last = tokens.shape[1] - 1 - np.argmax(candidates[:, ::-1], axis=1)
    there = candidates[np.arange(len(tokens)), last]
    before = earlier[np.arange(len(tokens)), last]
    return {
        "end": np.where(there, last, -1),
        "earlier": np.where(there, before, -1),
        "after": np.where(there, before + 1, -1),
    }
