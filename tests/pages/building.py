"""Small models with published surveys, for tests of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from analysis.metrics import HEAD_METRICS
from analysis.patterns import compress_patterns
from analysis.schema import DatasetKind, JobKind, SurveySpec, WeightsSpec, content_hash
from analysis.store import publish, weights_path, write_arrays
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Pin, Survey
from wiki.experiments.results import artifact_path

from .building_heads import add_heads, add_outputs
from .building_layers import describe_layers, random_layers
from .building_neurons import add_neurons

WORDS = ("<bos>", "The", " cat", " sat", "\n", " on", " the", " cat", " sat")


def build_model(slug: str = "tiny", *, n_layers: int = 3, n_heads: int = 4, n_kv_heads: int = 2) -> LanguageModel:
    return LanguageModel.objects.create(
        slug=slug,
        title=f"The {slug} model",
        hash=content_hash(slug),
        family="llama",
        source="made for tests",
        licence="CC0",
        n_parameters=1234567,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_model=8,
        d_head=2,
        d_mlp=16,
        d_vocab=32,
    )


def build_survey(model: LanguageModel, dataset: str, *, pattern_rows: int = 0, in_depth: bool = False) -> Survey:
    """A pinned survey that nobody has measured yet."""
    spec = SurveySpec(
        model=model.slug,
        model_hash=model.hash,
        dataset=dataset,
        dataset_hash=content_hash(dataset),
        rows=8,
        pattern_rows=pattern_rows,
        in_depth=in_depth,
        lens_rows=0,
        shard_rows=4,
        batch_rows=2,
    )
    survey = Survey.objects.create(hash=spec.hash, model=model, dataset=dataset, spec=spec.to_json())
    Pin.objects.create(model=model, dataset=dataset, survey=survey)
    return survey


def finish(
    survey: Survey,
    *,
    metrics: dict[str, np.ndarray],
    patterns: list[np.ndarray] | None = None,
    texts: list[dict[str, Any]] | None = None,
    layers: dict[str, np.ndarray] | None = None,
) -> Path:
    """Publish the artifact of a survey; `patterns` holds a uint8 array [layer, head, dest, src] for each text, `layers`
    the metrics of layers and their errors by the names that they have in the summary."""
    meta: dict[str, Any] = {
        "metrics": [f"head.{key}" for key in metrics],
        "pattern_rows": texts or [],
        "provenance": {
            "device": ["cpu"],
            "tokens": 72,
            "queries": dict.fromkeys(metrics, 1000),
            "source": "made for tests",
        },
    }
    describe_layers(meta, layers or {})
    path = artifact_path(survey)
    with publish(path, meta=meta) as folder:
        errors = {f"head.{key}.error": np.full_like(values, 0.01) for key, values in metrics.items()}
        summary = {f"head.{key}": values for key, values in metrics.items()} | errors | (layers or {})
        write_arrays(folder, summary, file="summary")
        for layer in range(survey.model.n_layers):
            arrays = {}
            for row, pattern in enumerate(patterns or []):
                n_heads, n_tokens = pattern.shape[1:3]
                arrays[f"pattern.{row}"], arrays[f"pattern_ends.{row}"] = compress_patterns(pattern[layer])
                arrays[f"value_norm.{row}"] = np.ones((n_heads, n_tokens), dtype=np.float32)
            if arrays:
                write_arrays(folder, arrays, file=f"layer-{layer}")
    survey.finished_at = timezone.now()
    survey.save(update_fields=["finished_at"])
    return path


def random_pattern(model: LanguageModel, n_tokens: int, *, seed: int) -> np.ndarray:
    """Causal attention that sums to about 1 in each row: uint8 [layer, head, dest, src]."""
    scores = np.random.default_rng(seed).normal(size=(model.n_layers, model.n_heads, n_tokens, n_tokens)) * 3
    weights = np.exp(scores) * np.tri(n_tokens)
    return np.asarray(np.rint(255 * weights / weights.sum(-1, keepdims=True)), dtype=np.uint8)


def random_metrics(model: LanguageModel, kind: DatasetKind, *, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shape = (model.n_layers, model.n_heads)
    return {
        metric.key: generator.random(shape) * (metric.high or 5.0)
        for metric in HEAD_METRICS
        if metric.dataset_kind is kind
    }


def build_measured_model(slug: str = "tiny", **sizes: int) -> LanguageModel:
    """A model whose three surveys are finished, as the worker would leave them."""
    model = build_model(slug, **sizes)
    repeated = ["<bos>", *(f" w{i % 4}" for i in range(8))]
    finish(
        build_survey(model, "repeated-random", pattern_rows=1),
        metrics=random_metrics(model, DatasetKind.REPEATED, seed=1),
        patterns=[random_pattern(model, len(repeated), seed=2)],
        texts=[{"title": "repeated tokens", "tokens": repeated}],
    )
    finish(
        build_survey(model, "bundled-texts", pattern_rows=1),
        metrics=random_metrics(model, DatasetKind.NATURAL, seed=3),
        patterns=[random_pattern(model, len(WORDS), seed=4)],
        texts=[{"title": "The cat", "tokens": list(WORDS)}],
    )
    for kept in model.surveys.all():
        add_outputs(kept)
    survey = build_survey(model, "sotu")
    finish(survey, metrics=random_metrics(model, DatasetKind.NATURAL, seed=5), layers=random_layers(model))
    weights = build_weights(survey)
    add_neurons(survey, weights)
    add_heads(survey, weights)
    return model


def build_weights(survey: Survey) -> Measurement:
    """The finished reading of weights that belongs to a survey of natural text."""
    model = survey.model
    spec = WeightsSpec(model.slug, model.hash, survey.hash)
    path = weights_path(artifact_path(survey).parent.parent, spec.hash)
    with publish(path, meta={"absent": {}}) as folder:
        copying = np.random.default_rng(6).uniform(-1, 1, size=(model.n_layers, model.n_heads))
        write_arrays(folder, {"ov_copying": copying}, file="summary")
    return Measurement.objects.create(
        hash=spec.hash,
        kind=JobKind.WEIGHTS.value,
        model=model,
        spec=spec.to_json(),
        finished_at=timezone.now(),
    )
