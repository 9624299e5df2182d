"""Read activations while a model runs: one way for every family, leaving no trace.

Attention goes through one registered attention function. For a reader it computes the pattern from q and k (after
rotary embedding) and the head outputs from the pattern: logits agree with those of transformers' own `sdpa` kernel to
within rounding, and models that nobody reads use that kernel. Neurons and the residual stream are read by hooks. What
is read lives only while its layer runs: a reader reduces it at once.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from analysis.anatomy import family_of, layers_of

NAME = "loupe"


@dataclasses.dataclass(frozen=True)
class AttentionReading:
    """What the heads of a layer did in one forward pass."""

    scores: Float[Tensor, "batch head dest src"]  # what the softmax is taken of; at masked keys the least number
    pattern: Float[Tensor, "batch head dest src"]  # rows sum to 1, masked keys are exactly 0
    value: Float[Tensor, "batch kv_head src d_head"]  # bias included
    z: Float[Tensor, "batch dest head d_head"]  # pattern @ value, before W_O


@dataclasses.dataclass(frozen=True)
class ResidualReading:
    """The residual stream on its way through a layer in one forward pass."""

    before: Float[Tensor, "batch pos d_model"]
    attention_added: Float[Tensor, "batch pos d_model"]
    mlp_added: Float[Tensor, "batch pos d_model"] | None  # None: the layer has no MLP
    after: Float[Tensor, "batch pos d_model"]


# Called with the layer's number and what was read, in the order in which the model computes it.
AttentionReader = Callable[[int, AttentionReading], None]
NeuronReader = Callable[[int, Float[Tensor, "batch pos neuron"]], None]  # activations: what W_out reads
# What is above 0 where a neuron is active: of a gated MLP the gate before its activation function, else the activation.
GateReader = Callable[[int, Float[Tensor, "batch pos neuron"]], None]
StartReader = Callable[[int, Float[Tensor, "batch pos d_model"]], None]
ResidualReader = Callable[[int, ResidualReading], None]
PatternReader = Callable[[int, Float[Tensor, "batch head dest src"]], None]

_reader: contextvars.ContextVar[AttentionReader | None] = contextvars.ContextVar("attention_reader", default=None)


class CaptureError(Exception):
    """A model computes attention in a way that is not captured exactly; the message is one sentence."""


def _attention(
    module: nn.Module,
    query: Float[Tensor, "batch head dest d_head"],
    key: Float[Tensor, "batch kv_head src d_head"],
    value: Float[Tensor, "batch kv_head src d_head"],
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch dest head d_head"], None]:
    for feature in ("s_aux", "position_bias"):
        if kwargs.get(feature) is not None:
            raise CaptureError(f"Capturing attention: expected plain softmax attention, got a model with {feature}.")
    reader, cap, scaling = _reader.get(), kwargs.get("softcap"), kwargs.get("scaling")
    if reader is None and cap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    scores = attention_scores(
        query,
        key,
        attention_mask,
        scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
        causal=getattr(module, "is_causal", True),
        cap=cap,
    ).float()  # a model of bfloat16 computes its softmax in float32 too
    pattern = scores.softmax(dim=-1)
    # the query heads of a group are further rows of one product with their value head
    grouped = pattern.to(value.dtype).view(*value.shape[:2], -1, value.shape[2])
    z = (grouped @ value).view(*pattern.shape[:3], -1).transpose(1, 2).contiguous()
    if reader is not None:
        layer: Any = module.layer_idx  # every family numbers its attention modules
        reader(layer, AttentionReading(scores, pattern, value, z))
    return z, None


AttentionInterface.register(NAME, _attention)
# Without a mask function of the same name transformers passes no mask at all.
AttentionMaskInterface.register(NAME, sdpa_mask)


def attention_scores(
    query: Float[Tensor, "batch head dest d_head"],
    key: Float[Tensor, "batch kv_head src d_head"],
    mask: Bool[Tensor, "batch one dest src"] | Float[Tensor, "batch one dest src"] | None,
    *,
    scaling: float,
    causal: bool,
    cap: float | None = None,
) -> Float[Tensor, "batch head dest src"]:
    """q·k × scaling + mask, each group of query heads reading its key head.

    `mask` is as `sdpa` takes it: True or an added number where a key may be read, None for all earlier keys
    (`causal`) or all keys. Where a key may not be read the score is the least number of its type, so that its
    attention is exactly 0 and nothing is infinite. `cap` c replaces a score s by c·tanh(s / c), before the mask.
    """
    batch, heads, dest, d_head = query.shape
    kv_heads, src = key.shape[1:3]
    least = torch.finfo(query.dtype).min
    if mask is None:
        mask = torch.ones(1, 1, dest, src, dtype=torch.bool, device=query.device)
        mask = mask.tril(src - dest) if causal else mask
    allowed, forbidden = query.new_tensor(0.0), query.new_tensor(least)
    added = torch.where(mask, allowed, forbidden) if mask.dtype == torch.bool else mask.clamp(min=least)
    # the query heads of a group are further rows of one product with their key head
    groups = batch * kv_heads
    added = added.repeat(1, 1, heads // kv_heads, 1).expand(batch, kv_heads, -1, -1).reshape(groups, -1, src)
    queries, keys = query.reshape(groups, -1, d_head), key.reshape(groups, src, d_head)
    if cap is None:
        scores = torch.baddbmm(added, queries, keys.mT, alpha=scaling)
    else:
        scores = cap * torch.tanh(torch.bmm(queries, keys.mT) * (scaling / cap)) + added
    return scores.view(batch, heads, dest, src)


@contextlib.contextmanager
def reading(
    model: PreTrainedModel,
    *,
    start: StartReader | None = None,
    attention: AttentionReader | None = None,
    neurons: NeuronReader | None = None,
    gates: GateReader | None = None,
    residual: ResidualReader | None = None,
) -> Iterator[None]:
    """While the block runs, hand what each layer does to the readers. The model is restored afterwards.

    Of layers without an MLP nothing of neurons is handed over.

    `start` is given the residual stream that enters a layer, before anything else of it is read; `gates` what is above
    0 where a neuron is active, before `neurons` the activations.
    """
    before = model.config._attn_implementation  # noqa: SLF001 (transformers has a setter but no getter)
    handles: list[Any] = []
    if attention:
        model.set_attn_implementation(NAME)
    token = _reader.set(attention)
    try:
        for layer, block in enumerate(layers_of(model)):
            if start:
                handles.append(block.register_forward_pre_hook(_input_hook(layer, start)))
            w_out = family_of(model.config).w_out
            if gates and w_out:
                handles.append(_read_gates(model, layer, block, gates))
            if neurons and w_out:
                handles.append(block.get_submodule(w_out).register_forward_pre_hook(_input_hook(layer, neurons)))
            if residual:
                handles += _read_residual(model, layer, block, residual)
        yield
    finally:
        for handle in handles:
            handle.remove()
        _reader.reset(token)
        model.set_attn_implementation(before)


@contextlib.contextmanager
def reading_patterns(model: PreTrainedModel, reader: PatternReader) -> Iterator[None]:
    """While the block runs, hand each layer's attention pattern to `reader`. The model is restored afterwards."""
    with reading(model, attention=lambda layer, reading: reader(layer, reading.pattern)):
        yield


