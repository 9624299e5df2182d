"""`bracket-strings`, of the task `brackets`, and `bracket-examples`: as a classifier reads them, without padding."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from tokenizers import Tokenizer

from .rows import Rows
from .task import Split
from .tasks import brackets

N_ROWS = 1024
SEED = 1
# Whose attention pages show: balanced; count alone fails; horizon alone fails; both fail.
EXAMPLES = ("(()())(())()", "(()))())()))", "(())())(()()", "((()(()(()))")
# Rows are in the order of their lengths within blocks of so many, since only rows of one length share a batch.
BLOCK = 512


def bracket_strings(tokenizer: Tokenizer, *, bos: int) -> Rows:
    """Start token, brackets and end token; of the split that nothing was trained on. Equal strings are one document."""
    _require_brackets(tokenizer, bos=bos)
    made = brackets.make_rows(Split.CONFIRM, n=N_ROWS, seed=SEED)
    lengths = made.mask.sum(axis=1)
    order = [row for start in range(0, N_ROWS, BLOCK) for row in _by_length(lengths, range(start, start + BLOCK))]
    return _rows([made.tokens[row, : lengths[row]].tolist() for row in order])


def bracket_examples(tokenizer: Tokenizer, *, bos: int) -> Rows:
    """One string of each class of the task."""
    _require_brackets(tokenizer, bos=bos)
    made = brackets.bracket_rows(EXAMPLES)
    return _rows([tokens[mask].tolist() for tokens, mask in zip(made.tokens, made.mask, strict=True)])


def _require_brackets(tokenizer: Tokenizer, *, bos: int) -> None:
    expected = {token: number for number, token in enumerate(brackets.VOCABULARY)}
    if tokenizer.get_vocab() != expected or bos != brackets.START:
        raise ValueError(f"Making strings of brackets: expected a tokenizer of {', '.join(expected)}, got another.")


def _rows(strings: list[list[int]]) -> Rows:
    titles = ["".join(brackets.VOCABULARY[token] for token in string[1:-1]) for string in strings]
    number = {title: document for document, title in enumerate(dict.fromkeys(titles))}
    return Rows.of(
        strings, titles=list(number), documents=[number[title] for title in titles], offsets=[0] * len(strings)
    )


def _by_length(lengths: Int[np.ndarray, " rows"], rows: range) -> list[int]:
    return sorted(rows, key=lambda row: int(lengths[row]))
