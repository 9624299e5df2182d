"""What is captured of the two architectures adds up to what they compute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from analysis.anatomy import (
    AnatomyError,
    attention_weights,
    body_of,
    embedding_of,
    family_of,
    final_norm,
    layers_of,
    logits_of,
    neuron_weights,
    sizes_of,
    unembedding_of,
)
from analysis.capture import AttentionReading, ResidualReading, reading
from analysis.schema import Sizes
from tests.oracles import eager_attentions

from .small import MODELS, attention_only, bracket_classifier, rows_for


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return MODELS[request.param]()


class Captured:
    """All that is read while a model runs."""

    def __init__(self, model: PreTrainedModel, tokens: Tensor) -> None:
        self.attention: list[AttentionReading] = []
        self.neurons: list[Tensor] = []
        self.residual: list[ResidualReading] = []
        readers = reading(
            model,
            attention=lambda _, read: self.attention.append(read),
            neurons=lambda _, read: self.neurons.append(read),
            residual=lambda _, read: self.residual.append(read),
        )
        with torch.no_grad(), readers:
            self.final = body_of(model)(input_ids=tokens, use_cache=False).last_hidden_state


def test_embedding_heads_and_neurons_add_up_to_the_residual_stream(model: PreTrainedModel) -> None:
    tokens = rows_for(model)
    captured = Captured(model, tokens)
    stream = embedding_of(model)[tokens]
    if model.config.model_type == "bracket_classifier":
        stream = stream + body_of(model).embed_positions.weight[: tokens.shape[1]]  # type: ignore[operator,union-attr,index]
    for layer, (attention, residual) in enumerate(zip(captured.attention, captured.residual, strict=True)):
        torch.testing.assert_close(residual.before, stream, rtol=1e-4, atol=1e-4)
        weights = attention_weights(model, layer)
        stream = stream + torch.einsum("bphd,hmd->bpm", attention.z, weights.o)
        if weights.o_bias is not None:
            stream = stream + weights.o_bias
        if captured.neurons:
            down = layers_of(model)[layer].get_submodule("mlp.down_proj")
            stream = stream + captured.neurons[layer] @ neuron_weights(model, layer).writes + down.bias
        torch.testing.assert_close(residual.after, stream, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        norm = body_of(model).get_submodule("norm")
        torch.testing.assert_close(norm(stream), captured.final, rtol=1e-4, atol=1e-4)
        assert torch.equal(final_norm(model).gain, norm.weight)


def test_captured_patterns_are_those_of_the_eager_kernel(model: PreTrainedModel) -> None:
    tokens = rows_for(model)
    captured = Captured(model, tokens)
    eager = torch.from_numpy(eager_attentions(model, tokens[0].tolist())).float()
    found = torch.stack([read.pattern[0] for read in captured.attention])
    torch.testing.assert_close(found, eager, rtol=1e-4, atol=1e-5)
    later = found.triu(1).sum()
    assert (later == 0) == (model.config.model_type == "attention_only")


def test_logits_of_the_residual_stream_are_those_of_the_model(model: PreTrainedModel) -> None:
    tokens = rows_for(model)
    captured = Captured(model, tokens)
    with torch.no_grad():
        expected, found = model(tokens).logits, logits_of(model, captured.residual[-1].after)
    if model.config.model_type == "bracket_classifier":
        found = found[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_sizes_are_read_from_the_configs() -> None:
    assert sizes_of(attention_only().config) == Sizes(3, 4, 4, 24, 6, 0, 400)
    assert sizes_of(bracket_classifier().config) == Sizes(3, 2, 2, 56, 28, 56, 5)


def test_a_model_of_attention_alone_has_no_neurons_to_read() -> None:
    model = attention_only()
    captured = Captured(model, rows_for(model))
    assert captured.neurons == []
    assert all(read.mlp_added is None for read in captured.residual)
    assert not family_of(model.config).has_mlp


def test_a_classifier_has_no_unembedding() -> None:
    with pytest.raises(AnatomyError, match="expected one that predicts tokens, got a classifier"):
        unembedding_of(bracket_classifier())
