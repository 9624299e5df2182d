"""What a survey in depth and a reading of weights hold of neurons and layers, made of activations that tests know."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from analysis.metrics import NEURON_METRICS
from analysis.store import is_complete, open_artifact, publish, vocabulary_path, weights_path, write_arrays
from analysis.store.artifacts import remove
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Survey
from wiki.experiments.results import artifact_path

N_ROWS, LENGTH = 8, 40
TITLES = ("Alice, 1901", "Bob, 1902", "Charlie, 1903", "Alice, 1904")
# Of each row; two rows a document.
DOCUMENTS = np.repeat(np.arange(4), 2).astype(np.int32)
OFFSETS = np.tile([0, 2000], 4).astype(np.int32)


def token_text(token: int) -> str:
    """0 begins every row; 3 is a line break, 4 markup, the others words."""
    return {0: "<bos>", 3: "\n", 4: "<b>&"}.get(token, f" w{token}")


def tokens_of() -> np.ndarray:
    """int32 [row, pos]."""
    tokens = np.random.default_rng(20).integers(1, 30, size=(N_ROWS, LENGTH)).astype(np.int32)
    tokens[:, 0] = 0
    return tokens


def activations_of(model: LanguageModel, layer: int) -> np.ndarray:
    """float32 [row, pos, neuron]."""
    generator = np.random.default_rng(30 + layer)
    return (generator.normal(size=(N_ROWS, LENGTH, model.d_mlp)) ** 3).astype(np.float32)


def add_neurons(survey: Survey, weights: Measurement) -> None:
    """Add to a finished survey all that it would have in depth of neurons and layers, to its reading of weights what it
    would have of neurons, and a vocabulary beside them."""
    model, path = survey.model, artifact_path(survey)
    store = path.parent.parent
    files: dict[str, dict[str, np.ndarray]] = {f"layer-{n}": _layer(model, n) for n in range(model.n_layers)}
    files["summary"] = _summary(model)
    tokens = tokens_of()
    seen = np.bincount(tokens[:, 1:].ravel())
    frequent = np.flatnonzero(seen >= 10)
    files["rows"] = {
        "tokens": tokens.ravel(),
        "starts": np.arange(N_ROWS + 1, dtype=np.int64) * LENGTH,
        "documents": DOCUMENTS,
        "offsets": OFFSETS,
        "frequent": frequent.astype(np.int32),
        "frequent_counts": seen[frequent],
    }
    metrics = NEURON_METRICS
    queries = {metric.key: N_ROWS * (LENGTH - 1) for metric in metrics}
    _extend(path, files, metrics=[f"{m.component.value}.{m.key}" for m in metrics], queries=queries, titles=TITLES)
    _extend(
        weights_path(store, weights.hash), {f"layer-{n}": _weights(model, n) for n in range(model.n_layers)}, queries={}
    )
    if not is_complete(vocabulary_path(store, model.hash)):
        encoded = [token_text(token).encode() for token in range(model.d_vocab)]
        with publish(vocabulary_path(store, model.hash), meta={"model": model.slug}) as folder:
            text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
            write_arrays(folder, {"text": text, "ends": np.cumsum([0, *map(len, encoded)])})


def _extend(path: Any, files: dict[str, dict[str, np.ndarray]], *, queries: dict[str, int], **meta: Any) -> None:
    """Publish an artifact again with more arrays and more meta; lists of the same name are joined."""
    old = open_artifact(path)
    arrays = {
        name.removesuffix(".safetensors"): {
            array: old.read(array, file=name.removesuffix(".safetensors"))
            for array in old.names(file=name.removesuffix(".safetensors"))
        }
        for name in old.files
    }
    new = json.loads(json.dumps(old.meta))
    for key, value in meta.items():
        new[key] = [*new.get(key, []), *value]
    if queries:
        new["provenance"]["queries"] |= queries
    remove(path)
    with publish(path, meta=new) as folder:
        for file in arrays.keys() | files.keys():
            write_arrays(folder, arrays.get(file, {}) | files.get(file, {}), file=file)


def _summary(model: LanguageModel) -> dict[str, np.ndarray]:
    live = np.stack([activations_of(model, layer)[:, 1:].reshape(-1, model.d_mlp) for layer in range(model.n_layers)])
    spread = live.std(1, ddof=1)
    around = (live - live.mean(1, keepdims=True)) / live.std(1, keepdims=True)
    values = {
        "mean": live.mean(1),
        "standard_deviation": spread,
        "skewness": (around**3).mean(1),
        "kurtosis": (around**4).mean(1),
        "maximum": live.max(1),
        "minimum": live.min(1),
        "share_active": (live > 0).mean(1),
    }
    values["kurtosis"][1, 5] = np.nan  # one that could not be computed
    arrays = {f"neuron.{key}": array.astype(np.float32) for key, array in values.items()}
    arrays["neuron.mean.error"] = (spread / 20).astype(np.float32)
    arrays["neuron.share_active.error"] = np.full_like(arrays["neuron.mean"], 0.012)
    return arrays


def _layer(model: LanguageModel, layer: int) -> dict[str, np.ndarray]:
    activations, n = activations_of(model, layer), model.d_mlp
    live, tokens = activations[:, 1:], tokens_of()
    low, high = live.min((0, 1)) * 0.8, live.max((0, 1)) * 0.8
    histogram = np.stack([np.histogram(live[..., i].clip(low[i], high[i]), 64, (low[i], high[i]))[0] for i in range(n)])
    frequent = np.flatnonzero(np.bincount(tokens[:, 1:].ravel()) >= 10)
    means = np.stack([live[tokens[:, 1:] == token].mean(0) for token in frequent])  # [token, neuron]
    order = np.argsort(-means, axis=0)
    chosen = np.concatenate([order[:10], order[::-1][:10]]).T
    arrays = {
        "neuron.histogram": histogram.astype(np.int32),
        "neuron.range": np.stack([low, high], axis=-1).astype(np.float32),
        "neuron.tokens": frequent[chosen].astype(np.int32),
        "neuron.token_means": np.take_along_axis(means.T, chosen, axis=1).astype(np.float32),
    }
    return arrays | _examples(activations)


def _examples(activations: np.ndarray) -> dict[str, np.ndarray]:
    """65 slots: the best row of each document upwards, downwards, and the first two rows in the first interval."""
    n = activations.shape[2]
    rows = np.full((n, 65), -1, np.int32)
    positions, starts, scores = np.zeros((n, 65), np.int16), np.zeros((n, 65), np.int16), np.zeros((n, 65), np.float32)
    scales, windows = np.zeros((n, 65), np.float32), np.zeros((n, 65, 24), np.int8)
    for neuron in range(n):
        for sign, first in ((1, 0), (-1, 20)):
            signed = activations[:, 1:, neuron] * sign
            best = sorted(range(N_ROWS), key=lambda row, signed=signed: -signed[row].max())
            seen: set[int] = set()
            kept = [row for row in best if not (DOCUMENTS[row] in seen or seen.add(DOCUMENTS[row]))]
            for slot, row in enumerate(kept, start=first):
                rows[neuron, slot], positions[neuron, slot] = row, 1 + signed[row].argmax()
        rows[neuron, 40:42] = 0, 2
        positions[neuron, 40:42] = 1 + activations[[0, 2], 1:, neuron].argmax(1)
        for slot in np.flatnonzero(rows[neuron] >= 0):
            row, position = rows[neuron, slot], int(positions[neuron, slot])
            start = starts[neuron, slot] = min(max(position - 15, 0), LENGTH - 24)
            values = activations[row, start : start + 24, neuron]
            scores[neuron, slot], scales[neuron, slot] = activations[row, position, neuron], np.abs(values).max()
            windows[neuron, slot] = np.rint(values * 127 / np.abs(values).max())
    names = ("row", "position", "start", "score", "scale", "window")
    return dict(
        zip(
            (f"neuron.example_{name}" for name in names),
            (rows, positions, starts, scores, scales, windows),
            strict=True,
        )
    )


def _weights(model: LanguageModel, layer: int) -> dict[str, np.ndarray]:
    generator, n = np.random.default_rng(40 + layer), model.d_mlp
    arrays = {}
    for name, value in (
        ("promoted", "logits"),
        ("suppressed", "logits"),
        ("gate", "values"),
        ("up", "values"),
        ("up_negative", "values"),
    ):
        arrays[f"neuron.{name}_tokens"] = generator.integers(0, model.d_vocab, size=(n, 10)).astype(np.int32)
        arrays[f"neuron.{name}_{value}"] = -np.sort(-generator.normal(size=(n, 10)).astype(np.float32), axis=1)
    for name in ("input", "output"):
        neurons = generator.integers(0, model.n_layers * n, size=(n, 10)).astype(np.int32)
        neurons[:, 9] = -1  # as in a model with fewer
        arrays[f"neuron.nearest_{name}_neurons"] = neurons
        arrays[f"neuron.nearest_{name}_cosines"] = -np.sort(-generator.random((n, 10)).astype(np.float32), axis=1)
    return arrays
