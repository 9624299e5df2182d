"""Read attention while a model runs: one registered attention function for every family, leaving no trace.

The function computes the head outputs by transformers' own `sdpa` kernel, so logits are bit-identical to a model that
nobody watches, and computes the pattern beside it, from the same q and k (after rotary embedding). A pattern lives
only while its layer runs: the reader reduces it at once.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "loupe"

# Called with the layer's number and its pattern [batch, head, dest, src]; rows sum to 1, masked keys are exactly 0.
PatternReader = Callable[[int, Float[Tensor, "batch head dest src"]], None]

_reader: contextvars.ContextVar[PatternReader | None] = contextvars.ContextVar("pattern_reader", default=None)


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
    for feature in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(feature) is not None:
            raise CaptureError(f"Capturing attention: expected plain softmax attention, got a model with {feature}.")
    if reader := _reader.get():
        scaling = kwargs.get("scaling")
        reader(
            int(module.layer_idx),  # type: ignore[arg-type]  # every family numbers its attention modules
            attention_pattern(
                query,
                key,
                attention_mask,
                scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
                causal=getattr(module, "is_causal", True),
            ),
        )
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(NAME, _attention)
# Without a mask function of the same name transformers passes no mask at all.
AttentionMaskInterface.register(NAME, sdpa_mask)


def attention_pattern(
    query: Float[Tensor, "batch head dest d_head"],
    key: Float[Tensor, "batch kv_head src d_head"],
    mask: Bool[Tensor, "batch one dest src"] | Float[Tensor, "batch one dest src"] | None,
    *,
    scaling: float,
    causal: bool,
) -> Float[Tensor, "batch head dest src"]:
    """softmax(q·k × scaling + mask), each group of query heads reading its key head. In [0, 1], rows sum to 1.

    `mask` is as `sdpa` takes it: True or an added number where a key may be read, None for all earlier keys
    (`causal`) or all keys.
    """
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, dim=1).mT * scaling
    if mask is None and causal:
        dest, src = scores.shape[-2:]
        mask = torch.ones(dest, src, dtype=torch.bool, device=scores.device).tril(src - dest)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(dim=-1)


@contextlib.contextmanager
def reading_patterns(model: PreTrainedModel, reader: PatternReader) -> Iterator[None]:
    """While the block runs, hand each layer's attention pattern to `reader`. The model is restored afterwards."""
    before = model.config._attn_implementation  # noqa: SLF001 (transformers has a setter but no getter)
    model.set_attn_implementation(NAME)
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)
        model.set_attn_implementation(before)
