"""The slow way to what weights say: dense float64 matrices of the modules that transformers names, in NumPy.

Shares no code with `analysis`.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask


@dataclasses.dataclass
class Paths:
    """Modules of one block, by the names that transformers gives them."""

    attention_norm: str | None
    mlp_norm: str | None
    first: str  # what a neuron reads: of a gated MLP, its gate
    second: str | None  # of a gated MLP
    out: str
    heads_out: str
    attention_output_norm: str | None = None
    mlp_output_norm: str | None = None


_GATED = Paths(
    attention_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    first="mlp.gate_proj",
    second="mlp.up_proj",
    out="mlp.down_proj",
    heads_out="self_attn.o_proj",
)
_AFTER = {"attention_output_norm": "post_attention_layernorm", "mlp_output_norm": "post_feedforward_layernorm"}
_NEOX = Paths(
    attention_norm="input_layernorm",
    mlp_norm="post_attention_layernorm",
    first="mlp.dense_h_to_4h",
    second=None,
    out="mlp.dense_4h_to_h",
    heads_out="attention.dense",
)
PATHS = {
    "gpt2": Paths("ln_1", "ln_2", "mlp.c_fc", None, "mlp.c_proj", "attn.c_proj"),
    "gpt_neox": _NEOX,
    "phi": Paths("input_layernorm", "input_layernorm", "mlp.fc1", None, "mlp.fc2", "self_attn.dense"),
    "llama": _GATED,
    "mistral": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "olmo2": dataclasses.replace(_GATED, attention_norm=None, mlp_norm=None, **_AFTER),
    "gemma2": dataclasses.replace(_GATED, mlp_norm="pre_feedforward_layernorm", **_AFTER),
}


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


class Oracle:
    """One model, everything dense. Vectors are columns; `fold` matrices are [d_model, d_model]."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.config: Any = model.config
        self.paths = PATHS[self.config.model_type]
        body: Any = model.base_model
        self.body = body
        self.blocks = list(body.h if self.config.model_type == "gpt2" else body.layers)
        self.n_heads: int = self.config.num_attention_heads
        self.d_model: int = self.config.hidden_size
        self.d_head: int = getattr(self.config, "head_dim", None) or self.d_model // self.n_heads
        n_kv = getattr(self.config, "num_key_value_heads", None) or self.n_heads
        self.group = self.n_heads // n_kv
        names = ("ln_f", "norm", "final_layernorm", "final_layer_norm")
        self.final = next(getattr(body, name) for name in names if hasattr(body, name))
        self.layer_norms = isinstance(self.final, torch.nn.LayerNorm)
        embedding = numbers(body.get_input_embeddings().weight)
        self.embedding = embedding * (self.d_model**0.5 if self.config.model_type == "gemma2" else 1)

    def module(self, layer: int, path: str | None) -> Any:
        return None if path is None else self.blocks[layer].get_submodule(path)

    def centre(self) -> np.ndarray:
        """Takes the mean out, where norms do."""
        return np.eye(self.d_model) - (1 / self.d_model if self.layer_norms else 0)

    def gain(self, norm: Any) -> np.ndarray:
        if norm is None:
            return np.eye(self.d_model)
        return np.diag(numbers(norm.weight) + (1 if self.config.model_type == "gemma2" else 0))

    def reading(self, norm: Any) -> np.ndarray:
        """From the residual stream to the norm's output, up to its scale."""
        return np.eye(self.d_model) if norm is None else self.gain(norm) @ self.centre()

    def normed(self, norm: Any, *, bias: bool) -> np.ndarray:
        """[token, d_model]: the norm's own output for every row of the embedding."""
        if norm is None:
            return self.embedding
        double = copy.deepcopy(norm).double()
        if not bias and getattr(double, "bias", None) is not None:
            torch.nn.init.zeros_(double.bias)
        return numbers(double(torch.from_numpy(self.embedding)))

    def unembedding(self) -> np.ndarray:
        """[token, d_model], final norm folded in, centred over tokens."""
        matrix = numbers(self.model.get_output_embeddings().weight) @ self.reading(self.final)
        return matrix - matrix.mean(0)

    def matrix(self, module: Any) -> np.ndarray:
        """[out, in]"""
        weight = numbers(module.weight)
        return weight.T if type(module).__name__ == "Conv1D" else weight

    def head(self, layer: int, head: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """W_Q, W_K, W_V [d_head, d_model] and W_O [d_model, d_head], no norm folded."""
        block, d = self.blocks[layer], self.d_head
        if self.config.model_type == "gpt2":
            rows = [self.matrix(block.attn.c_attn)[part * self.d_model + head * d :][:d] for part in range(3)]
        elif self.config.model_type == "gpt_neox":
            rows = [numbers(block.attention.query_key_value.weight)[(3 * head + part) * d :][:d] for part in range(3)]
        else:
            kv, attention = head // self.group, block.self_attn
            projections = ((attention.q_proj, head), (attention.k_proj, kv), (attention.v_proj, kv))
            rows = [numbers(projection.weight)[number * d :][:d] for projection, number in projections]
        out = self.matrix(self.module(layer, self.paths.heads_out))[:, head * d :][:, :d]
        return rows[0], rows[1], rows[2], out

    def written(self, norm: Any, out: np.ndarray) -> np.ndarray:
        """What [d_model, …] is in the residual stream, as what reads it there sees it."""
        return self.centre() @ self.gain(norm) @ out

    def ov(self, layer: int, head: int) -> np.ndarray:
        """[d_model, d_model], from the residual stream to the residual stream."""
        _, _, v, o = self.head(layer, head)
        reading = self.reading(self.module(layer, self.paths.attention_norm))
        return self.written(self.module(layer, self.paths.attention_output_norm), o) @ v @ reading

    def ov_logits(self, layer: int, head: int) -> np.ndarray:
        """[promoted token, attended token]: the full OV circuit."""
        _, _, v, o = self.head(layer, head)
        norm = self.module(layer, self.paths.attention_norm)
        written = self.written(self.module(layer, self.paths.attention_output_norm), o)
        return self.unembedding() @ written @ v @ self.normed(norm, bias=False).T

    def rotation(self, offset: int) -> np.ndarray:
        """[d_head, d_head]: a query as a key `offset` positions before it meets it."""
        if self.config.model_type == "gpt2":
            return np.eye(self.d_head)
        rope = self.config.rope_parameters
        turned = int(self.d_head * rope.get("partial_rotary_factor", 1.0))
        matrix = np.eye(self.d_head)
        for i in range(turned // 2):
            angle = offset * rope["rope_theta"] ** (-2 * i / turned)
            j = i + turned // 2
            matrix[i, i] = matrix[j, j] = np.cos(angle)
            matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
        return matrix

    def qk(self, layer: int, head: int, *, offset: int) -> np.ndarray:
        """[d_model of the query, d_model of the key]"""
        q, k, _, _ = self.head(layer, head)
        reading = self.reading(self.module(layer, self.paths.attention_norm))
        return (self.rotation(offset) @ q @ reading).T @ k @ reading

    def scores(self, layer: int, *, query: int, offset: int) -> np.ndarray:
        """[head, key token]: attention scores that the model itself takes when this layer's block stands alone on the
        embedding, of `query` on every token `offset` positions before it (without positions: GPT-2, offset 1)."""
        alone = copy.deepcopy(self.model).double()
        body: Any = alone.base_model
        name = "h" if self.config.model_type == "gpt2" else "layers"
        setattr(body, name, getattr(body, name)[layer : layer + 1])
        body.config.num_hidden_layers = 1
        if self.config.model_type == "gpt2":
            torch.nn.init.zeros_(body.wpe.weight)
        taken: list[torch.Tensor] = []

        def record(
            module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **_: Any
        ) -> tuple[torch.Tensor, None]:
            keys = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
            taken.append((query[:, :, -1] * keys[:, :, 0]).sum(-1) * scaling)
            return torch.zeros_like(query).transpose(1, 2), None

        AttentionInterface.register("record", record)
        AttentionMaskInterface.register("record", eager_mask)
        alone.set_attn_implementation("record")
        n = len(self.embedding)
        tokens = torch.full((n, offset + 1), query)
        tokens[:, 0] = torch.arange(n)
        with torch.no_grad():
            body(input_ids=tokens, use_cache=False)
        (scores,) = taken
        return numbers(scores).T
