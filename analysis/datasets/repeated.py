"""`repeated-random`: BOS, 50 distinct random ordinary tokens, and the same 50 again.

Nothing but the repetition can be predicted, so what a head does with it is induction or its parts.
"""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer

from .rows import Rows

PERIOD = 50
N_ROWS = 1024
SEED = 0


def ordinary_tokens(tokenizer: Tokenizer) -> np.ndarray:
    """The ids of tokens that are whole pieces of text with a letter in them: int64, ascending.

    Not special or added tokens, not parts of a character, not numbers, spaces or marks alone.
    """
    added = set(tokenizer.get_added_tokens_decoder())
    texts = tokenizer.decode_batch([[token] for token in range(tokenizer.get_vocab_size())])
    return np.asarray(
        [
            token
            for token, text in enumerate(texts)
            if token not in added and "\ufffd" not in text and any(map(str.isalpha, text)) and text.isprintable()
        ]
    )


def repeated_random(tokenizer: Tokenizer, *, bos: int) -> Rows:
    """The dataset, the same for a tokenizer each time."""
    ordinary = ordinary_tokens(tokenizer)
    if len(ordinary) < PERIOD:
        raise ValueError(
            f"Making repeated-random: expected a vocabulary with {PERIOD} or more ordinary tokens, got {len(ordinary)}."
        )
    generator = np.random.Generator(np.random.PCG64(SEED))
    rows = []
    for _ in range(N_ROWS):
        half = generator.choice(ordinary, size=PERIOD, replace=False)
        rows.append([bos, *half.tolist(), *half.tolist()])
    titles = [f"{PERIOD} random tokens, twice (row {row})" for row in range(N_ROWS)]
    return Rows.of(rows, titles=titles, documents=range(N_ROWS), offsets=[0] * N_ROWS)
