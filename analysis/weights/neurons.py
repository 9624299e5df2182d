"""What each neuron of a layer promotes, what excites it, and which neurons of the model are like it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from analysis.weights.residual import Neurons, Tokens
from analysis.weights.top import top

N_TOKENS = 10
N_NEAREST = 10
_BLOCK = 512  # neurons whose values for all tokens are in memory at once


def promoted(neurons: Neurons, tokens: Tokens, *, on_block: Callable[[], None]) -> dict[str, Tensor]:
    """The tokens that each neuron's output promotes and suppresses most, straight to the unembedding.

    `promoted_tokens`, `suppressed_tokens` int32 [neuron, 10], strongest first, and `promoted_logits`,
    `suppressed_logits` float32: W_U (final norm folded in) times the output vector of the neuron, so logits for one
    unit of activation where the final norm divides by 1, centred over the vocabulary. `on_block` is called now and
    then.
    """
    high, low = _extremes(neurons.writes, tokens.unembedding, on_block=on_block)
    return {
        "promoted_tokens": high[1],
        "promoted_logits": high[0],
        "suppressed_tokens": low[1],
        "suppressed_logits": low[0],
    }


def excited(neurons: Neurons, tokens: Tokens, *, on_block: Callable[[], None]) -> dict[str, Tensor]:
    """The tokens whose embedding alone excites each neuron most.

    This is the direct path: the MLP's norm applied to the token's row of W_E, without what positions and earlier
    layers add. Values are pre-activations, biases included. `input_tokens` int32 [neuron, 10] and `input_values`
    float32; of a gated MLP, whose activation is act(gate) × up, `gate_…` and `up_…` instead, and `up_negative_…` for
    the most negative up inputs, strongest first. `on_block` is called now and then.
    """
    embedding = tokens.normalised(neurons.norm)
    ups, downs = _extremes(neurons.reads, embedding, constant=neurons.reads_constant, on_block=on_block)
    if neurons.gate is None:
        return {"input_tokens": ups[1], "input_values": ups[0]}
    gates, _ = _extremes(neurons.gate, embedding, constant=neurons.gate_constant, on_block=on_block)
    return {
        "gate_tokens": gates[1],
        "gate_values": gates[0],
        "up_tokens": ups[1],
        "up_values": ups[0],
        "up_negative_tokens": downs[1],
        "up_negative_values": downs[0],
    }


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The nearest neurons of each neuron so far: int64 index over the whole model, layer × d_mlp + neuron."""

    cosines: Float[Tensor, "layer neuron nearest"]
    neurons: Int[Tensor, "layer neuron nearest"]

    def take(self, layer: int, cosines: Float[Tensor, "neuron other"], *, of: int) -> None:
        """Merge the cosines of a layer's neurons with those of layer `of`."""
        values, others = top(cosines, N_NEAREST, group=16)
        values = torch.cat([self.cosines[layer], values], 1)
        others = torch.cat([self.neurons[layer], of * cosines.shape[1] + others], 1)
        best = values.topk(N_NEAREST)
        self.cosines[layer] = best.values
        self.neurons[layer] = others.gather(1, best.indices)


def nearest(vectors: Float[Tensor, "layer neuron d_model"], *, on_pair: Callable[[], None]) -> Nearest:
    """The 10 neurons of the whole model with the largest cosine to each neuron, itself left out; −1 with cosine NaN
    where the model has fewer.

    Every pair of layers is multiplied once; at most one pair's cosines are in memory. `on_pair` is called after each.
    """
    n_layers, n_neurons, _ = vectors.shape
    unit = functional.normalize(vectors, dim=-1)
    shape = (n_layers, n_neurons, N_NEAREST)
    found = Nearest(
        torch.full(shape, -torch.inf, device=unit.device),
        torch.full(shape, -1, dtype=torch.int64, device=unit.device),
    )
    for layer in range(n_layers):
        for other in range(layer, n_layers):
            cosines = unit[layer] @ unit[other].T
            if other == layer:
                cosines.fill_diagonal_(-torch.inf)
            found.take(layer, cosines, of=other)
            if other != layer:
                found.take(other, cosines.T.contiguous(), of=layer)
            on_pair()
    nobody = found.cosines.isinf()
    return Nearest(found.cosines.masked_fill(nobody, torch.nan), found.neurons.masked_fill(nobody, -1))


def _extremes(
    vectors: Float[Tensor, "neuron d_model"],
    tokens: Float[Tensor, "token d_model"],
    *,
    constant: Float[Tensor, " neuron"] | None = None,
    on_block: Callable[[], None],
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(values, tokens) of the highest and of the lowest products of each vector."""
    high, low = [], []
    for start in range(0, len(vectors), _BLOCK):
        products = vectors[start : start + _BLOCK] @ tokens.T
        high.append(top(products, N_TOKENS))
        low.append(top(products.neg_(), N_TOKENS))
        on_block()
    highest, lowest = (tuple(torch.cat(parts) for parts in zip(*found, strict=True)) for found in (high, low))
    shift = 0 if constant is None else constant[:, None]
    return (highest[0] + shift, highest[1]), (shift - lowest[0], lowest[1])
