"""What `attn-only-2l` is trained on: addresses, and random segments repeated; which addresses are held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from analysis.datasets.corpus import ROW_LENGTH, Document

VOCABULARY = 4096
BOS = "<bos>"
BOS_ID = 0
# Every so many-th address is never trained on, neither by the tokenizer.
HELD_OUT_EVERY = 20
SEGMENT = (8, 60)  # tokens, both included


def held_out(documents: Sequence[Document]) -> list[Document]:
    """The addresses that nothing was trained on: a sample of all years."""
    return [document for i, document in enumerate(documents) if i % HELD_OUT_EVERY == HELD_OUT_EVERY // 2]


def trained_on(documents: Sequence[Document]) -> list[Document]:
    """All other addresses."""
    return [document for i, document in enumerate(documents) if i % HELD_OUT_EVERY != HELD_OUT_EVERY // 2]


def train_tokenizer(documents: Sequence[Document], *, size: int = VOCABULARY) -> Tokenizer:
    """A byte-level BPE of `size` tokens with a BOS; the same for the same documents each time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document.text for document in documents), trainer)
    return tokenizer


@dataclasses.dataclass(frozen=True)
class TextBatches:
    """Batches of rows of 128 tokens; which rows a step has depends on the seed and the step alone."""

    texts: tuple[Int[np.ndarray, " _"], ...]  # tokens of each address
    n_tokens: int  # of the vocabulary
    seed: int
    rows: int
    repeated_rows: int

    @classmethod
    def of(
        cls, documents: Sequence[Document], tokenizer: Tokenizer, *, seed: int, rows: int, repeated_rows: int
    ) -> TextBatches:
        encodings = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
        texts = tuple(np.asarray(encoding.ids) for encoding in encodings if len(encoding.ids) >= ROW_LENGTH)
        return cls(texts, tokenizer.get_vocab_size(), seed=seed, rows=rows, repeated_rows=repeated_rows)

    def __call__(self, step: int) -> Int[Tensor, "batch pos"]:
        """The rows of a step: text first, then repeated segments."""
        draw = np.random.default_rng((self.seed, step))
        n_windows = np.asarray([len(text) - ROW_LENGTH + 2 for text in self.texts])
        documents = draw.choice(len(self.texts), size=self.rows - self.repeated_rows, p=n_windows / n_windows.sum())
        rows = [self._window(draw, document) for document in documents.tolist()]
        rows += [self._repeated(draw) for _ in range(self.repeated_rows)]
        return torch.from_numpy(np.stack([[BOS_ID, *row] for row in rows]).astype(np.int64))

    def _window(self, draw: np.random.Generator, document: int) -> Int[np.ndarray, " pos"]:
        text = self.texts[document]
        start = draw.integers(len(text) - ROW_LENGTH + 2)
        return text[start : start + ROW_LENGTH - 1]

    def _repeated(self, draw: np.random.Generator) -> Int[np.ndarray, " pos"]:
        segment = draw.integers(1, self.n_tokens, size=draw.integers(SEGMENT[0], SEGMENT[1] + 1))
        return np.resize(segment, ROW_LENGTH - 1)
