"""Tokens as a person reads them. No torch."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from analysis.store import Artifact, discard_unless_whole, publish, vocabulary_path, write_arrays


def token_texts(model: Artifact, tokens: np.ndarray) -> list[str]:
    """Each token as a person reads it; a token that is only a part of a character keeps its name in the vocabulary."""
    tokenizer = _tokenizer(model.path / "tokenizer.json")
    ids = np.asarray(tokens).tolist()
    texts = tokenizer.decode_batch([[token] for token in ids], skip_special_tokens=False)
    return [
        str(tokenizer.id_to_token(token)) if "\ufffd" in text else text for token, text in zip(ids, texts, strict=True)
    ]


@functools.lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def prepare_vocabulary(store: Path, model: Artifact) -> None:
    """Publish the texts of a model's tokens, so that a page can read a few by slice, unless they are there whole."""
    path = vocabulary_path(store, model.meta["hash"])
    if not discard_unless_whole(path):
        with publish(path, meta={"model": model.meta["slug"]}) as folder:
            write_arrays(folder, _vocabulary_arrays(model, model.meta["sizes"]["d_vocab"]))


def _vocabulary_arrays(model: Artifact, d_vocab: int) -> dict[str, np.ndarray]:
    """All texts end to end: `text` uint8 (UTF-8) and `ends` int64 [token + 1], the first of them 0. Rows of the
    embedding beyond the tokenizer's last token are called by their number."""
    n_known = _tokenizer(model.path / "tokenizer.json").get_vocab_size()
    texts = token_texts(model, np.arange(min(n_known, d_vocab)))
    encoded = [text.encode() for text in (*texts, *(f"<{token}>" for token in range(len(texts), d_vocab)))]
    return {
        "text": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        "ends": np.cumsum([0, *(len(text) for text in encoded)]),
    }
