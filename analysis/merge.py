"""From the partials of a survey to its files: what pages read, by slice.

`summary`: for every metric `<component>.<key>` float64 and, where it is a mean, `<component>.<key>.error`, its standard
error over documents; [layer, head], [layer, neuron] (float32) or [layer]. Natural text also has `head.mass` and
`head.mass.error` [layer, head, class of `Mass`].

`rows` (in depth): `tokens` int32, `starts` int64 [row + 1], `documents` int32 [row]; `frequent` int32 and
`frequent_counts` int64, the tokens that have means of their own.

`layer-<n>` for kept texts as `analysis.statistics.kept` says; and in depth, first axis head or neuron:
`head.histogram` int32 [head, bin]; `head.example_row` (−1: none), `head.example_score`, `head.example_query` [head,
example] and `head.example_weights` uint8 [head, example, src] of 22 examples of 22 documents (10 highest, 3 in each
lower interval from high to low); `head.query_tokens`, `head.query_means`, `head.key_tokens`, `head.key_means` [head,
10];
`neuron.histogram` int32 [neuron, 64] with `neuron.range` float32 [neuron, 2]; `neuron.example_row` (−1: none),
`neuron.example_score`, `neuron.example_position` of 65 examples (20 highest, 20 lowest, 5 in each interval from low to
high; one a document within each of these groups), `neuron.example_window` int8 [neuron, example, 24] from
`neuron.example_start` on, in steps of a 127th of `neuron.example_scale`; `neuron.tokens`, `neuron.token_means`
[neuron, 20] (10 highest, then 10 lowest means by token).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from analysis.datasets.rows import Rows
from analysis.datasets.table import DATASETS
from analysis.families import absent_metrics, has_mlp
from analysis.metrics import HEAD_METRICS, LAYER_METRICS, NEURON_METRICS
from analysis.schema import DatasetKind, SurveySpec
from analysis.statistics.batch import frequent_tokens
from analysis.statistics.documents import mean_and_error
from analysis.statistics.head_examples import choose_examples, histogram, top_tokens
from analysis.statistics.neuron_examples import merge_intervals, merge_strongest, window_starts
from analysis.statistics.neurons import central_moments
from analysis.store import Artifact, write_arrays

NO_OUTPUT_NORM = (
    "not measured: this family normalises the sum of its heads' outputs before adding it to the residual stream, so a "
    "head alone adds nothing to it."
)
N_TOKENS = 10  # of a neuron, with the highest and with the lowest means

Arrays = dict[str, np.ndarray]


def merge_partials(
    folder: Path,
    spec: SurveySpec,
    rows: Rows,
    partials: list[Artifact],
    calibration: Artifact | None,
    *,
    family: str,
) -> dict[str, Any]:
    """Write the survey's files into a folder that is being published; what the manifest says of them.

    `calibration` is needed where the spec asks for neurons, `family` for what the model's never have. As many layers'
    arrays are in memory at a time as there are processor cores.
    """
    documents = np.unique(rows.documents[: spec.rows])
    kind = DATASETS[spec.dataset].kind
    sums = Sums(documents, partials)
    measured = partials[0].names(file="sums")
    summary: Arrays = {}
    queries: dict[str, int] = {}
    for metric in HEAD_METRICS:
        if metric.dataset_kind is kind and f"head.count.{metric.key}" in measured:
            counts = sums.add_up(f"head.count.{metric.key}")
            queries[metric.key] = int(counts.sum(0).max())
            summary |= _with_error(f"head.{metric.key}", sums.add_up(f"head.sum.{metric.key}"), counts)
    if kind is DatasetKind.NATURAL:
        counts = sums.add_up("head.count.self")[..., None]
        summary |= _with_error("head.mass", sums.add_up("head.mass"), counts)
    meta: dict[str, Any] = {"metrics": [f"head.{key}" for key in queries], "queries": queries, "absent": {}}
    if kind is DatasetKind.NATURAL:
        meta["absent"] |= absent_metrics(family)
        if "output_norm" not in queries:
            meta["absent"]["output_norm"] = NO_OUTPUT_NORM
    if calibration:
        for metric in LAYER_METRICS:
            counts = sums.add_up(f"layer.count.{metric.key}")
            if counts.any():
                meta["metrics"].append(f"layer.{metric.key}")
                queries[metric.key] = int(counts.sum(0).max())
                summary |= _with_error(f"layer.{metric.key}", sums.add_up(f"layer.sum.{metric.key}"), counts)
        frequent, frequent_counts = frequent_tokens(rows, spec.rows)
        heads = _heads(sums, rows.documents[: spec.rows], frequent, frequent_counts)

        def merge_layer(layer: int) -> Arrays:
            of_layer, in_summary = Arrays(), Arrays()
            if has_mlp(family):
                of_layer, in_summary = _neurons(layer, sums, rows, (frequent, frequent_counts), calibration)
            _write_layer(folder, layer, heads[layer] | of_layer, partials)
            return in_summary

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # sorting and copying let other threads run
            neurons = list(pool.map(merge_layer, range(len(heads))))
        summary |= {name: np.stack([array[name] for array in neurons]) for name in neurons[0]}
        measured_of_neurons = NEURON_METRICS if has_mlp(family) else ()
        meta["metrics"] += [f"neuron.{metric.key}" for metric in measured_of_neurons]
        positions, sampled = (int(sums.add_up(name).sum()) for name in ("positions", "sampled"))
        every = ("mean", "maximum", "minimum")
        queries |= {metric.key: positions if metric.key in every else sampled for metric in measured_of_neurons}
        write_arrays(
            folder,
            {
                "tokens": rows.tokens[: rows.starts[spec.rows]],
                "starts": rows.starts[: spec.rows + 1],
                "documents": rows.documents[: spec.rows],
                "offsets": rows.offsets[: spec.rows],
                "frequent": frequent,
                "frequent_counts": frequent_counts,
            },
            file="rows",
        )
        meta["titles"] = list(rows.titles)
    elif spec.pattern_rows:
        for layer in range(len(next(iter(summary.values())))):
            _write_layer(folder, layer, {}, partials)
    write_arrays(folder, summary, file="summary")
    return meta


class Sums:
    """The totals of a survey's documents over its partials."""

    def __init__(self, documents: np.ndarray, partials: list[Artifact]) -> None:
        self.documents, self.partials = documents, partials
        self._places = [np.searchsorted(documents, partial.read("documents", file="sums")) for partial in partials]

    def add_up(self, array: str, *, file: str = "sums") -> np.ndarray:
        """An array whose first axis is the shard's documents, for all documents: float64 or int64."""
        parts = [partial.read(array, file=file) for partial in self.partials]
        dtype = np.int64 if np.issubdtype(parts[0].dtype, np.integer) else np.float64
        total = np.zeros((len(self.documents), *parts[0].shape[1:]), dtype=dtype)
        for places, part in zip(self._places, parts, strict=True):
            total[places] += part
        return total

    def total(self, array: str, *, file: str = "sums") -> np.ndarray:
        """An array that every partial has in the same shape, added up in float64."""
        return np.asarray(np.sum([partial.read(array, file=file) for partial in self.partials], axis=0, dtype=float))

    def all_rows(self, array: str) -> np.ndarray:
        """An array whose first axis is the shard's rows, for all rows."""
        return np.concatenate([partial.read(array, file="sums") for partial in self.partials])


