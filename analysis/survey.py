"""A survey: one pass of a model over a dataset, shard by shard, and the merge of the shards."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from analysis.anatomy import attention_weights, body_of, family_of, sizes_of
from analysis.capture import AttentionReading, ResidualReading, reading
from analysis.datasets.rows import Rows
from analysis.datasets.table import DATASETS, read_rows
from analysis.families import is_causal, predicts_tokens
from analysis.merge import merge_partials
from analysis.models import load_model, model_path, n_tokens_of
from analysis.schema import CODE_VERSION, DatasetKind, SurveySpec
from analysis.statistics.batch import SAMPLE, Batch, NotFiniteError, frequent_tokens, uniform_attention
from analysis.statistics.head_examples import HeadRows
from analysis.statistics.heads import HeadSums, output_gram, output_length
from analysis.statistics.kept import KeptRows
from analysis.statistics.layers import LENS_POSITIONS, LayerSums
from analysis.statistics.neurons import Calibration, Known, NeuronSums, join_known
from analysis.store import Artifact, discard_unless_whole, open_artifact, publish, remove, survey_path, write_arrays
from analysis.vocabulary import token_texts


class SurveyError(Exception):
    """A survey cannot be measured; the message is one sentence."""


def partial_path(store: Path, spec: SurveySpec, shard: int) -> Path:
    return store / "partials" / spec.hash / f"shard-{shard:05d}"


def calibration_path(store: Path, spec: SurveySpec) -> Path:
    return store / "partials" / spec.hash / "calibration"


def measure_shard(store: Path, spec: SurveySpec, shard: int, *, on_batch: Callable[[int], None]) -> None:
    """Run the model over one shard's rows and publish its sums, examples and patterns as a partial.

    `on_batch` is called with the number of rows read so far, before the first batch and after each; what it raises
    ends the shard. Its time is not the shard's: a worker measures texts meanwhile.
    """
    path = partial_path(store, spec, shard)
    # the merge needs the calibration too: a damaged one is made anew with the first shard that is asked for again
    if discard_unless_whole(path) and (not spec.in_depth or discard_unless_whole(calibration_path(store, spec))):
        return
    _require_own(spec)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(store, spec.model, expected_hash=spec.model_hash, device=device)
    artifact = open_artifact(model_path(store, spec.model))
    rows = read_rows(store, artifact, spec.dataset, expected_hash=spec.dataset_hash)
    on_batch(0)
    start = time.perf_counter()
    seconds_elsewhere = 0.0

    def timed_on_batch(rows_done: int) -> None:
        nonlocal seconds_elsewhere
        left = time.perf_counter()
        on_batch(rows_done)
        seconds_elsewhere += time.perf_counter() - left

    calibration = _calibration(store, model, rows, spec, shard) if spec.in_depth else None
    shown = _shown(spec.hash)
    known = join_known(shown, before=shard) if shown else None
    measured = measure_rows(model, rows, spec, spec.shard(shard), calibration, known=known, on_batch=timed_on_batch)
    if spec.in_depth and calibration is None:
        publish_calibration(store, spec, measured.calibration)
    seconds_of_lens = measured.layers.seconds_of_lens
    files = measured.files(n_tokens=n_tokens_of(artifact))
    meta = {
        "device": _device_name(device),
        "rows": len(spec.shard(shard)),
        "seconds": time.perf_counter() - start - seconds_of_lens - seconds_elsewhere,
        "seconds_of_lens": seconds_of_lens,
    }
    with publish(path, meta=meta) as folder:
        for file, arrays in files.items():
            write_arrays(folder, arrays, file=file)
    shown[shard] = [neurons.known for neurons in measured.neurons]


def _require_own(spec: SurveySpec) -> None:
    """Refuse a survey that this code would not measure as asked: its name says which code did."""
    if (spec.dtype, spec.code) != ("float32", CODE_VERSION):
        raise SurveyError(
            f"Measuring {spec.model} on {spec.dataset}: expected a survey in float32 by code {CODE_VERSION}, "
            f"got one in {spec.dtype} by code {spec.code}; ask for a new one."
        )


@functools.lru_cache(maxsize=1)
def _shown(spec_hash: str) -> dict[int, list[Known]]:
    """What the shards of a survey that this process measured have shown of its neurons, layer by layer."""
    return {}


def _calibration(
    store: Path, model: PreTrainedModel, rows: Rows, spec: SurveySpec, shard: int
) -> list[Calibration] | None:
    """What the survey's first batch fixes for all shards, by layer: measured by the first worker, read by the others.

    None: the shard begins with that batch and calibrates as it counts it.
    """
    path = calibration_path(store, spec)
    if not discard_unless_whole(path):
        if shard == 0:
            return None
        publish_calibration(store, spec, calibrate(model, rows, spec))
    artifact = open_artifact(path)
    stacked = [artifact.read(field.name) for field in dataclasses.fields(Calibration)]
    return [Calibration(*of_layer) for of_layer in zip(*stacked, strict=True)]


def publish_calibration(store: Path, spec: SurveySpec, layers: list[Calibration]) -> None:
    """Let the shards of a survey read what its first batch fixed."""
    names = [field.name for field in dataclasses.fields(Calibration)]
    with publish(calibration_path(store, spec), meta={}) as folder:
        # of a model without MLPs there are no layers to stack
        write_arrays(folder, {name: np.asarray([getattr(layer, name) for layer in layers]) for name in names})


def calibrate(model: PreTrainedModel, rows: Rows, spec: SurveySpec) -> list[Calibration]:
    """Read the neurons of every layer on the first batch of a survey, without counting them."""
    first = next(rows.batches(range(spec.rows), size=spec.batch_rows))
    tokens = torch.from_numpy(np.stack([rows[row] for row in first]).astype(np.int64)).to(model.device)
    found: list[Calibration] = []
    readers = reading(
        model,
        attention=lambda *_: None,  # as when they are counted, bit by bit
        neurons=lambda _, read: found.append(Calibration.of(read)),
    )
    with torch.inference_mode(), readers:
        body_of(model)(input_ids=tokens, use_cache=False)
    return found


def measure_rows(
    model: PreTrainedModel,
    rows: Rows,
    spec: SurveySpec,
    indices: range,
    calibration: list[Calibration] | None = None,
    *,
    known: list[Known] | None = None,
    on_batch: Callable[[int], None],
) -> Shard:
    """Run the model over some rows and count them. The model is left as it was.

    By layer: `calibration`, without which the first of the rows calibrate, and `known`, what other shards have shown.
    """
    shard = Shard(model, rows, spec, indices, calibration, known=known)
    for batch_rows in rows.batches(indices, size=spec.batch_rows):
        shard.measure(batch_rows)
        shard.require_finite()
        on_batch(batch_rows.stop - indices.start)
    return shard


class Shard:
    """The statistics of a run of rows, while they are measured."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Rows,
        spec: SurveySpec,
        indices: range,
        calibration: list[Calibration] | None = None,
        *,
        known: list[Known] | None = None,
    ) -> None:
        self.model, self.rows, self.spec = model, rows, spec
        shortest = min(len(rows[row]) for row in indices)
        if shortest < LENS_POSITIONS:
            raise SurveyError(
                f"Measuring {spec.model} on {spec.dataset}: expected rows of {LENS_POSITIONS} tokens or more, "
                f"got one of {shortest}."
            )
        sizes = self.sizes = sizes_of(model.config)
        self.documents = np.unique(rows.documents[list(indices)])
        self.frequent = frequent_tokens(rows, spec.rows)[0] if spec.in_depth else np.zeros(0, dtype=np.int32)
        n_documents, n_frequent = len(self.documents), len(self.frequent)
        width = max(len(rows[row]) for row in range(spec.rows))
        kind = DATASETS[spec.dataset].kind
        self.positions, self.sampled = (np.zeros(n_documents, dtype=np.int64) for _ in range(2))
        family, adds_up = model.config.model_type, family_of(model.config).heads_add_up
        self.heads = HeadSums(kind, sizes, n_documents=n_documents, adds_up=adds_up, family=family)
        lens_rows = spec.lens_rows if predicts_tokens(family) else 0
        self.layers = LayerSums(sizes, n_documents=n_documents, lens_rows=lens_rows)
        with torch.inference_mode():  # now: what stays must not lie among what is freed
            self.grams = [output_gram(attention_weights(model, layer).o) for layer in range(sizes.n_layers)]
        self.kept = KeptRows(model, sizes)
        self.head_rows: HeadRows | None = None
        if spec.in_depth:
            self.head_rows = HeadRows(sizes, rows=indices, width=width, n_frequent=n_frequent, causal=is_causal(family))
        self.neurons: list[NeuronSums] = []
        if spec.in_depth and sizes.d_mlp:
            n_sampled = np.zeros(n_documents, dtype=np.int64)
            of_rows = np.searchsorted(self.documents, rows.documents[list(indices)])
            np.add.at(n_sampled, of_rows, [-(-len(rows[row]) // SAMPLE) for row in indices])
            shape = {"n_documents": n_documents, "n_frequent": n_frequent, "length": width}
            shape |= {"n_sampled": int(n_sampled.sum()), "n_sampled_together": int(n_sampled.max())}
            known = known or [Known.nothing(sizes.d_mlp)] * sizes.n_layers
            self.neurons = [
                NeuronSums(
                    sizes, calibration[layer] if calibration else None, known=known[layer], **shape, device=model.device
                )
                for layer in range(sizes.n_layers)
            ]

    def measure(self, batch_rows: range) -> None:
        """Run the model over one batch and count it."""
        batch = Batch.of(
            self.rows, batch_rows, documents=self.documents, frequent=self.frequent, device=self.model.device
        )
        kept = {i: row for i, row in enumerate(batch_rows) if row < self.spec.pattern_rows}
        norms: dict[str, torch.Tensor] = {}

        def at_start(layer: int, before: torch.Tensor) -> None:
            norms["before"] = torch.linalg.vector_norm(before.flatten(0, 1)[batch.sample], dim=-1)

        def at_attention(layer: int, read: AttentionReading) -> None:
            if kept:
                self.kept.add(layer, read, kept)
            z = read.z.flatten(0, 1)[batch.sample]
            share = output_length(z, self.grams[layer]) / norms["before"][:, None]
            self.heads.add(layer, read, batch, output_share=share)
            if self.head_rows:
                self.head_rows.add(layer, read.pattern, batch)

        def at_gates(layer: int, gates: torch.Tensor) -> None:
            self.neurons[layer].add_gates(gates, batch)

        def at_neurons(layer: int, read: torch.Tensor) -> None:
            try:
                self.neurons[layer].add(read, batch)
            except NotFiniteError:
                raise self._not_finite("activations of neurons", layer) from None

        def at_end(layer: int, read: ResidualReading) -> None:
            if self.spec.in_depth:
                self.layers.add(layer, read, batch)
            if kept and layer == self.sizes.n_layers - 1:
                self.kept.add_final(read.after, kept)

        readers = reading(
            self.model,
            start=at_start,
            attention=at_attention,
            neurons=at_neurons if self.neurons else None,
            gates=at_gates if self.neurons else None,
            residual=at_end if self.spec.in_depth or kept else None,
        )
        with torch.inference_mode():
            with readers:
                body_of(self.model)(input_ids=batch.tokens, use_cache=False)
            self.layers.read_lens(self.model, batch)
        np.add.at(self.positions, list(batch.documents), batch.length - 1)
        np.add.at(self.sampled, batch.document_index[batch.sampled_rows].cpu().numpy(), 1)
        if self.head_rows:
            self.head_rows.count(batch)

    def require_finite(self) -> None:
        """Refuse to go on with a model that computes what is no number."""
        heads = zip(self.heads.keys, self.heads.sums.swapaxes(1, 2), strict=True)
        layers = ((key, sums.T) for key, sums in self.layers.sums.items())
        for key, by_layer in (*heads, *layers):
            for layer, values in enumerate(by_layer):
                if not np.isfinite(values).all():
                    raise self._not_finite(key, layer)

    def _not_finite(self, what: str, layer: int) -> SurveyError:
        return SurveyError(
            f"Measuring {what} of {self.spec.model} on {self.spec.dataset}: expected finite numbers, got others in "
            f"layer {layer}; its weights may be damaged."
        )

    @property
    def calibration(self) -> list[Calibration]:
        """By layer, once a batch is measured."""
        return [neurons.calibration for neurons in self.neurons if neurons.calibration]

    def files(self, *, n_tokens: int | None = None) -> dict[str, dict[str, np.ndarray]]:
        """By file: `sums` with what is small, `layer-<n>` with a layer's neurons and kept texts.

        `n_tokens`: rows of the unembedding that are tokens; None: all.
        """
        sums = {"documents": self.documents, "positions": self.positions, "sampled": self.sampled} | self.heads.arrays()
        if self.spec.in_depth:
            sums |= self.layers.arrays()
        if self.head_rows:
            sums |= self.head_rows.arrays()
        files = {"sums": sums}
        with torch.inference_mode():
            promoted = self.kept.promoted(n_tokens=n_tokens)
        for layer, patterns in self.kept.patterns().items():
            kept = patterns | promoted[layer]
            neurons = {}
            if self.neurons:
                neurons = {f"neuron.{name}": array for name, array in self.neurons[layer].arrays().items()}
            if kept or neurons:
                files[f"layer-{layer}"] = kept | neurons
        return files


def merge_survey(store: Path, spec: SurveySpec, *, on_partial: Callable[[int], None]) -> None:
    """Add up the shards in their order and publish the survey (`analysis.merge` says what is in it).

    What is there whole is kept. `on_partial` is called with the number of rows added so far, after each partial. The
    partials stay until `remove_partials`, so that another worker that merges the same still finds them.
    """
    path = survey_path(store, spec.hash)
    if discard_unless_whole(path):
        return
    _require_own(spec)
    start = time.perf_counter()
    model = open_artifact(model_path(store, spec.model))
    rows = read_rows(store, model, spec.dataset, expected_hash=spec.dataset_hash)
    partials: list[Artifact] = []
    for shard in range(spec.n_shards):
        partial = open_artifact(partial_path(store, spec, shard))
        partial.verify()
        partials.append(partial)
        on_partial(spec.shard(shard).stop)
    calibration = open_artifact(calibration_path(store, spec)) if spec.in_depth else None
    if calibration:
        calibration.verify()
    meta: dict[str, object] = {}
    with publish(path, meta=meta) as folder:
        merged = merge_partials(folder, spec, rows, partials, calibration, family=model.meta["family"])
        meta |= {
            "spec": spec.to_json(),
            **merged,
            "causal": is_causal(model.meta["family"]),
            "pattern_rows": [
                {"title": rows.title(row), "tokens": token_texts(model, rows[row])} for row in range(spec.pattern_rows)
            ],
            "provenance": {
                "dataset_source": DATASETS[spec.dataset].source,
                "dataset_licence": DATASETS[spec.dataset].licence,
                "device": sorted({partial.meta["device"] for partial in partials}),
                "tokens": int(rows.starts[spec.rows]),
                "documents": len(np.unique(rows.documents[: spec.rows])),
                "queries": merged["queries"],
                "seconds": round(sum(partial.meta["seconds"] for partial in partials), 1),
                "seconds_of_lens": round(sum(partial.meta["seconds_of_lens"] for partial in partials), 1),
                "seconds_of_merge": round(time.perf_counter() - start, 1),
                "torch": torch.__version__,
            },
        }
        if DATASETS[spec.dataset].kind is DatasetKind.NATURAL and is_causal(model.meta["family"]):
            meta["uniform"] = uniform_attention(
                [_tokens_only(rows, batch) for batch in rows.batches(range(spec.rows), size=spec.batch_rows)]
            )


def _tokens_only(rows: Rows, indices: range) -> Batch:
    nothing = np.zeros(0, dtype=np.int32)
    documents = np.unique(rows.documents[list(indices)])
    return Batch.of(rows, indices, documents=documents, frequent=nothing, device=torch.device("cpu"))


def remove_partials(store: Path, spec: SurveySpec) -> None:
    """Remove a survey's partials, once it is finished."""
    remove(partial_path(store, spec, 0).parent)


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device
