"""A causal language model of attention alone, after the one in which induction heads were scrubbed.

There is no MLP. Positions are added to what queries and keys read, in every layer, and to nothing else (shortformer:
Press et al. 2020), so that the residual stream holds no position and values move none.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention import Attention, Hidden, initialise


class AttentionOnlyConfig(PreTrainedConfig):
    model_type = "attention_only"
    vocab_size: int = 4096
    hidden_size: int = 256
    num_hidden_layers: int = 2
    num_attention_heads: int = 8
    head_dim: int = 32
    max_position_embeddings: int = 128
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    bos_token_id: int | None = 0
    tie_word_embeddings: bool = False


class ShortformerLayer(nn.Module):
    def __init__(self, config: AttentionOnlyConfig, *, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = Attention(config, layer=layer, causal=True, bias=False)

    def forward(self, hidden: Hidden, positions: Tensor, **kwargs: Any) -> Hidden:
        return hidden + self.self_attn(self.input_layernorm(hidden), positions=positions, **kwargs)[0]


class AttentionOnlyPreTrainedModel(PreTrainedModel):
    config_class = AttentionOnlyConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": ShortformerLayer, "attentions": Attention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, std=self.config.initializer_range)


class AttentionOnlyModel(AttentionOnlyPreTrainedModel):
    """Everything but the unembedding."""

    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(ShortformerLayer(config, layer=layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @capture_outputs
    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"],
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "rows pos"] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        hidden = self.embed_tokens(input_ids)
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        positions = self.embed_positions(position_ids)
        mask = create_causal_mask(
            config=self.config, inputs_embeds=hidden, attention_mask=attention_mask, past_key_values=None
        )
        for layer in self.layers:
            hidden = layer(hidden, positions, attention_mask=mask)
        return BaseModelOutput(last_hidden_state=self.norm(hidden))


class AttentionOnlyForCausalLM(AttentionOnlyPreTrainedModel):
    def __init__(self, config: AttentionOnlyConfig) -> None:
        super().__init__(config)
        self.model = AttentionOnlyModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"],
        attention_mask: Tensor | None = None,
        position_ids: Int[Tensor, "rows pos"] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """Logits [batch, pos, d_vocab]. There is no cache: each call reads its whole text."""
        body = self.model(input_ids, attention_mask=attention_mask, position_ids=position_ids, **kwargs)
        return CausalLMOutput(
            logits=self.lm_head(body.last_hidden_state), hidden_states=body.hidden_states, attentions=body.attentions
        )


def sinusoids(n_positions: int, width: int, *, std: float) -> Float[Tensor, "n_positions width"]:
    """Sines and cosines of positions at wavelengths from 2π to 200π, with this standard deviation."""
    rates = 100.0 ** (-torch.arange(width // 2) / (width // 2))
    angles = torch.arange(n_positions)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1) * (std * 2**0.5)