def _with_error(name: str, sums: np.ndarray, counts: np.ndarray) -> Arrays:
    mean, error = mean_and_error(sums, counts)
    return {name: mean, f"{name}.error": error}


def _heads(sums: Sums, documents: np.ndarray, frequent: np.ndarray, frequent_counts: np.ndarray) -> list[Arrays]:
    """Histogram, examples and top tokens of every head, by layer."""
    scores, queries, weights = (sums.all_rows(f"row.{name}") for name in ("score", "query", "weights"))
    chosen = choose_examples(scores, documents)  # [layer, head, example]
    at = np.moveaxis(np.maximum(chosen, 0), -1, 0)
    by_query = top_tokens(sums.total("token.by_query"), frequent_counts, frequent)
    by_key = top_tokens(sums.total("token.by_key"), sums.total("token.key_counts"), frequent)
    arrays = {
        "head.histogram": histogram(scores),
        "head.example_row": chosen,
        "head.example_score": np.moveaxis(np.take_along_axis(scores, at, axis=0), 0, -1),
        "head.example_query": np.moveaxis(np.take_along_axis(queries, at, axis=0), 0, -1),
        "head.example_weights": np.moveaxis(np.take_along_axis(weights, at[..., None], axis=0), 0, -2),
        "head.query_tokens": by_query[0],
        "head.query_means": by_query[1],
        "head.key_tokens": by_key[0],
        "head.key_means": by_key[1],
    }
    return [{name: array[layer] for name, array in arrays.items()} for layer in range(scores.shape[1])]


