"""Tiny random models of real architectures, each with a tokenizer of its own, to be put into a store."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
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


def tiny_llama() -> PreTrainedModel:
    """Grouped-query attention: 6 heads on 2 key/value heads."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


def tiny_neox() -> PreTrainedModel:
    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=160,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoXForCausalLM(config)


# The number of parameters is asserted, because a misspelt size in a config is accepted silently.
FAMILIES: dict[str, tuple[Callable[[], PreTrainedModel], int]] = {
    "tiny-gpt2": (tiny_gpt2, 35_160),
    "tiny-llama": (tiny_llama, 74_448),
    "tiny-neox": (tiny_neox, 42_752),
}


def build(slug: str, *, sharpness: float = 12.0) -> PreTrainedModel:
    """A random model whose attention is far from uniform: its query and key weights are scaled up."""
    make, n_parameters = FAMILIES[slug]
    torch.manual_seed(0)
    model = make().eval()
    assert model.num_parameters() == n_parameters, model.num_parameters()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if any(part in name for part in ("q_proj", "k_proj", "c_attn", "query_key_value")):
                weights.mul_(sharpness)
    return model


def put_into(store: Path, slug: str) -> Artifact:
    """The tiny model as an artifact of the store."""
    about = {"title": f"{slug} (random)", "licence": "CC0-1.0", "source": "random weights, seed 0"}
    return add_model(store, slug, build(slug), tiny_tokenizer(), about=about)
