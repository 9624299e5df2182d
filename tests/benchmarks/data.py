"""What benchmarks read: the bundled model and its surveys in the data folder of `make run`, never written to."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from analysis.commands import prepare
from analysis.datasets.rows import Rows
from analysis.datasets.table import dataset_path, read_rows
from analysis.models import load_model, model_path
from analysis.plans import planned_spec
from analysis.schema import SurveySpec
from analysis.store import Artifact, is_complete, open_artifact

from .machine import ROOT
from .report import BenchmarkError

MODEL = "smollm2-135m-instruct-q4"
DATASET = "sotu"
# Of both models in float32; GPT-2's is random, its shape that of GPT-2 small.
MODELS = {"SmolLM2-135M": "smollm2", "GPT-2 small (random weights)": "gpt2"}


@functools.cache
def real_store() -> Path:
    """The store of `LOUPE_DATA`, with the bundled model and its datasets: prepared now if they are not there."""
    store = Path(os.environ.get("LOUPE_DATA") or ROOT / ".loupe").resolve() / "store"
    if not is_complete(model_path(store, MODEL)) or not _has_dataset(store):
        logging.basicConfig(level=logging.INFO, format="  %(message)s")
        prepare(store, MODEL)
    return store


def _has_dataset(store: Path) -> bool:
    return is_complete(dataset_path(store, open_artifact(model_path(store, MODEL)), DATASET))


def survey_in_depth(store: Path) -> Artifact:
    """The finished survey of natural text; a `BenchmarkError` says how to get one."""
    artifacts = [open_artifact(path) for path in sorted((store / "surveys").glob("[!.]*"))]
    for artifact in artifacts:
        if artifact.meta["spec"]["model"] == MODEL and artifact.meta["spec"]["dataset"] == DATASET:
            return artifact
    raise BenchmarkError(f"Looking for the survey of {DATASET} in {store}: found none; let `make run` finish once.")


def weights_of(store: Path, survey: Artifact) -> Artifact:
    """What the weights say, read for a survey; a `BenchmarkError` says how to get it."""
    artifacts = [open_artifact(path) for path in sorted((store / "weights").glob("[!.]*"))]
    for artifact in artifacts:
        if artifact.meta["spec"]["survey"] == survey.path.name:
            return artifact
    raise BenchmarkError(f"Looking for the reading of weights in {store}: found none; let `make run` finish once.")


@contextlib.contextmanager
def store_aside(store: Path) -> Iterator[Path]:
    """A temporary store that has every artifact of `store` and may be written to."""
    with tempfile.TemporaryDirectory(prefix="loupe-bench-") as folder:
        aside = Path(folder) / "store"
        for path in store.glob("*/[!.]*"):
            if path.parent.name != "partials":
                link = aside / path.relative_to(store)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        yield aside


def survey_spec(store: Path, *, rows: int) -> SurveySpec:
    """The planned survey of natural text without the logit lens, of so many rows."""
    model = open_artifact(model_path(store, MODEL))
    dataset = open_artifact(dataset_path(store, model, DATASET))
    return planned_spec(model.meta, dataset.meta, rows=rows, lens_rows=0)


def natural_rows(store: Path, spec: SurveySpec) -> Rows:
    """The rows of a survey, in the bundled model's tokens; GPT-2 has as many and more, so it reads the same."""
    return read_rows(store, open_artifact(model_path(store, MODEL)), DATASET, expected_hash=spec.dataset_hash)


def load(store: Path, name: str, spec: SurveySpec, *, device: str = "cpu") -> PreTrainedModel:
    """One of `MODELS` with attention by `sdpa`, in float32 and eval mode."""
    model = (
        load_model(store, MODEL, expected_hash=spec.model_hash, device=device) if name == "smollm2" else gpt2(device)
    )
    assert model.config._attn_implementation == "sdpa"
    return model


def gpt2(device: str) -> PreTrainedModel:
    """12 layers of 12 heads, 768 wide, random weights."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    assert model.num_parameters() == 124_439_808
    return model.to(device)
