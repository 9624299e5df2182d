"""What each architecture reads and what it does not, proven by changing it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from analysis.anatomy import layers_of

from .small import MODELS, attention_only, bracket_classifier, rows_for

LATE = 8  # a position


def final_residual(model: nn.Module, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model.model(input_ids=tokens).last_hidden_state  # type: ignore[operator,union-attr]


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_a_classifier_of_brackets_reads_later_tokens_from_every_position(kernel: str) -> None:
    model = bracket_classifier()
    model.set_attn_implementation(kernel)
    tokens = rows_for(model)
    changed = tokens.clone()
    changed[:, LATE] = 7 - changed[:, LATE]  # "(" is 3, ")" is 4
    difference = (final_residual(model, changed) - final_residual(model, tokens)).abs().amax(-1)
    assert (difference > 1e-4).all()


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_a_model_of_attention_alone_reads_no_later_token(kernel: str) -> None:
    model = attention_only()
    model.set_attn_implementation(kernel)
    tokens = rows_for(model)
    changed = tokens.clone()
    changed[:, LATE] = (changed[:, LATE] + 1) % model.config.vocab_size
    difference = (final_residual(model, changed) - final_residual(model, tokens)).abs().amax(-1)
    assert (difference[:, :LATE] == 0).all()
    assert (difference[:, LATE:] > 1e-4).all()


@pytest.mark.parametrize("masked", [False, True])
def test_padding_changes_nothing_of_what_stands_before_it(masked: bool) -> None:
    model = bracket_classifier()
    tokens = rows_for(model)
    padded = torch.nn.functional.pad(tokens, (0, 5), value=model.config.pad_token_id)
    mask = padded != model.config.pad_token_id if masked else None
    with torch.no_grad():
        alone, beside = model(tokens).logits, model(padded, mask).logits
    torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-5)
    # and it would, were it no padding
    with torch.no_grad():
        seen = model(padded, torch.ones_like(padded, dtype=torch.bool)).logits
    assert (seen - alone).abs().max() > 1e-3


def test_the_class_is_read_at_position_0_alone() -> None:
    model = bracket_classifier()
    tokens = rows_for(model)
    with torch.no_grad():
        expected = model.score(final_residual(model, tokens)[:, 0])
        assert torch.equal(model(tokens).logits, expected)
    assert expected.shape == (2, 2)


def test_positions_enter_queries_and_keys_and_nothing_else() -> None:
    model = attention_only()
    tokens = rows_for(model)
    read: dict[str, Tensor] = {}

    def keep(name: str) -> None:
        attention = layers_of(model)[0].get_submodule("self_attn")
        attention.get_submodule(name).register_forward_hook(lambda _, __, output: read.update({name: output}))

    for name in ("q_proj", "k_proj", "v_proj"):
        keep(name)
    layers_of(model)[0].register_forward_pre_hook(lambda _, inputs: read.update({"stream": inputs[0]}))
    final_residual(model, tokens)
    before = dict(read)
    with torch.no_grad():
        model.model.embed_positions.weight[LATE] += 1.0  # type: ignore[union-attr,operator,index]
    final_residual(model, tokens)
    for name in ("q_proj", "k_proj"):
        moved = (read[name] - before[name]).abs().amax((0, 2)) > 1e-3
        assert moved.tolist() == [position == LATE for position in range(tokens.shape[1])]
    for name in ("stream", "v_proj"):
        assert torch.equal(read[name], before[name])


def test_where_attention_is_fixed_values_carry_no_position() -> None:
    """With queries of 0 every earlier key gets the same, so positions can change nothing at all."""
    model = attention_only()
    tokens = rows_for(model)
    with torch.no_grad():
        for layer in layers_of(model):
            layer.get_submodule("self_attn.q_proj").weight.zero_()
        before = final_residual(model, tokens)
        model.model.embed_positions.weight.mul_(-3.0)  # type: ignore[union-attr,operator]
        assert torch.equal(final_residual(model, tokens), before)


@pytest.mark.parametrize("slug", MODELS)
def test_both_kernels_agree(slug: str) -> None:
    model = MODELS[slug]()
    tokens, found = rows_for(model), []
    for kernel in ("eager", "sdpa"):
        model.set_attn_implementation(kernel)
        found.append(final_residual(model, tokens))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
