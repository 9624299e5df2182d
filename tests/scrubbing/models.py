"""Tiny random models as graphs, on rows with padding, and hypotheses that ask for every kind of part."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from analysis.anatomy import sizes_of
from analysis.organisms.attention_only import AttentionOnlyConfig, AttentionOnlyForCausalLM
from analysis.organisms.bracket_classifier import BracketClassifierConfig, BracketForSequenceClassification
from analysis.scrubbing.parts import TransformerParts
from analysis.scrubbing.transformer import TransformerGraph, parts_of
from tests.tiny import VOCABULARY, unsettle, unsettled

N_ROWS, N_POSITIONS = 24, 9
FAMILIES = ("tiny-gpt2", "tiny-llama", "tiny-llama-biased", "tiny-neox", "tiny-neox-sequential", "tiny-phi")
# The architectures of both organisms: positions into queries and keys alone; attention to both sides.
ORGANISMS = ("attention-only", "brackets")
# A sliding window, and queries and keys that are normalised.
OTHERS = ("tiny-mistral", "tiny-qwen3")


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and which of them are none: rows end in padding of different lengths."""
    generator = np.random.default_rng(5)
    tokens = generator.integers(1, VOCABULARY, (N_ROWS, N_POSITIONS))
    lengths = generator.integers(5, N_POSITIONS + 1, N_ROWS)
    return tokens, np.arange(N_POSITIONS) < lengths[:, None]


@functools.cache
def model_of(slug: str) -> PreTrainedModel:
    model = organism(slug) if slug in ORGANISMS else unsettled(slug)
    return model.double()


def organism(slug: str) -> PreTrainedModel:
    """A tiny random model of an organism's architecture."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": 24, "num_hidden_layers": 3, "head_dim": 6}
    sizes |= {"num_attention_heads": 4, "initializer_range": 0.3}
    if slug == "attention-only":
        return unsettle(AttentionOnlyForCausalLM(AttentionOnlyConfig(**sizes)).eval())
    config = BracketClassifierConfig(**sizes, intermediate_size=96)
    return unsettle(BracketForSequenceClassification(config).eval())


def parts(slug: str) -> TransformerParts:
    return parts_of(model_of(slug), sizes_of(model_of(slug).config))


@functools.cache
def graph_of(slug: str) -> TransformerGraph:
    tokens, mask = rows()
    return TransformerGraph(model_of(slug), parts(slug), tokens=tokens, mask=mask)
