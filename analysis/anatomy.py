"""Where the parts are in each architecture family: one small table, the weights it leads to, and the refusals."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from analysis.schema import Sizes


class AnatomyError(Exception):
    """A model is of a family, or has a feature, that is not measured; the message is one sentence."""


class QkvLayout(enum.Enum):
    """How a family stores W_Q, W_K and W_V."""

    SEPARATE = "three matrices"
    STACKED = "one matrix: all queries, then all keys, then all values"
    INTERLEAVED = "one matrix: query, key and value of head 0, then of head 1, …"


class NormKind(enum.Enum):
    """What stands between the residual stream and the weights that read it."""

    LAYER = "LayerNorm: subtracts the mean, divides by the standard deviation"
    RMS = "RMSNorm: divides by the root mean square, keeps the mean"
    NONE = "nothing"


@dataclasses.dataclass(frozen=True)
class Family:
    """An architecture family, as paths of modules. Those after `layers` start at one layer's block."""

    body: str  # the module that runs without the unembedding
    layers: str  # of the body
    embed: str  # of the body
    final_norm: str  # of the body
    d_mlp: str | None  # config attribute of the neurons of a layer; None: no layer has an MLP
    attention: str  # the module whose inputs are normalised residual stream
    qkv: tuple[str, ...]  # of the attention module
    qkv_layout: QkvLayout
    w_o: str
    w_in: str | None  # what a neuron reads; of a gated MLP, what its gate multiplies
    w_gate: str | None  # of a gated MLP
    w_out: str | None  # its input is the activations of the neurons
    attention_norm: str | None  # None: the attention reads the residual stream as it is
    mlp_norm: str | None
    attention_added: str  # the module whose output the attention adds to the residual stream
    mlp_added: str | None
    readout: str | None = None  # of the model: what reads the final norm, where it is no unembedding but a classifier
    gain_is_one_plus: bool = False  # the stored gain of a norm is its difference from 1

    @property
    def heads_add_up(self) -> bool:
        """Whether the outputs of a layer's heads are summands of the residual stream; not where a norm comes after."""
        return self.attention_added == self.w_o

    @property
    def has_mlp(self) -> bool:
        return self.w_out is not None

    @property
    def neurons_add_up(self) -> bool:
        """Whether the outputs of a layer's neurons are summands of the residual stream."""
        return self.mlp_added == self.w_out


_LLAMA = Family(
    body="model",
    layers="layers",
    embed="embed_tokens",
    final_norm="norm",
    d_mlp="intermediate_size",
    attention="self_attn",
    qkv=("q_proj", "k_proj", "v_proj"),
    qkv_layout=QkvLayout.SEPARATE,
    w_o="self_attn.o_proj",
    w_in="mlp.up_proj",
    w_gate="mlp.gate_proj",
    w_out="mlp.down_proj",
    attention_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    attention_added="self_attn.o_proj",
    mlp_added="mlp.down_proj",
)

# By `config.model_type`.
FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        body="transformer",
        layers="h",
        embed="wte",
        final_norm="ln_f",
        d_mlp="n_inner",
        attention="attn",
        qkv=("c_attn",),
        qkv_layout=QkvLayout.STACKED,
        w_o="attn.c_proj",
        w_in="mlp.c_fc",
        w_gate=None,
        w_out="mlp.c_proj",
        attention_norm="ln_1",
        mlp_norm="ln_2",
        attention_added="attn.c_proj",
        mlp_added="mlp.c_proj",
    ),
    "gpt_neox": Family(
        body="gpt_neox",
        layers="layers",
        embed="embed_in",
        final_norm="final_layer_norm",
        d_mlp="intermediate_size",
        attention="attention",
        qkv=("query_key_value",),
        qkv_layout=QkvLayout.INTERLEAVED,
        w_o="attention.dense",
        w_in="mlp.dense_h_to_4h",
        w_gate=None,
        w_out="mlp.dense_4h_to_h",
        attention_norm="input_layernorm",
        mlp_norm="post_attention_layernorm",
        attention_added="attention.dense",
        mlp_added="mlp.dense_4h_to_h",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "olmo2": dataclasses.replace(
        _LLAMA,
        attention_norm=None,
        mlp_norm=None,
        attention_added="post_attention_layernorm",
        mlp_added="post_feedforward_layernorm",
    ),
    "gemma2": dataclasses.replace(
        _LLAMA,
        mlp_norm="pre_feedforward_layernorm",
        attention_added="post_attention_layernorm",
        mlp_added="post_feedforward_layernorm",
        gain_is_one_plus=True,
    ),
    "phi": dataclasses.replace(
        _LLAMA,
        final_norm="final_layernorm",
        w_o="self_attn.dense",
        w_in="mlp.fc1",
        w_gate=None,
        w_out="mlp.fc2",
        mlp_norm="input_layernorm",  # parallel: attention and MLP read the same
        attention_added="self_attn.dense",
        mlp_added="mlp.fc2",
    ),
    "attention_only": dataclasses.replace(
        _LLAMA, d_mlp=None, w_in=None, w_gate=None, w_out=None, mlp_norm=None, mlp_added=None
    ),
    "bracket_classifier": dataclasses.replace(_LLAMA, w_gate=None, readout="score"),
}


