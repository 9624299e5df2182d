"""A bidirectional classifier of strings of brackets, of the published architecture.

Three layers of two heads of 28, MLPs of 56 ReLU neurons, LayerNorm before attention, MLP and classifier, biases
throughout; learned positions enter the residual stream. Padding is no key. The classifier reads position 0.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .attention import Attention, Hidden, initialise

CLASSES = 2  # unbalanced, balanced


class BracketClassifierConfig(PreTrainedConfig):
    model_type = "bracket_classifier"
    vocab_size: int = 5
    hidden_size: int = 56
    intermediate_size: int = 56
    hidden_act: str = "relu"
    num_hidden_layers: int = 3
    num_attention_heads: int = 2
    head_dim: int = 28
    max_position_embeddings: int = 42
    initializer_range: float = 0.1
    layer_norm_eps: float = 1e-5
    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | None = 2


class BracketMlp(nn.Module):
    def __init__(self, config: BracketClassifierConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act_fn = ACT2FN[config.hidden_act]
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: Hidden) -> Hidden:
        return self.down_proj(self.act_fn(self.up_proj(hidden)))


class BracketLayer(nn.Module):
    def __init__(self, config: BracketClassifierConfig, *, layer: int) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = Attention(config, layer=layer, causal=False, bias=True)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = BracketMlp(config)

    def forward(self, hidden: Hidden, **kwargs: Any) -> Hidden:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), **kwargs)[0]
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class BracketPreTrainedModel(PreTrainedModel):
    config_class = BracketClassifierConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": BracketLayer, "attentions": Attention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialise(module, std=self.config.initializer_range)


class BracketClassifierModel(BracketPreTrainedModel):
    """Everything but the classifier."""

    def __init__(self, config: BracketClassifierConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(BracketLayer(config, layer=layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @capture_outputs
    def forward(
        self, input_ids: Int[Tensor, "batch pos"], attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """`attention_mask`: True or 1 at what is no padding; None: the padding tokens are what is masked."""
        if attention_mask is None:
            attention_mask = input_ids != self.config.pad_token_id
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        hidden = self.embed_tokens(input_ids) + self.embed_positions(positions)
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=hidden, attention_mask=attention_mask)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=mask)
        return BaseModelOutput(last_hidden_state=self.norm(hidden))


class BracketForSequenceClassification(BracketPreTrainedModel):
    def __init__(self, config: BracketClassifierConfig) -> None:
        super().__init__(config)
        self.model = BracketClassifierModel(config)
        self.score = nn.Linear(config.hidden_size, CLASSES)
        self.post_init()

    @can_return_tuple
    def forward(
        self, input_ids: Int[Tensor, "batch pos"], attention_mask: Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        """Logits [batch, 2]: unbalanced, balanced."""
        body = self.model(input_ids, attention_mask=attention_mask, **kwargs)
        return SequenceClassifierOutput(
            logits=self.score(body.last_hidden_state[:, 0]),
            hidden_states=body.hidden_states,
            attentions=body.attentions,
        )
