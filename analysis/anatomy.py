"""Where the parts are in each architecture family: one small table, and the refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from analysis.schema import Sizes


class AnatomyError(Exception):
    """A model is of a family, or has a feature, that is not measured; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Family:
    """An architecture family: the path of its transformer body, and its names of the sizes in the config."""

    body: str  # the module that runs without the unembedding
    d_mlp: str  # config attribute of the neurons of a layer


# By `config.model_type`.
FAMILIES: dict[str, Family] = {
    "gpt2": Family(body="transformer", d_mlp="n_inner"),
    "gpt_neox": Family(body="gpt_neox", d_mlp="intermediate_size"),
    "llama": Family(body="model", d_mlp="intermediate_size"),
}


def family_of(config: Any) -> Family:
    """The family of a model, from its config; an unknown one is refused."""
    try:
        return FAMILIES[config.model_type]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise AnatomyError(
            f"Reading the anatomy of a model: expected a family among {known}, got {config.model_type}."
        ) from None


def sizes_of(config: Any) -> Sizes:
    """The sizes of a model, from its config."""
    family = family_of(config)
    n_heads, d_model = config.num_attention_heads, config.hidden_size
    # Configs say None, or nothing, where the size follows from others.
    return Sizes(
        n_layers=config.num_hidden_layers,
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        d_model=d_model,
        d_head=getattr(config, "head_dim", None) or d_model // n_heads,
        d_mlp=getattr(config, family.d_mlp, None) or 4 * d_model,
        d_vocab=config.vocab_size,
    )


def body_of(model: nn.Module) -> nn.Module:
    """The transformer body: everything but the unembedding."""
    return model.get_submodule(family_of(model.config).body)
