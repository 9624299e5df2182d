"""Measured texts of one's own, as the worker would leave them."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from django.utils import timezone

from analysis.patterns import compress_patterns
from analysis.schema import JobKind, PromotedSpec, PromptSpec
from analysis.store import promoted_path, prompt_path, publish, vocabulary_path, write_arrays
from wiki.components.models import LanguageModel
from wiki.experiments import results
from wiki.experiments.models import Job, Measurement

from .building import random_pattern

TYPED = "The cat sat\n on 🐈"
TOKENS = ("<bos>", "The", " cat", " sat", "\n", " on", " 🐈")


def build_prompt(
    model: LanguageModel, text: str = TYPED, *, state: str = "done", error: str = "", seed: int = 11
) -> Measurement:
    """A text that somebody asked for, whose job is in this state; measured, with what follows, where it is done."""
    spec = PromptSpec(model.slug, model.hash, text)
    finished = timezone.now() if state == "done" else None
    prompt = _row(model, JobKind.PROMPT, spec, state=state, error=error, finished=finished)
    if state == "done":
        publish_prompt(model, spec, seed=seed)
        _row(model, JobKind.PROMOTED, PromotedSpec(**spec.to_json()), state=state, error="", finished=finished)
    return prompt


def _row(
    model: LanguageModel, kind: JobKind, spec: PromptSpec, *, state: str, error: str, finished: datetime | None
) -> Measurement:
    measurement = Measurement.objects.create(
        hash=spec.hash, kind=kind.value, model=model, spec=spec.to_json(), finished_at=finished
    )
    Job.objects.create(measurement=measurement, kind=kind.value, state=state, error=error)
    return measurement


def publish_prompt(model: LanguageModel, spec: PromptSpec, *, seed: int) -> None:
    """Random attention and activations, the same for a seed."""
    n, patterns = len(TOKENS), prompt_pattern(model, seed=seed)
    meta = {
        "spec": spec.to_json(),
        "pattern_rows": [{"title": "your text", "tokens": list(TOKENS)}],
        "provenance": {"device": ["cpu"], "tokens": n, "seconds": 0.1, "torch": "made for tests"},
    }
    with publish(prompt_path(results._store(), spec.hash), meta=meta) as folder:
        for layer in range(model.n_layers):
            frames, ends = compress_patterns(patterns[layer])
            arrays = {
                "pattern.0": frames,
                "pattern_ends.0": ends,
                "value_norm.0": np.ones((model.n_heads, n), dtype=np.float32),
                "neuron_steps.0": neuron_steps(model, layer),
                "neuron_scale.0": np.full(model.d_mlp, 2.54, dtype=np.float32),
            }
            write_arrays(folder, arrays, file=f"layer-{layer}")
    with publish(promoted_path(results._store(), spec.hash), meta={"spec": spec.to_json()}) as folder:
        for layer in range(model.n_layers):
            tokens, logits = promoted(model, layer)
            write_arrays(folder, {"promoted.0": tokens, "promoted_logit.0": logits}, file=f"layer-{layer}")
    if not (path := vocabulary_path(results._store(), model.hash)).exists():
        texts = [f" w{token}" for token in range(model.d_vocab)]
        with publish(path, meta={}) as folder:
            joined = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
            write_arrays(folder, {"text": joined, "ends": np.cumsum([0, *map(len, texts)])})


def promoted(model: LanguageModel, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, int32, and their logits, float32 [head, dest, 8]."""
    generator, shape = np.random.default_rng(100 + layer), (model.n_heads, len(TOKENS), 8)
    return generator.integers(0, model.d_vocab, shape).astype(np.int32), generator.random(shape).astype(np.float32)


def prompt_pattern(model: LanguageModel, *, seed: int = 11) -> np.ndarray:
    """uint8 [layer, head, dest, src]."""
    return random_pattern(model, len(TOKENS), seed=seed)


def neuron_steps(model: LanguageModel, layer: int) -> np.ndarray:
    """int8 [neuron, token], 0 at BOS."""
    steps = np.random.default_rng(layer).integers(-127, 128, size=(model.d_mlp, len(TOKENS)))
    steps[:, 0] = 0
    return steps.astype(np.int8)
