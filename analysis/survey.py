"""A survey: one pass of a model over a dataset, shard by shard, and the merge of the shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from analysis.anatomy import body_of, sizes_of
from analysis.capture import reading_patterns
from analysis.datasets.rows import Rows
from analysis.datasets.table import DATASETS, read_rows
from analysis.models import load_model, model_path
from analysis.schema import CODE_VERSION, SurveySpec, head_metrics
from analysis.statistics.heads import HeadSums, Pattern
from analysis.store import discard_unless_whole, open_artifact, publish, remove, survey_path, write_arrays


class SurveyError(Exception):
    """A survey cannot be measured; the message is one sentence."""


def partial_path(store: Path, spec: SurveySpec, shard: int) -> Path:
    return store / "partials" / spec.hash / f"shard-{shard:05d}"


def measure_shard(store: Path, spec: SurveySpec, shard: int, *, on_batch: Callable[[int], None]) -> None:
    """Run the model over one shard's rows and publish its sums and patterns as a partial.

    `on_batch` is called with the number of rows read so far, before the first batch and after each; what it raises
    ends the shard.
    """
    path = partial_path(store, spec, shard)
    if discard_unless_whole(path):
        return
    if (spec.dtype, spec.code) != ("float32", CODE_VERSION):
        raise SurveyError(
            f"Measuring {spec.model} on {spec.dataset}: expected a survey in float32 by code {CODE_VERSION}, "
            f"got one in {spec.dtype} by code {spec.code}; ask for a new one."
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(store, spec.model, expected_hash=spec.model_hash, device=device)
    rows = read_rows(store, open_artifact(model_path(store, spec.model)), spec.dataset, expected_hash=spec.dataset_hash)
    on_batch(0)
    arrays = measure_rows(model, rows, spec, spec.shard(shard), on_batch=on_batch)
    with publish(path, meta={"device": _device_name(device), "rows": len(spec.shard(shard))}) as folder:
        write_arrays(folder, arrays)


def measure_rows(
    model: PreTrainedModel, rows: Rows, spec: SurveySpec, indices: range, *, on_batch: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """The sums of `analysis.statistics.heads` over some rows, and `pattern.<row>` uint8 [layer, head, dest, src] of
    those whose patterns are kept (255 is 1.0). The model is left as it was."""
    sizes = sizes_of(model.config)
    sums = HeadSums(head_metrics(DATASETS[spec.dataset].kind), sizes)
    patterns: dict[str, np.ndarray] = {}

    for batch in rows.batches(indices, size=spec.batch_rows):
        length = len(rows[batch.start])
        for row in batch:
            if row < spec.pattern_rows:
                shape = (sizes.n_layers, sizes.n_heads, length, length)
                patterns[f"pattern.{row}"] = np.zeros(shape, dtype=np.uint8)

        def read(layer: int, pattern: Pattern, batch: range = batch) -> None:
            sums.add(layer, pattern)
            for i, row in enumerate(batch):
                if row < spec.pattern_rows:
                    patterns[f"pattern.{row}"][layer] = (pattern[i] * 255).round().byte().cpu().numpy()

        tokens = torch.from_numpy(np.stack([rows[row] for row in batch]).astype(np.int64)).to(model.device)
        with torch.inference_mode(), reading_patterns(model, read):
            body_of(model)(input_ids=tokens, use_cache=False)
        for key, values in sums.sums.items():
            if not np.isfinite(values).all():
                layer = int(np.argwhere(~np.isfinite(values))[0][0])
                raise SurveyError(
                    f"Measuring {key} of {spec.model} on {spec.dataset}: expected finite numbers, got others in layer "
                    f"{layer}; its weights may be damaged."
                )
        on_batch(batch.stop - indices.start)
    return sums.arrays() | patterns


def merge_survey(store: Path, spec: SurveySpec, *, on_partial: Callable[[int], None]) -> None:
    """Add up the shards in their order and publish the survey; what is there whole is kept.

    `on_partial` is called with the number of rows added so far, after each partial. The partials stay until
    `remove_partials`, so that another worker that merges the same still finds them.

    `summary`: each metric float64 [layer, head]; `layer-<n>`: `pattern.<row>` uint8 [head, dest, src].
    """
    path = survey_path(store, spec.hash)
    if discard_unless_whole(path):
        return
    totals, patterns, devices = _add_up(store, spec, on_partial=on_partial)
    dataset = DATASETS[spec.dataset]
    metrics = head_metrics(dataset.kind)
    summary = {m.key: totals[f"sum.{m.key}"] / totals[f"count.{m.key}"][:, None] for m in metrics}

    model = open_artifact(model_path(store, spec.model))
    rows = read_rows(store, model, spec.dataset, expected_hash=spec.dataset_hash)
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    meta = {
        "spec": spec.to_json(),
        "metrics": [metric.key for metric in metrics],
        "pattern_rows": [
            {"title": rows.title(row), "tokens": token_texts(tokenizer, rows[row])} for row in range(spec.pattern_rows)
        ],
        "provenance": {
            "dataset_source": dataset.source,
            "dataset_licence": dataset.licence,
            "device": sorted(devices),
            "tokens": int(rows.starts[spec.rows]),
            "queries": {metric.key: int(totals[f"count.{metric.key}"][0]) for metric in metrics},
            "torch": torch.__version__,
        },
    }
    with publish(path, meta=meta) as folder:
        write_arrays(folder, summary, file="summary")
        for layer in range(len(next(iter(patterns.values()))) if patterns else 0):
            write_arrays(folder, {name: array[layer] for name, array in patterns.items()}, file=f"layer-{layer}")


def remove_partials(store: Path, spec: SurveySpec) -> None:
    """Remove a survey's partials, once it is finished."""
    remove(partial_path(store, spec, 0).parent)


def _add_up(
    store: Path, spec: SurveySpec, *, on_partial: Callable[[int], None]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], set[str]]:
    """Totals and patterns of all shards, each read once and in order, and the devices that measured them."""
    totals: dict[str, np.ndarray] = {}
    patterns: dict[str, np.ndarray] = {}
    devices: set[str] = set()
    for shard in range(spec.n_shards):
        partial = open_artifact(partial_path(store, spec, shard))
        partial.verify()
        devices.add(partial.meta["device"])
        for name in partial.names():
            if name.startswith("pattern."):
                patterns[name] = partial.read(name)
            else:
                totals[name] = totals.get(name, 0) + partial.read(name)
        on_partial(spec.shard(shard).stop)
    return totals, patterns, devices


def token_texts(tokenizer: Tokenizer, tokens: np.ndarray) -> list[str]:
    """Each token as a person reads it; a token that is only a part of a character keeps its name in the vocabulary."""
    texts = tokenizer.decode_batch([[token] for token in tokens.tolist()], skip_special_tokens=False)
    return [
        str(tokenizer.id_to_token(token)) if "\ufffd" in text else text
        for token, text in zip(tokens.tolist(), texts, strict=True)
    ]


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device
