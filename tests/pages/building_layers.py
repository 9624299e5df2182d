"""Metrics of layers for the surveys of `building`."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics import LAYER_METRICS
from wiki.components.models import LanguageModel

LENS_POSITIONS = 512


def random_layers(model: LanguageModel, *, seed: int = 7) -> dict[str, np.ndarray]:
    """Every metric of layers with its error, as a survey's summary names them: float64 [layer]."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for metric in LAYER_METRICS:
        arrays[f"layer.{metric.key}"] = generator.random(model.n_layers) * (metric.high or 9.0)
        arrays[f"layer.{metric.key}.error"] = generator.random(model.n_layers) / 20
    return arrays


def describe_layers(meta: dict[str, Any], layers: dict[str, np.ndarray]) -> None:
    """Say in an artifact's meta that these are measured."""
    names = [name for name in layers if not name.endswith(".error")]
    meta["metrics"] += names
    meta["provenance"]["queries"] |= {name.removeprefix("layer."): LENS_POSITIONS for name in names}