# Config attributes that, where true, are features outside the table.
_NOT_MEASURED = {
    "add_cross_attention": "cross attention",
    "is_encoder_decoder": "an encoder",
    "use_bidirectional_attention": "attention to later tokens",
}


def family_of(config: Any) -> Family:
    """The family of a model, from its config; an unknown one, or one with a feature outside the table, is refused."""
    if config.model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise AnatomyError(f"Reading the anatomy of a model: expected a family among {known}, got {config.model_type}.")
    for attribute, feature in _NOT_MEASURED.items():
        if getattr(config, attribute, False):
            raise AnatomyError(
                f"Reading the anatomy of a model: expected a decoder of causal self-attention, got one with {feature}."
            )
    return FAMILIES[config.model_type]


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
        d_mlp=(getattr(config, family.d_mlp, None) or 4 * d_model) if family.d_mlp else 0,
        d_vocab=config.vocab_size,
    )


def is_parallel(config: Any) -> bool:
    """Whether a layer's MLP reads what its attention reads, and not what the attention has written."""
    return config.model_type == "phi" or bool(getattr(config, "use_parallel_residual", False))


def normalises_queries(config: Any) -> bool:
    """Whether queries and keys are normalised after W_Q and W_K, so that scores are not bilinear in the residual
    stream and no QK circuit of weights alone exists."""
    return config.model_type in ("qwen3", "olmo2") or bool(getattr(config, "qk_layernorm", False))


def body_of(model: nn.Module) -> nn.Module:
    """The transformer body: everything but the unembedding."""
    return model.get_submodule(family_of(model.config).body)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of the model, one a layer."""
    return list(body_of(model).get_submodule(family_of(model.config).layers).children())


@dataclasses.dataclass(frozen=True)
class Norm:
    """A norm, taken apart: what it does to a vector, then `gain` and `bias`."""

    kind: NormKind
    gain: Float[Tensor, " d_model"]  # ones where there is no norm
    bias: Float[Tensor, " d_model"] | None
    epsilon: float = 0.0  # added to the variance or mean square

    def normalise(self, residual: Float[Tensor, "*positions d_model"]) -> Float[Tensor, "*positions d_model"]:
        """What the norm does to a vector, before gain and bias."""
        if self.kind is NormKind.NONE:
            return residual
        centred = residual - residual.mean(-1, keepdim=True) if self.kind is NormKind.LAYER else residual
        return centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.epsilon)

    def fold(self, reads: Float[Tensor, "*parts d_model"]) -> Float[Tensor, "*parts d_model"]:
        """Vectors that read the norm's output as vectors that read the residual stream, up to its positive scale: the
        gain multiplied in and, for LayerNorm alone, the mean taken out."""
        folded = reads * self.gain
        return folded - folded.mean(-1, keepdim=True) if self.kind is NormKind.LAYER else folded

    def carry(self, writes: Float[Tensor, "*parts d_model"]) -> Float[Tensor, "*parts d_model"]:
        """Vectors that are summands of the norm's input as summands of its output, up to its positive scale."""
        centred = writes - writes.mean(-1, keepdim=True) if self.kind is NormKind.LAYER else writes
        return centred * self.gain


