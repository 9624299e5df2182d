"""A folder with a model as transformers writes it: `config.json`, `tokenizer.json`, safetensors. Nothing in it is
executed or unpickled."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import analysis.organisms  # noqa: F401 (lets transformers load them)
from analysis.anatomy import family_of
from analysis.datasets.corpus import ROW_LENGTH
from analysis.families import predicts_tokens

from . import ModelError

_INDEX = "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
# What document separators are called where training rows were joined by one and no BOS token was named.
_SEPARATOR = "<|endoftext|>"


def auto_class(config: Any) -> Any:
    """The class of transformers that loads a model of this config."""
    return AutoModelForCausalLM if predicts_tokens(config.model_type) else AutoModelForSequenceClassification


def files_to_read(names: Collection[str], *, title: str) -> tuple[list[str], list[str]]:
    """Of the names in a model's folder those of the files that are needed: the small ones, and the weights."""
    weights = ["model.safetensors"] if "model.safetensors" in names else []
    if not weights and _INDEX in names:
        weights = [_INDEX, *sorted(fnmatch.filter(names, "model-*-of-*.safetensors"))]
    if "config.json" not in names:
        raise ModelError(f"Adding {title}: expected a config.json of a transformers model, got none.")
    if not weights:
        pickled = any(name.endswith(_PICKLED) for name in names)
        found = "pickled ones, which could run code when they are read" if pickled else "none"
        raise ModelError(f"Adding {title}: expected weights as model.safetensors, got {found}.")
    if "tokenizer.json" not in names:
        raise ModelError(f"Adding {title}: expected a fast tokenizer (tokenizer.json), got none.")
    return [name for name in ("config.json", "tokenizer.json", "tokenizer_config.json") if name in names], weights


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A model's files in a folder; `title` is for sentences."""

    path: Path
    title: str

    def config(self) -> Any:
        """The config, of a model that can be measured."""
        with self._explained("config.json"):
            if self._json("config.json").get("quantization_config"):
                raise ModelError(f"Adding {self.title}: expected plain weights, got quantised ones.")
            config = AutoConfig.from_pretrained(self.path, local_files_only=True, trust_remote_code=False)
        family_of(config)
        if predicts_tokens(config.model_type) and config.max_position_embeddings < ROW_LENGTH:
            raise ModelError(
                f"Adding {self.title}: expected room for rows of {ROW_LENGTH} tokens, "
                f"got {config.max_position_embeddings}."
            )
        return config

    def tokenizer(self) -> tuple[PreTrainedTokenizerFast, str | None]:
        """The tokenizer of `tokenizer.json`, with a BOS token where there is any that could be one, and why that one,
        unless the tokenizer names it itself."""
        with self._explained("tokenizer"):
            fast: Any = PreTrainedTokenizerFast
            tokenizer: PreTrainedTokenizerFast = fast(tokenizer_file=str(self.path / "tokenizer.json"))
            named = self._json("tokenizer_config.json") if (self.path / "tokenizer_config.json").is_file() else {}
            ids: dict[Any, str] = {token: text for text, token in tokenizer.get_vocab().items()}
            in_config = ids.get(self._json("config.json").get("bos_token_id"))
        n_ids = self.config().vocab_size
        if max(ids) >= n_ids:
            raise ModelError(
                f"Adding {self.title}: expected a tokenizer of {n_ids} tokens or fewer, got {max(ids) + 1}."
            )
        end = _text(named.get("eos_token"))
        for token, reason in (
            (_text(named.get("bos_token")), None),
            (in_config, f"its tokenizer names no BOS token, and its config {in_config}"),
            (_SEPARATOR, f"it has no BOS token, and {_SEPARATOR} stands between documents"),
            (end, f"it has no BOS token, and {end} ends a text"),
        ):
            if token in ids.values():
                tokenizer.bos_token = token
                return tokenizer, reason
        return tokenizer, None

    def model(self) -> PreTrainedModel:
        """The model, in float32; weights that do not fit the config are refused."""
        with self._explained("weights"):
            config = self.config()
            loaded: Any = auto_class(config).from_pretrained(
                self.path,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are refused below
                output_loading_info=True,
            )
        model, info = loaded
        for key, found in (
            ("missing_keys", "no"),
            ("mismatched_keys", "another shape of"),
            ("unexpected_keys", "besides"),
        ):
            if info[key]:
                first = min(name if isinstance(name, str) else name[0] for name in info[key])
                raise ModelError(
                    f"Adding {self.title}: expected the weights that its config describes, got {found} {first}."
                )
        return model

    def _json(self, name: str) -> dict[str, Any]:
        data = json.loads((self.path / name).read_text())
        if not isinstance(data, dict):
            raise ValueError(f"{name} is no object")
        return data

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn whatever is said of a damaged or foreign file into one sentence."""
        try:
            yield
        except ModelError:
            raise
        except Exception as error:  # tokenizers and safetensors have nothing narrower
            reason = str(error).strip().split("\n")[0][:200].rstrip(".")
            raise ModelError(f"Adding {self.title}: its {what} cannot be read ({reason}).") from error


def _text(token: Any) -> Any:
    """A special token as text; some are written with how they are to be matched."""
    return token.get("content") if isinstance(token, dict) else token
