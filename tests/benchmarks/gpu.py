"""The same survey on a GPU, where one is at hand."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch

from analysis.metrics import HEAD_METRICS
from analysis.schema import SurveySpec
from analysis.survey import measure_rows

from .data import load, natural_rows, real_store, store_aside, survey_spec
from .report import Figure
from .survey import alternate

ABOUT = (
    "The survey of SmolLM2-135M on a GPU: against the bare forward pass there, and its figures on "
    "64 rows against those of the CPU."
)
ROWS = 512
# On so few rows figures are compared: the CPU takes long.
COMPARED_ROWS = 64


def measure() -> list[Figure]:
    if not torch.cuda.is_available():
        return _absent("no GPU at hand")
    figures = []
    with store_aside(real_store()) as store:
        spec = survey_spec(store, rows=ROWS)
        rows, model = natural_rows(store, spec), load(store, "smollm2", spec, device="cuda")
        times = alternate(store, model, rows, spec, wait=torch.cuda.synchronize)
        name = torch.cuda.get_device_name()
        figures += [
            Figure("survey", times.tokens_per_second, "tokens/s", note=name),
            Figure("survey ÷ bare forward, wall", times.ratio, "×"),
            Figure("the same, median of batches", times.median_ratio, "×"),
        ]
    return figures + compare("cuda")


# What is compared, by the names of its figures.
EXACT = "float32, largest difference from the CPU"
SHARES = "bfloat16, largest difference of a head's share of attention from the CPU"
OTHERS = "bfloat16, largest difference of other figures from the CPU"
RANKS = "bfloat16, least rank correlation of a head metric with the CPU"


def _absent(reason: str) -> list[Figure]:
    return [
        Figure("survey", None, "tokens/s", absent=reason),
        Figure("survey ÷ bare forward, wall", None, "×", absent=reason),
        Figure(EXACT, None, at_most=1e-4, absent=reason),
        Figure(SHARES, None, at_most=0.02, absent=reason),
        Figure(OTHERS, None, absent=reason),
        Figure(RANKS, None, at_least=0.99, absent=reason),
    ]


def compare(device: str, *, n_rows: int = COMPARED_ROWS) -> list[Figure]:
    """Figures of a device against those of the CPU in float32, on the first rows."""
    store = real_store()
    spec = dataclasses.replace(survey_spec(store, rows=n_rows), shard_rows=n_rows)
    expected = _metrics(spec, "cpu", torch.float32)
    exact, rough = _metrics(spec, device, torch.float32), _metrics(spec, device, torch.bfloat16)
    shares = {f"head.{metric.key}" for metric in HEAD_METRICS if metric.high == 1} & set(expected)
    heads = [key for key in expected if key.startswith("head.")]
    correlations = {key: rank_correlation(rough[key], expected[key]) for key in heads}
    worst = min(correlations, key=lambda key: correlations[key])
    return [
        _difference(EXACT, exact, expected, keys=set(expected), at_most=1e-4),
        _difference(SHARES, rough, expected, keys=shares, at_most=0.02),
        _difference(OTHERS, rough, expected, keys=set(expected) - shares, at_most=None),
        Figure(RANKS, correlations[worst], at_least=0.99, note=f"of {worst}"),
    ]


def _metrics(spec: SurveySpec, device: str, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """Every metric of heads and layers, and the means and shares of neurons, of all rows of a survey."""
    store = real_store()
    model = copy.deepcopy(load(store, "smollm2", spec, device=device)).to(dtype)  # the loaded one is kept, and shared
    rows = natural_rows(store, spec)
    shard = measure_rows(model, rows, spec, spec.shard(0), on_batch=lambda _: None)
    metrics = {}
    for key, sums, counts in zip(shard.heads.keys, shard.heads.sums, shard.heads.counts, strict=True):
        metrics[f"head.{key}"] = sums.sum(0) / counts.sum(0)
    for key, sums in shard.layers.sums.items():
        if (counts := shard.layers.counts[key]).any():
            metrics[f"layer.{key}"] = sums.sum(0) / counts.sum(0)
    metrics["neuron.mean"] = _of_neurons([neurons.sums for neurons in shard.neurons], shard.positions)
    metrics["neuron.share_active"] = _of_neurons([neurons.active for neurons in shard.neurons], shard.sampled)
    return metrics


def _of_neurons(sums: list[torch.Tensor], counts: np.ndarray) -> np.ndarray:
    return np.stack([each.sum(0).double().cpu().numpy() for each in sums]) / counts.sum()


def _difference(
    name: str, found: dict[str, np.ndarray], expected: dict[str, np.ndarray], *, keys: set[str], at_most: float | None
) -> Figure:
    """The largest difference of any figure, relative to the largest figure of its metric where that is above 1."""
    differences = {
        key: float(np.abs(found[key] - expected[key]).max() / max(1.0, np.abs(expected[key]).max())) for key in keys
    }
    worst = max(differences, key=lambda key: differences[key])
    note = f"of {worst}; relative to the metric's largest figure where that is above 1"
    return Figure(name, differences[worst], at_most=at_most, note=note)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, of all components: 1 where both order them alike."""
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])
