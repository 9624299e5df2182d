"""Reading the store as pages do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from analysis.schema import Sizes
from analysis.store import Artifact, open_artifact

from .data import MODEL, real_store, survey_in_depth, weights_of
from .report import Figure

ABOUT = (
    "Random neurons and layers of the bundled model, read from its survey of `sotu` and the reading of its weights by "
    "`Artifact.read`, checks of damage included as on pages, files warm."
)
NEURONS = 1000
LISTINGS = 200


def measure() -> list[Figure]:
    store = real_store()
    survey = survey_in_depth(store)
    weights = weights_of(store, survey)
    sizes = Sizes(**open_artifact(store / "models" / MODEL).meta["sizes"])
    generator = np.random.default_rng(0)
    for layer in range(sizes.n_layers):  # the first look at a file compares its checksum
        _neuron(survey, weights, layer, 0, sizes)
    seconds = []
    for _ in range(NEURONS):
        layer, neuron = int(generator.integers(sizes.n_layers)), int(generator.integers(sizes.d_mlp))
        seconds.append(_seconds(lambda layer=layer, neuron=neuron: _neuron(survey, weights, layer, neuron, sizes)))
    listings = [_seconds(lambda: _listing(survey, int(generator.integers(sizes.n_layers)))) for _ in range(LISTINGS)]
    of_neuron = _neuron(survey, weights, 0, 0, sizes)
    arrays = f"{len(of_neuron)} arrays"
    return [
        Figure("one neuron, p50", 1000 * statistics.median(seconds), "ms", at_most=0.3, note=arrays),
        Figure("one neuron, p99", 1000 * float(np.quantile(seconds, 0.99)), "ms"),
        Figure(
            "a neuron's bytes",
            _bytes_of_neurons(survey, weights, sizes),
            "bytes",
            at_most=8000,
            note="its share of the files",
        ),
        Figure(
            "layer listing, p50",
            1000 * statistics.median(listings),
            "ms",
            at_most=1,
            note="all summary arrays of a layer's neurons",
        ),
    ]


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _neuron(survey: Artifact, weights: Artifact, layer: int, neuron: int, sizes: Sizes) -> list[np.ndarray]:
    """All that is kept of one neuron."""
    file = f"layer-{layer}"
    arrays = []
    for artifact in (survey, weights):
        artifact.check(f"{file}.safetensors")
        arrays += [artifact.read(name, neuron, file=file) for name in _of_neurons(artifact, file)]
    return arrays


def _of_neurons(artifact: Artifact, file: str) -> list[str]:
    return [name for name in artifact.names(file=file) if name.startswith("neuron.")]


def _listing(survey: Artifact, layer: int) -> list[np.ndarray]:
    """What the table of a layer's neurons shows."""
    survey.check("summary.safetensors")
    return [survey.read(name, layer, file="summary") for name in _of_neurons(survey, "summary")]


def _bytes_of_neurons(survey: Artifact, weights: Artifact, sizes: Sizes) -> float:
    """Stored bytes of all that is kept of neurons, summary included, divided by their number."""
    total = 0
    for artifact in (survey, weights):
        for file in ("summary", *(f"layer-{layer}" for layer in range(sizes.n_layers))):
            total += sum(artifact.read(name, file=file).nbytes for name in _of_neurons(artifact, file))
    return total / (sizes.n_layers * sizes.d_mlp)
