"""A person's own text: what every head and neuron does on it, kept as a survey keeps its texts.

The artifact holds a file a layer with the arrays of `KeptRows.patterns` and `KeptNeurons.arrays` for row 0; another,
made afterwards, those of `KeptRows.promoted`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from analysis.anatomy import body_of, sizes_of
from analysis.capture import AttentionReading, ResidualReading, reading
from analysis.families import is_causal
from analysis.models import load_model, model_path, n_tokens_of
from analysis.schema import CODE_VERSION, PromotedSpec, PromptSpec
from analysis.statistics.kept import KeptNeurons, KeptRows
from analysis.store import (
    Artifact,
    discard_unless_whole,
    open_artifact,
    promoted_path,
    prompt_path,
    publish,
    write_arrays,
)
from analysis.vocabulary import token_texts

MAX_TOKENS = 256  # of a text, the BOS included


class PromptError(Exception):
    """A text cannot be measured; the message is one sentence."""


def measure_prompt(store: Path, spec: PromptSpec) -> None:
    """Run the model over BOS and the text, and publish every head's pattern and every neuron's activations; what is
    there whole is kept. A text of too many tokens, or asked for by other code, is a `PromptError`."""
    path = prompt_path(store, spec.hash)
    if discard_unless_whole(path):
        return
    artifact, model, tokens = _open(store, spec)
    start = time.perf_counter()
    neurons = KeptNeurons()
    kept = _read(model, tokens, neurons=neurons)
    meta = {
        "spec": spec.to_json(),
        "causal": is_causal(model.config.model_type),
        "pattern_rows": [{"title": "your text", "tokens": token_texts(artifact, tokens)}],
        "provenance": {
            "device": [torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type],
            "tokens": len(tokens),
            "seconds": round(time.perf_counter() - start, 1),
            "torch": torch.__version__,
        },
    }
    with publish(path, meta=meta) as folder:
        activations = neurons.arrays()
        for layer, arrays in kept.patterns().items():
            write_arrays(folder, arrays | activations.get(layer, {}), file=f"layer-{layer}")


def measure_promoted(store: Path, spec: PromotedSpec, *, on_layer: Callable[[int], None]) -> None:
    """Publish which tokens every head's output promotes on the text: far more work than its patterns.

    `on_layer` is called with the number of layers that are finished; what it raises ends the work.
    """
    path = promoted_path(store, spec.prompt.hash)
    if discard_unless_whole(path):
        return
    artifact, model, tokens = _open(store, spec)
    on_layer(0)
    with torch.inference_mode():
        promoted = _read(model, tokens).promoted(n_tokens=n_tokens_of(artifact), on_layer=on_layer)
    with publish(path, meta={"spec": spec.to_json()}) as folder:
        for layer, arrays in promoted.items():
            write_arrays(folder, arrays, file=f"layer-{layer}")


def _open(store: Path, spec: PromptSpec) -> tuple[Artifact, PreTrainedModel, np.ndarray]:
    if spec.code != CODE_VERSION:
        raise PromptError(f"Reading a text: expected one asked for by code {CODE_VERSION}, got {spec.code}; ask again.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(store, spec.model, expected_hash=spec.model_hash, device=device)
    artifact = open_artifact(model_path(store, spec.model))
    limit = min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS))
    tokens = tokens_of(
        artifact.path / "tokenizer.json",
        spec.text,
        bos=artifact.meta["bos"],
        end=artifact.meta.get("end"),
        limit=limit,
    )
    return artifact, model, tokens


def _read(model: PreTrainedModel, tokens: np.ndarray, *, neurons: KeptNeurons | None = None) -> KeptRows:
    sizes = sizes_of(model.config)
    kept = KeptRows(model, sizes)

    def at_attention(layer: int, read: AttentionReading) -> None:
        kept.add(layer, read, {0: 0})

    def at_end(layer: int, read: ResidualReading) -> None:
        if layer == sizes.n_layers - 1:
            kept.add_final(read.after, {0: 0})

    batch = torch.from_numpy(tokens.astype(np.int64))[None].to(model.device)
    at_neurons = neurons.add if neurons else None
    with torch.inference_mode(), reading(model, attention=at_attention, neurons=at_neurons, residual=at_end):
        body_of(model)(input_ids=batch, use_cache=False)
    return kept


def tokens_of(tokenizer: Path, text: str, *, bos: int, end: int | None = None, limit: int = MAX_TOKENS) -> np.ndarray:
    """BOS, the tokens of a text, and for models that read one the `end` token, special tokens in the text read as plain
    text: int32. More than `limit` in all are a `PromptError`, and so are none, and text that has no tokens."""
    encoder = Tokenizer.from_file(str(tokenizer))
    encoder.encode_special_tokens = True
    try:
        ids = encoder.encode(text, add_special_tokens=False).ids
    except Exception as error:  # tokenizers has nothing narrower
        raise PromptError(
            f"Reading a text: expected tokens of the model alone ({_examples(encoder)}), got others."
        ) from error
    ends = [] if end is None else [end]
    most = limit - 1 - len(ends)
    if not 1 <= len(ids) <= most:
        raise PromptError(f"Reading a text: expected 1 to {most} tokens, got {len(ids)}; shorten it.")
    return np.asarray([bos, *ids, *ends], dtype=np.int32)


def _examples(encoder: Tokenizer) -> str:
    """The first tokens that a text may have; a vocabulary that lacks characters has few."""
    added = set(encoder.get_added_tokens_decoder())
    tokens = [str(encoder.id_to_token(token)) for token in range(encoder.get_vocab_size()) if token not in added]
    return " ".join(tokens)[:80]