def _norm(model: nn.Module, module: nn.Module | None) -> Norm:
    embedding = embedding_of(model)
    if module is None:
        return Norm(NormKind.NONE, torch.ones(embedding.shape[1], device=embedding.device), None)
    kind = NormKind.LAYER if isinstance(module, nn.LayerNorm) else NormKind.RMS
    gain: Any = module.weight
    bias: Any = getattr(module, "bias", None)
    one_plus = family_of(model.config).gain_is_one_plus
    epsilon: Any = getattr(module, "variance_epsilon", None) or module.eps
    return Norm(
        kind, gain.detach() + 1 if one_plus else gain.detach(), None if bias is None else bias.detach(), epsilon
    )


def attention_norm(model: nn.Module, layer: int) -> Norm:
    """The norm between the residual stream and W_Q, W_K and W_V of a layer."""
    path = family_of(model.config).attention_norm
    return _norm(model, layers_of(model)[layer].get_submodule(path) if path else None)


def mlp_norm(model: nn.Module, layer: int) -> Norm:
    """The norm between the residual stream and the MLP of a layer."""
    path = family_of(model.config).mlp_norm
    return _norm(model, layers_of(model)[layer].get_submodule(path) if path else None)


def attention_output_norm(model: nn.Module, layer: int) -> Norm:
    """The norm between the sum of a layer's heads and the residual stream; none where heads add up."""
    family = family_of(model.config)
    return _norm(model, None if family.heads_add_up else layers_of(model)[layer].get_submodule(family.attention_added))


def mlp_output_norm(model: nn.Module, layer: int) -> Norm:
    """The norm between the sum of a layer's neurons and the residual stream; none where neurons add up."""
    family = family_of(model.config)
    path = None if family.neurons_add_up else family.mlp_added
    return _norm(model, layers_of(model)[layer].get_submodule(path) if path else None)


def final_norm(model: nn.Module) -> Norm:
    """The norm between the residual stream and the unembedding."""
    return _norm(model, body_of(model).get_submodule(family_of(model.config).final_norm))


def embedding_of(model: nn.Module) -> Float[Tensor, "d_vocab d_model"]:
    """W_E as it enters the residual stream."""
    module: Any = body_of(model).get_submodule(family_of(model.config).embed)
    scale = getattr(module, "embed_scale", None)
    return module.weight.detach() if scale is None else module.weight.detach() * scale.to(module.weight.dtype)


def unembedding_of(model: nn.Module) -> Float[Tensor, "d_vocab d_model"]:
    """W_U, one row a token; of a classifier an `AnatomyError`."""
    if family_of(model.config).readout:
        raise AnatomyError("Reading the unembedding of a model: expected one that predicts tokens, got a classifier.")
    return _readout(model).weight.detach()


def _readout(model: nn.Module) -> Any:
    """What reads the final norm: the unembedding, or a classifier."""
    path = family_of(model.config).readout
    # of transformers' PreTrainedModel
    return model.get_submodule(path) if path else model.get_output_embeddings()  # type: ignore[operator]


def logits_of(model: nn.Module, residual: Float[Tensor, "*positions d_model"]) -> Float[Tensor, "*positions d_vocab"]:
    """The model's own way from the residual stream to logits: final norm, unembedding, and its cap if it has one.
    A classifier's logits are of classes, […, class], and the model gives those of position 0 alone."""
    logits = _readout(model)(body_of(model).get_submodule(family_of(model.config).final_norm)(residual))
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


@dataclasses.dataclass(frozen=True)
class AttentionWeights:
    """The weights of a layer's heads. Keys and values belong to KV heads."""

    q: Float[Tensor, "head d_head d_model"]
    k: Float[Tensor, "kv_head d_head d_model"]
    v: Float[Tensor, "kv_head d_head d_model"]
    o: Float[Tensor, "head d_model d_head"]
    q_bias: Float[Tensor, "head d_head"] | None
    k_bias: Float[Tensor, "kv_head d_head"] | None
    v_bias: Float[Tensor, "kv_head d_head"] | None
    o_bias: Float[Tensor, " d_model"] | None


