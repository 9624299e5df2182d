"""Natural text: the State of the Union addresses in rows of 128 tokens, with the loss of every next token."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer

from analysis.datasets.corpus import pack, read_sotu
from analysis.datasets.task import Split, TaskError, TaskRows

from .drawing import keyed_generator, split_of
from .words import WORD_FEATURES, next_token_rows

KEY = "sotu"
VERSION = 1
FEATURES = WORD_FEATURES


def make_rows(split: Split, *, n: int, seed: int, tokenizer: Tokenizer, bos: int) -> TaskRows:
    """`n` different rows in an order given by the seed; every position but the last counts, the BOS's own included."""
    tokens, documents = text_tokens(split, tokenizer, bos=bos)
    chosen = choose((KEY, VERSION, seed), split=split, available=np.arange(len(tokens)), n=n)
    counted = np.ones((n, tokens.shape[1]), dtype=bool)
    counted[:, -1] = False
    return next_token_rows(tokens[chosen], counted=counted, documents=documents[chosen], roles={})


def text_tokens(split: Split, tokenizer: Tokenizer, *, bos: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows of a split, int64 [rows, 128], and which address each is of. A whole address is in one split, by its
    text, so that neither has a neighbour of the other's rows."""
    addresses = [address for address in read_sotu() if split_of(address.text.encode()) is split]
    rows = pack(addresses, tokenizer, bos=bos)
    width = int(rows.starts[1]) if len(rows) else 0
    return rows.tokens.reshape(len(rows), width).astype(np.int64), rows.documents.astype(np.int64)


def choose(key: tuple[str, int, int], *, split: Split, available: np.ndarray, n: int) -> np.ndarray:
    """`n` of the available rows, without repetition: fewer are the first of more."""
    if n > len(available):
        raise TaskError(
            f"Making rows of {key[0]} ({split.value}): expected at most {len(available)} of them, as the text has no "
            f"more for this tokenizer, got n = {n}."
        )
    return keyed_generator(*key, split.value).permutation(available)[:n]
