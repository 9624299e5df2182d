"""Small random models of the two architectures, and rows that they read."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from analysis.organisms.attention_only import AttentionOnlyConfig, AttentionOnlyForCausalLM
from analysis.organisms.bracket_classifier import BracketClassifierConfig, BracketForSequenceClassification
from tests.tiny import VOCABULARY, unsettle


def attention_only() -> PreTrainedModel:
    """3 layers of 4 heads; positions far from 0."""
    torch.manual_seed(0)
    config = AttentionOnlyConfig(
        vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, head_dim=6
    )
    model = unsettle(AttentionOnlyForCausalLM(config).eval())
    assert model.num_parameters() == 2 * VOCABULARY * 24 + 128 * 24 + 3 * (4 * 24 * 24 + 2 * 24) + 2 * 24
    return sharpened(model)


def bracket_classifier() -> PreTrainedModel:
    """The published sizes."""
    torch.manual_seed(0)
    model = unsettle(BracketForSequenceClassification(BracketClassifierConfig()).eval())
    of_layer = 4 * (56 * 56 + 56) + 2 * (56 * 56 + 56) + 4 * 56
    assert model.num_parameters() == (5 + 42) * 56 + 3 * of_layer + 2 * 56 + 2 * 56 + 2
    return sharpened(model)


def sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """The model with attention far from uniform."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "q_proj.weight" in name or "k_proj.weight" in name or name == "model.embed_positions.weight":
                weights.mul_(5)
    return model


MODELS = {"attention_only": attention_only, "bracket_classifier": bracket_classifier}


def rows_for(model: PreTrainedModel, *, length: int = 12) -> Tensor:
    """Two rows without padding: of text, or of brackets between start and end."""
    generator = torch.Generator().manual_seed(3)
    if model.config.model_type == "attention_only":
        return torch.randint(1, VOCABULARY, (2, length), generator=generator)
    brackets = torch.randint(3, 5, (2, length - 2), generator=generator)
    return torch.cat([torch.full((2, 1), 0), brackets, torch.full((2, 1), 2)], dim=1)
