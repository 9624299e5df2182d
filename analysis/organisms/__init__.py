"""The two small models that Loupe trains itself and ships. Importing this lets transformers' `Auto…` classes load
them."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .attention_only import AttentionOnlyConfig, AttentionOnlyForCausalLM, AttentionOnlyModel
from .bracket_classifier import BracketClassifierConfig, BracketClassifierModel, BracketForSequenceClassification


class OrganismError(Exception):
    """An organism cannot be trained or read; the message is one sentence."""


AutoConfig.register("attention_only", AttentionOnlyConfig)
AutoModel.register(AttentionOnlyConfig, AttentionOnlyModel)
AutoModelForCausalLM.register(AttentionOnlyConfig, AttentionOnlyForCausalLM)

AutoConfig.register("bracket_classifier", BracketClassifierConfig)
AutoModel.register(BracketClassifierConfig, BracketClassifierModel)
AutoModelForSequenceClassification.register(BracketClassifierConfig, BracketForSequenceClassification)
