"""Natural text as token rows: `sotu` and `bundled-texts`."""

from __future__ import annotations

import dataclasses
import json
import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from .rows import Rows

DATA = Path(__file__).parent / "data"
# Tokens of a row, the BOS included.
ROW_LENGTH = 128
SEED = 0


@dataclasses.dataclass(frozen=True)
class Document:
    title: str
    text: str


def read_sotu(path: Path = DATA / "sotu.jsonl.xz") -> list[Document]:
    """The State of the Union addresses of 1790–2021, oldest first."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [Document(f"{d['speaker']}, {d['year']}", d["text"]) for d in map(json.loads, lines)]


def read_bundled_texts(path: Path = DATA / "texts.json") -> list[Document]:
    """A few short texts whose attention patterns pages show."""
    return [Document(**text) for text in json.loads(path.read_text())]


def pack(documents: Sequence[Document], tokenizer: Tokenizer, *, bos: int) -> Rows:
    """BOS and the next 127 tokens, again and again; no row spans two documents, a document's last short piece is
    left out. Rows are shuffled, so that the first n of them are a sample of all years."""
    rows, sources, offsets = [], [], []
    encodings = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
    step = ROW_LENGTH - 1
    for source, encoding in enumerate(encodings):
        ids = encoding.ids  # a new list each time that it is read
        for offset in range(0, len(ids) - step + 1, step):
            rows.append([bos, *ids[offset : offset + step]])
            sources.append(source)
            offsets.append(offset)
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(rows))
    return Rows.of(
        [rows[i] for i in order],
        titles=[document.title for document in documents],
        documents=[sources[i] for i in order],
        offsets=[offsets[i] for i in order],
    )


def whole(documents: Sequence[Document], tokenizer: Tokenizer, *, bos: int) -> Rows:
    """BOS and each document as one row."""
    encodings = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
    n = len(documents)
    return Rows.of(
        [[bos, *encoding.ids] for encoding in encodings],
        titles=[document.title for document in documents],
        documents=range(n),
        offsets=[0] * n,
    )


def sotu(tokenizer: Tokenizer, *, bos: int) -> Rows:
    return pack(read_sotu(), tokenizer, bos=bos)


def bundled_texts(tokenizer: Tokenizer, *, bos: int) -> Rows:
    return whole(read_bundled_texts(), tokenizer, bos=bos)