def _neurons(
    layer: int,
    sums: Sums,
    rows: Rows,
    frequent: tuple[np.ndarray, np.ndarray],
    calibration: Artifact,
) -> tuple[Arrays, Arrays]:
    """One layer's neurons: what its file holds, and what the summary does (float32 [neuron]). `frequent`: tokens and
    how often they occur.

    Examples are one a document within the highest, within the lowest and within each interval, not over all of them:
    intervals are filled while rows are read, when it is not known yet which documents the others will take.
    """
    file = f"layer-{layer}"
    positions = sums.add_up("positions")[:, None]
    mean, mean_error = mean_and_error(sums.add_up("neuron.sums", file=file), positions)
    sampled = sums.add_up("sampled")[:, None]
    active, active_error = mean_and_error(sums.add_up("neuron.active", file=file), sampled)
    deviation, skewness, kurtosis = central_moments(sums.total("neuron.powers", file=file))
    partials = sums.partials
    summary = {
        "mean": mean,
        "mean.error": mean_error,
        "standard_deviation": deviation,
        "skewness": skewness,
        "kurtosis": kurtosis,
        "maximum": np.max([partial.read("neuron.highest", file=file) for partial in partials], axis=0),
        "minimum": np.min([partial.read("neuron.lowest", file=file) for partial in partials], axis=0),
        "share_active": active,
        "share_active.error": active_error,
    }
    ends = [calibration.read(name, layer) for name in ("low", "high")]
    tokens, means = _tokens_by_mean(sums.total("neuron.by_token", file=file), *frequent)
    arrays = {
        "neuron.histogram": sums.total("neuron.histogram", file=file).astype(np.int32),
        "neuron.range": np.stack(ends, axis=-1).astype(np.float32),
        "neuron.tokens": tokens,
        "neuron.token_means": means,
    }
    groups = [
        merge_strongest([_examples(partial, file, "strongest") for partial in partials], rows.documents),
        merge_strongest([_examples(partial, file, "weakest") for partial in partials], rows.documents),
        merge_intervals([_examples(partial, file, "interval") for partial in partials], rows.documents),
    ]
    groups[1]["score"] = -groups[1]["score"]
    examples = {name: np.concatenate([group[name] for group in groups], axis=1) for name in groups[0]}
    lengths = np.diff(rows.starts)[examples["row"]]  # of no row, −1, no window is read
    examples["start"] = window_starts(examples["position"], lengths, examples["window"].shape[-1])
    arrays |= {f"neuron.example_{name}": array for name, array in examples.items()}
    return arrays, {f"neuron.{name}": array.astype(np.float32) for name, array in summary.items()}


def _examples(partial: Artifact, file: str, group: str) -> Arrays:
    names = ("score", "row", "position", "scale", "window")
    return {name: partial.read(f"neuron.{group}.{name}", file=file) for name in names}


def _tokens_by_mean(by_token: np.ndarray, frequent: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frequent tokens with the highest and, from the lowest up, the lowest mean activation of each neuron."""
    n = min(N_TOKENS, len(frequent))
    means = np.ascontiguousarray((by_token / counts[:, None]).astype(np.float32).T)  # [neuron, token]
    # of equal means the earlier token is the higher one
    lowest = means.shape[1] - 1 - _highest(-means[:, ::-1], n)
    chosen = np.concatenate([_highest(means, n), lowest], axis=1)
    return frequent[chosen], np.take_along_axis(means, chosen, axis=1)


def _highest(values: np.ndarray, number: int) -> np.ndarray:
    """Where each row [row, column] has its highest values, from the highest down, of equal ones the first."""
    columns = np.empty((len(values), number), dtype=np.int64)
    if not number:
        return columns
    last = values.shape[1] - number
    above = values >= np.partition(values, last, axis=1)[:, last, None]
    simple = above.sum(1) == number  # the others have several of the last value, or what is no number
    columns[simple] = above[simple].nonzero()[1].reshape(-1, number)
    falling = np.argsort(-np.take_along_axis(values[simple], columns[simple], axis=1), axis=1, kind="stable")
    columns[simple] = np.take_along_axis(columns[simple], falling, axis=1)
    columns[~simple] = np.argsort(-values[~simple], axis=1, kind="stable")[:, :number]
    return columns


def _write_layer(folder: Path, layer: int, arrays: Arrays, partials: list[Artifact]) -> None:
    """A layer's file: these arrays, and the kept texts of all partials."""
    file = f"layer-{layer}"
    kept: Arrays = {}
    for partial in partials:
        if f"{file}.safetensors" in partial.files:
            names = [name for name in partial.names(file=file) if not name.startswith("neuron.")]
            kept |= {name: partial.read(name, file=file) for name in names}
    write_arrays(folder, arrays | kept, file=file)