def attention_scaling(model: nn.Module, layer: int) -> float:
    """What the product of a query and a key is multiplied by to be an attention score."""
    module: Any = layers_of(model)[layer].get_submodule(family_of(model.config).attention)
    return module.scaling


def attention_weights(model: nn.Module, layer: int) -> AttentionWeights:
    """W_Q, W_K, W_V, W_O of a layer, head by head."""
    family, sizes = family_of(model.config), sizes_of(model.config)
    block = layers_of(model)[layer]
    modules = [block.get_submodule(f"{family.attention}.{name}") for name in family.qkv]
    n_heads, n_kv_heads, d_head = sizes.n_heads, sizes.n_kv_heads, sizes.d_head
    weights = torch.cat([_weight(module) for module in modules])
    biases = None if _bias(modules[0]) is None else torch.cat([_bias(module) for module in modules])  # type: ignore[misc]
    if family.qkv_layout is QkvLayout.INTERLEAVED:
        weights = weights.unflatten(0, (n_heads, 3, d_head)).transpose(0, 1).flatten(0, 2)
        biases = None if biases is None else biases.unflatten(0, (n_heads, 3, d_head)).transpose(0, 1).flatten()
    counts = (n_heads, n_kv_heads, n_kv_heads)
    q, k, v = (part.unflatten(0, (-1, d_head)) for part in weights.split([n * d_head for n in counts]))
    q_bias, k_bias, v_bias = (
        (None, None, None)
        if biases is None
        else (part.unflatten(0, (-1, d_head)) for part in biases.split([n * d_head for n in counts]))
    )
    out = block.get_submodule(family.w_o)
    o = _weight(out).unflatten(1, (n_heads, d_head)).transpose(0, 1)
    return AttentionWeights(q, k, v, o, q_bias, k_bias, v_bias, _bias(out))


@dataclasses.dataclass(frozen=True)
class NeuronWeights:
    """The weights of a layer's neurons. In a gated MLP the activation is act(gate · x) × (reads · x)."""

    reads: Float[Tensor, "neuron d_model"]
    gate: Float[Tensor, "neuron d_model"] | None
    writes: Float[Tensor, "neuron d_model"]
    reads_bias: Float[Tensor, " neuron"] | None
    gate_bias: Float[Tensor, " neuron"] | None


def neuron_weights(model: nn.Module, layer: int) -> NeuronWeights:
    """What each neuron of a layer reads from the normalised residual stream and what it writes. A layer without an MLP
    has none: `has_mlp` of its family says so."""
    family = family_of(model.config)
    block = layers_of(model)[layer]
    assert family.w_in
    assert family.w_out
    reads = block.get_submodule(family.w_in)
    gate = block.get_submodule(family.w_gate) if family.w_gate else None
    return NeuronWeights(
        _weight(reads),
        None if gate is None else _weight(gate),
        _weight(block.get_submodule(family.w_out)).T,
        _bias(reads),
        None if gate is None else _bias(gate),
    )


def rotary_frequencies(model: nn.Module) -> Float[Tensor, " half"] | None:
    """The angle, in radians a position, by which rotary embedding turns dimension i with dimension i + half of each
    head's queries and keys; None where positions enter otherwise. Dimensions from 2 × half on are not turned.

    Rotary embedding whose angles change with the length of the text, or that also scales, is refused: attention
    patterns of such a model are exact, but no statement of its weights at an offset is.
    """
    module: Any = getattr(body_of(model), "rotary_emb", None)
    if module is None:
        return None
    if module.rope_type not in ("default", "linear", "llama3") or module.attention_scaling != 1.0:
        raise AnatomyError(f"Reading rotary angles: expected rotary embedding by fixed angles, got {module.rope_type}.")
    return module.inv_freq.detach()


def _weight(module: Any) -> Float[Tensor, "out in"]:
    return module.weight.detach().T if isinstance(module, Conv1D) else module.weight.detach()


def _bias(module: Any) -> Float[Tensor, " out"] | None:
    bias = getattr(module, "bias", None)
    return None if bias is None else bias.detach()
