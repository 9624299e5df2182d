"""Tiny random models of real architectures, each with a tokenizer of its own, to be put into a store."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from analysis.datasets.corpus import read_bundled_texts, read_sotu
from analysis.models import add_model
from analysis.store import Artifact

VOCABULARY = 400
BOS = "<bos>"


@functools.cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of 400 tokens, trained on a little of the bundled text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [document.text[:20_000] for document in (*read_bundled_texts(), read_sotu()[0])]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS)


def tiny_gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_embd=24, n_layer=3, n_head=4, n_positions=160, bos_token_id=0, eos_token_id=0
        )
    )


# Of the families whose configs say these things alike; 6 heads on 2 key/value heads.
GROUPED: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}


def tiny_llama(**changes: Any) -> PreTrainedModel:
    """Grouped-query attention: 6 heads on 2 key/value heads."""
    return LlamaForCausalLM(LlamaConfig(**GROUPED | changes))


def tiny_llama_biased() -> PreTrainedModel:
    """Every matrix has a bias."""
    return tiny_llama(attention_bias=True, mlp_bias=True)


def tiny_neox(**changes: Any) -> PreTrainedModel:
    """Attention and MLP side by side, a quarter of each head rotary."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**sizes | ids | {"max_position_embeddings": 160} | changes))


def tiny_neox_sequential() -> PreTrainedModel:
    """The MLP reads what the attention has written."""
    return tiny_neox(use_parallel_residual=False, num_hidden_layers=3)


def tiny_mistral() -> PreTrainedModel:
    """A query reads the last 8 keys only, fewer than any row of a test has."""
    return MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=8))


def tiny_qwen2() -> PreTrainedModel:
    """Biases on queries, keys and values alone."""
    return Qwen2ForCausalLM(Qwen2Config(**GROUPED))


def tiny_qwen3() -> PreTrainedModel:
    """Queries and keys normalised head by head; the heads together are wider than the residual stream."""
    return Qwen3ForCausalLM(Qwen3Config(**GROUPED, head_dim=12))


def tiny_phi() -> PreTrainedModel:
    """Attention and MLP read one norm, half of each head rotary, biases everywhere, the unembedding included."""
    return PhiForCausalLM(PhiConfig(**GROUPED))


def tiny_olmo2() -> PreTrainedModel:
    """Norms after attention and MLP, none before; queries and keys normalised over all heads together."""
    return Olmo2ForCausalLM(Olmo2Config(**GROUPED, eos_token_id=0))


def tiny_gemma2() -> PreTrainedModel:
    """Norms before and after, a scaled embedding, capped scores and logits, a sliding window in every other layer."""
    sizes = GROUPED | {"head_dim": 12, "query_pre_attn_scalar": 16, "sliding_window": 8}
    caps = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}
    return Gemma2ForCausalLM(Gemma2Config(**sizes | caps))


# The number of parameters is asserted, because a misspelt size in a config is accepted silently.
FAMILIES: dict[str, tuple[Callable[[], PreTrainedModel], int]] = {
    "tiny-gpt2": (tiny_gpt2, 35_160),
    "tiny-llama": (tiny_llama, 74_448),
    "tiny-llama-biased": (tiny_llama_biased, 75_216),
    "tiny-neox": (tiny_neox, 42_752),
    "tiny-neox-sequential": (tiny_neox_sequential, 51_296),
    "tiny-mistral": (tiny_mistral, 74_448),
    "tiny-qwen2": (tiny_qwen2, 74_688),
    "tiny-qwen3": (tiny_qwen3, 83_736),
    "tiny-phi": (tiny_phi, 69_784),
    "tiny-olmo2": (tiny_olmo2, 74_640),
}
# Whose parts are known, and whose attention scores are capped before the softmax.
CAPPED: dict[str, tuple[Callable[[], PreTrainedModel], int]] = {"tiny-gemma2": (tiny_gemma2, 64_752)}


def build(slug: str, *, sharpness: float = 10.0) -> PreTrainedModel:
    """A random model whose attention is far from uniform: its query and key weights are scaled up, or the gain of its
    queries where they are normalised."""
    make, n_parameters = (FAMILIES | CAPPED)[slug]
    torch.manual_seed(0)
    model = make().eval()
    assert model.num_parameters() == n_parameters, model.num_parameters()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if any(part in name for part in ("q_proj", "k_proj", "c_attn", "query_key_value")):
                weights.mul_(sharpness)
            if "q_norm" in name:
                weights.mul_(sharpness / 5)  # more makes all attention 0 or 1, and magnifies rounding
    return model


def unsettled(slug: str) -> PreTrainedModel:
    """A tiny model whose biases and gains are not the zeros and ones that they begin with."""
    return unsettle(build(slug, sharpness=3.0))


def unsettle(model: PreTrainedModel) -> PreTrainedModel:
    """The model, its biases and gains changed."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1:
                weights.add_(torch.randn(weights.shape, generator=generator) * 0.2)
    return model


def put_into(store: Path, slug: str, model: PreTrainedModel | None = None) -> Artifact:
    """A model as an artifact of the store; None: the unsettled one of this name."""
    about = {"title": f"{slug} (random)", "licence": "CC0-1.0", "source": "random weights, seed 0"}
    return add_model(store, slug, model or unsettled(slug), tiny_tokenizer(), about=about)