def _input_hook(layer: int, reader: StartReader) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def at_input(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        reader(layer, inputs[0])

    return at_input


def _read_gates(model: PreTrainedModel, layer: int, block: nn.Module, reader: GateReader) -> Any:
    family = family_of(model.config)
    assert family.w_out
    if family.w_gate is None:
        return block.get_submodule(family.w_out).register_forward_pre_hook(_input_hook(layer, reader))

    def at_gate(module: nn.Module, inputs: Any, output: Tensor) -> None:
        reader(layer, output)

    return block.get_submodule(family.w_gate).register_forward_hook(at_gate)


def _read_residual(model: PreTrainedModel, layer: int, block: nn.Module, reader: ResidualReader) -> list[Any]:
    family = family_of(model.config)
    added: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def at_output(module: nn.Module, inputs: Any, output: Tensor) -> None:
            added[name] = output

        return at_output

    def at_end(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        reader(layer, ResidualReading(inputs[0], added.pop("attention"), added.pop("mlp", None), output))

    adding = {"attention": family.attention_added} | ({"mlp": family.mlp_added} if family.mlp_added else {})
    hooks = [block.get_submodule(path).register_forward_hook(keep(name)) for name, path in adding.items()]
    return [*hooks, block.register_forward_hook(at_end)]
