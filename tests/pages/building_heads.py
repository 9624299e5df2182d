"""What a survey in depth and a reading of weights hold of heads, and a vocabulary, for tests of pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from analysis.store import is_complete, open_artifact, publish, vocabulary_path, weights_path, write_arrays
from analysis.store.artifacts import remove
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Survey
from wiki.experiments.results import artifact_path

N_ROWS, LENGTH = 8, 40
TITLES = ("Alice, 1901", "Bob, 1902", "Charlie, 1903", "Alice, 1904")
BASELINE = {"mean": 0.125, "standard_deviation": 0.0375, "draws": 200, "seed": 0}
OFFSETS = (1, 8)

Arrays = dict[str, np.ndarray]


def token_text(token: int) -> str:
    """0 begins every row; 3 is a line break, 4 markup, the others words."""
    return {0: "<bos>", 3: "\n", 4: "<b>&"}.get(token, f" w{token}")


def add_heads(survey: Survey, weights: Measurement) -> None:
    """Add to a finished survey all that it would have in depth of heads, to its reading of weights what it would have
    of them, and a vocabulary beside them; what is there already stays."""
    model, path = survey.model, artifact_path(survey)
    store = path.parent.parent
    files = {f"layer-{layer}": _layer(model, layer) for layer in range(model.n_layers)}
    files["summary"] = _mass(model)
    meta: dict[str, Any] = {"uniform": {"induction": 0.031, "duplicate_token": 0.042}}
    if "rows.safetensors" not in open_artifact(path).files:
        files["rows"] = _rows()
        meta["titles"] = TITLES
    extend(path, files, meta)
    of_weights = {f"layer-{layer}": _weights(model, layer) for layer in range(model.n_layers)}
    extend(weights_path(store, weights.hash), of_weights, {"offsets": OFFSETS, "baseline": BASELINE})
    if not is_complete(vocabulary_path(store, model.hash)):
        encoded = [token_text(token).encode() for token in range(model.d_vocab)]
        with publish(vocabulary_path(store, model.hash), meta={"model": model.slug}) as folder:
            text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            write_arrays(folder, {"text": text, "ends": np.cumsum([0, *map(len, encoded)])})


def add_outputs(survey: Survey, *, rows: int = 1) -> None:
    """Give the kept texts of a finished survey lengths of values that differ, and the tokens that heads promote."""
    model, path = survey.model, artifact_path(survey)
    files: dict[str, Arrays] = {}
    for layer in range(model.n_layers):
        generator = np.random.default_rng(60 + layer)
        arrays: Arrays = {}
        for row in range(rows):
            n_tokens = len(open_artifact(path).meta["pattern_rows"][row]["tokens"])
            shape = (model.n_heads, n_tokens)
            arrays[f"value_norm.{row}"] = (generator.random(shape) * 12 + 0.1).astype(np.float32)
            arrays[f"promoted.{row}"] = generator.integers(1, model.d_vocab, size=(*shape, 8)).astype(np.int32)
            logits = -np.sort(-generator.normal(size=(*shape, 8)), axis=-1)
            arrays[f"promoted_logit.{row}"] = logits.astype(np.float32)
        files[f"layer-{layer}"] = arrays
    extend(path, files, {})


def extend(path: Path, files: dict[str, Arrays], meta: dict[str, Any]) -> None:
    """Publish an artifact again with more arrays and more meta."""
    old = open_artifact(path)
    names = [name.removesuffix(".safetensors") for name in old.files]
    arrays = {file: {array: old.read(array, file=file) for array in old.names(file=file)} for file in names}
    new = json.loads(json.dumps(old.meta)) | meta
    remove(path)
    with publish(path, meta=new) as folder:
        for file in arrays.keys() | files.keys():
            write_arrays(folder, arrays.get(file, {}) | files.get(file, {}), file=file)


def _rows() -> Arrays:
    tokens = np.random.default_rng(20).integers(1, 30, size=(N_ROWS, LENGTH)).astype(np.int32)
    tokens[:, 0] = 0
    return {
        "tokens": tokens.ravel(),
        "starts": np.arange(N_ROWS + 1, dtype=np.int64) * LENGTH,
        "documents": np.repeat(np.arange(4), 2).astype(np.int32),
        "offsets": np.tile([0, LENGTH - 1], 4).astype(np.int32),
    }


def _mass(model: LanguageModel) -> Arrays:
    shares = np.random.default_rng(40).random((model.n_layers, model.n_heads, 6))
    return {"head.mass": shares / shares.sum(-1, keepdims=True), "head.mass.error": np.full(shares.shape, 0.02)}


def _layer(model: LanguageModel, layer: int) -> Arrays:
    generator, n = np.random.default_rng(50 + layer), model.n_heads
    rows = np.full((n, 22), -1, dtype=np.int32)
    # four documents of two rows: four examples at the top, two in each lower interval
    for slots in (range(4), (10, 11), (13, 14), (16, 17), (19, 20)):
        for slot in slots:
            rows[:, slot] = generator.integers(0, N_ROWS, size=n)
    queries = generator.integers(5, LENGTH, size=(n, 22)).astype(np.int16)
    weights = np.zeros((n, 22, LENGTH), dtype=np.uint8)
    for head in range(n):
        for slot in range(22):
            weights[head, slot, 1 : queries[head, slot]] = generator.integers(0, 60, size=queries[head, slot] - 1)
            weights[head, slot, generator.integers(1, queries[head, slot])] = 200
    tokens = np.stack([generator.permutation(np.arange(1, 30))[:10] for _ in range(2 * n)]).reshape(2, n, 10)
    means = -np.sort(-generator.random((2, n, 10)), axis=-1)
    return {
        "head.histogram": generator.integers(0, 5, size=(n, 20)).astype(np.int32),
        "head.example_row": rows,
        "head.example_score": (weights.max(-1) / 255).astype(np.float32),
        "head.example_query": queries,
        "head.example_weights": weights,
        "head.query_tokens": tokens[0].astype(np.int32),
        "head.query_means": means[0].astype(np.float32),
        "head.key_tokens": tokens[1].astype(np.int32),
        "head.key_means": means[1].astype(np.float32),
    }


def _weights(model: LanguageModel, layer: int) -> Arrays:
    generator, n = np.random.default_rng(70 + layer), model.n_heads
    arrays: Arrays = {
        "head.key_tokens": generator.integers(1, 30, size=(n, 10)),
        "head.ov_tokens": generator.integers(1, 30, size=(n, 10, 10)),
        "head.ov_logits": -np.sort(-generator.normal(size=(n, 10, 10)), axis=-1),
        "head.ov_own_rank": generator.integers(1, 30, size=(n, 10)),
        "head.query_tokens": generator.integers(1, 30, size=(n, 5)),
        "head.qk_tokens": generator.integers(1, 30, size=(n, len(OFFSETS), 5, 5)),
        "head.qk_scores": -np.sort(-generator.normal(size=(n, len(OFFSETS), 5, 5)), axis=-1),
    }
    for kind, offsets in (("q", 2), ("k", 2), ("v", 1)):
        heads = np.full((n, offsets, 10), -1)
        ratios = np.full((n, offsets, 10), np.nan)
        for at in np.ndindex(n, offsets):
            earlier = generator.permutation(layer * n)[:10]
            heads[at][: len(earlier)] = earlier
            ratios[at][: len(earlier)] = -np.sort(-generator.random(len(earlier)))
        arrays |= {f"head.{kind}_composition": ratios, f"head.{kind}_composition_heads": heads}
    return {
        name: array.astype(np.int32 if np.issubdtype(array.dtype, np.integer) else np.float32)
        for name, array in arrays.items()
    }
