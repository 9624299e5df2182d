"""Multi-head attention of the organisms, computed by whatever kernel transformers is set to."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

Hidden = Float[Tensor, "batch pos d_model"]


def eager_attention(
    module: nn.Module,
    query: Float[Tensor, "batch head dest d_head"],
    key: Float[Tensor, "batch head src d_head"],
    value: Float[Tensor, "batch head src d_head"],
    attention_mask: Tensor | None,
    *,
    scaling: float,
    **_: Any,
) -> tuple[Float[Tensor, "batch dest head d_head"], Float[Tensor, "batch head dest src"]]:
    """Attention by its definition; gives the pattern too."""
    scores = query @ key.mT * scaling
    pattern = (scores if attention_mask is None else scores + attention_mask).softmax(dim=-1)
    return (pattern @ value).transpose(1, 2).contiguous(), pattern


class Attention(nn.Module):
    """Heads that read `hidden` (normalised residual stream); queries and keys read `positions` besides, if given."""

    def __init__(self, config: Any, *, layer: int, causal: bool, bias: bool) -> None:
        super().__init__()
        self.config = config
        self.layer_idx, self.is_causal = layer, causal
        self.head_dim = config.head_dim
        self.scaling = config.head_dim**-0.5
        width = config.num_attention_heads * config.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(config.hidden_size, width, bias=bias) for _ in range(3))
        self.o_proj = nn.Linear(width, config.hidden_size, bias=bias)

    def forward(
        self, hidden: Hidden, positions: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Hidden, Tensor | None]:
        """What the heads add to the residual stream, and their pattern where the kernel gives it."""
        placed = hidden if positions is None else hidden + positions
        query, key, value = (
            projection(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection, x in ((self.q_proj, placed), (self.k_proj, placed), (self.v_proj, hidden))
        )
        kernel = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention)  # noqa: SLF001
        z, pattern = kernel(self, query, key, value, attention_mask, scaling=self.scaling, dropout=0.0, **kwargs)
        return self.o_proj(z.flatten(2)), pattern


def initialise(module: nn.Module, *, std: float) -> None:
    """Begin matrices with this standard deviation; biases are 0 and gains 1."""
    if isinstance(module, nn.Linear | nn.Embedding):
        torch.nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            torch.nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        torch.nn.init.ones_(module.weight)
        torch.nn.init.zeros_(module.bias)
