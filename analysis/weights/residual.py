"""Weights as vectors of the residual stream: norms folded in, heads apart, tokens by their direct path.

*Folded* means that a vector that reads a norm's output has become one that reads what the norm is given, up to the
norm's positive scale: gain multiplied in and, for LayerNorm alone, the mean taken out. What is written is given as
everything that reads it sees it: through the norm that some families (Gemma 2, OLMo 2) put between a layer's sum and
the residual stream, again up to its positive scale, and without its mean where the model's norms are LayerNorms.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from analysis.anatomy import (
    Norm,
    NormKind,
    attention_norm,
    attention_output_norm,
    attention_weights,
    embedding_of,
    final_norm,
    mlp_norm,
    mlp_output_norm,
    neuron_weights,
    sizes_of,
    unembedding_of,
)


class Tokens:
    """The first `n` tokens of a model's vocabulary, as its weights meet them."""

    def __init__(self, model: nn.Module, n: int) -> None:
        self._model, self._n = model, n
        self._embedding = embedding_of(model)[:n]
        self._normalised: dict[tuple[NormKind, float], Float[Tensor, "token d_model"]] = {}

    @functools.cached_property
    def unembedding(self) -> Float[Tensor, "token d_model"]:
        """W_U with the final norm folded in, centred over tokens: a logit that all tokens share changes no prediction.
        Of a classifier an `AnatomyError`."""
        unembedding = final_norm(self._model).fold(unembedding_of(self._model)[: self._n])
        return unembedding - unembedding.mean(0)

    def normalised(self, norm: Norm) -> Float[Tensor, "token d_model"]:
        """W_E as folded vectors read it: normalised, but without the norm's gain and bias."""
        key = norm.kind, norm.epsilon
        if key not in self._normalised:  # in practice all norms of a model share one
            self._normalised[key] = norm.normalise(self._embedding)
        return self._normalised[key]


@dataclasses.dataclass(frozen=True)
class Heads:
    """A layer's heads, folded. Heads that share a KV head have the same k and v."""

    norm: Norm
    q: Float[Tensor, "head d_head d_model"]
    k: Float[Tensor, "head d_head d_model"]
    v: Float[Tensor, "head d_head d_model"]
    o: Float[Tensor, "head d_model d_head"]
    q_constant: Float[Tensor, "head d_head"]  # what biases, the norm's included, add to every query
    k_constant: Float[Tensor, "head d_head"]


def heads_of(model: nn.Module, layer: int) -> Heads:
    """The heads of a layer as vectors of the residual stream."""
    weights, norm, sizes = attention_weights(model, layer), attention_norm(model, layer), sizes_of(model.config)
    group = sizes.n_heads // sizes.n_kv_heads
    return Heads(
        norm=norm,
        q=norm.fold(weights.q),
        k=norm.fold(weights.k).repeat_interleave(group, 0),
        v=norm.fold(weights.v).repeat_interleave(group, 0),
        o=_as_read(model, attention_output_norm(model, layer).carry(weights.o.mT)).mT,
        q_constant=_constant(weights.q, weights.q_bias, norm),
        k_constant=_constant(weights.k, weights.k_bias, norm).repeat_interleave(group, 0),
    )


@dataclasses.dataclass(frozen=True)
class Neurons:
    """A layer's neurons, folded. In a gated MLP the activation is act(gate) × (what `reads` gives)."""

    norm: Norm
    reads: Float[Tensor, "neuron d_model"]
    gate: Float[Tensor, "neuron d_model"] | None
    writes: Float[Tensor, "neuron d_model"]
    reads_constant: Float[Tensor, " neuron"]  # what biases, the norm's included, add to every pre-activation
    gate_constant: Float[Tensor, " neuron"] | None

    @property
    def first(self) -> Float[Tensor, "neuron d_model"]:
        """What decides whether a neuron is active: its gate, if it has one."""
        return self.reads if self.gate is None else self.gate


def neurons_of(model: nn.Module, layer: int) -> Neurons:
    """The neurons of a layer as vectors of the residual stream."""
    weights, norm = neuron_weights(model, layer), mlp_norm(model, layer)
    return Neurons(
        norm=norm,
        reads=norm.fold(weights.reads),
        gate=None if weights.gate is None else norm.fold(weights.gate),
        writes=_as_read(model, mlp_output_norm(model, layer).carry(weights.writes)),
        reads_constant=_constant(weights.reads, weights.reads_bias, norm),
        gate_constant=None if weights.gate is None else _constant(weights.gate, weights.gate_bias, norm),
    )


def rotated(
    vectors: Float[Tensor, "*vectors d_head"], frequencies: Float[Tensor, " half"], offset: int
) -> Float[Tensor, "*vectors d_head"]:
    """Queries as keys `offset` positions before them meet them: dimensions i and i + half turned by offset ×
    frequency i, those from 2 × half on left alone."""
    half = len(frequencies)
    cosine, sine = torch.cos(offset * frequencies), torch.sin(offset * frequencies)
    first, second, rest = vectors[..., :half], vectors[..., half : 2 * half], vectors[..., 2 * half :]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine, rest], -1)


def _as_read(model: nn.Module, writes: Float[Tensor, "*parts d_model"]) -> Float[Tensor, "*parts d_model"]:
    layer_norms = final_norm(model).kind is NormKind.LAYER
    return writes - writes.mean(-1, keepdim=True) if layer_norms else writes


def _constant(
    weights: Float[Tensor, "*parts d_model"], bias: Float[Tensor, "*parts"] | None, norm: Norm
) -> Float[Tensor, "*parts"]:
    constant = torch.zeros_like(weights[..., 0]) if norm.bias is None else weights @ norm.bias
    return constant if bias is None else constant + bias
