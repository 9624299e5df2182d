"""Reading attention: exact, and without a trace."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from analysis.anatomy import body_of, sizes_of
from analysis.capture import attention_scores, reading_patterns
from analysis.schema import Sizes
from tests import tiny
from tests.oracles import eager_attentions


@pytest.fixture(params=tiny.FAMILIES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny.build(request.param)


def some_tokens(*, rows: int = 2, length: int = 33) -> torch.Tensor:
    return torch.randint(1, tiny.VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1))


def captured(model: PreTrainedModel, tokens: torch.Tensor) -> np.ndarray:
    """[layer, batch, head, dest, src]"""
    patterns: dict[int, np.ndarray] = {}
    with torch.no_grad(), reading_patterns(model, lambda layer, p: patterns.update({layer: p.numpy().copy()})):
        model(tokens)
    return np.stack([patterns[layer] for layer in sorted(patterns)])


def test_captured_patterns_are_those_of_transformers_eager_attention(model: PreTrainedModel) -> None:
    tokens = some_tokens()
    patterns = captured(model, tokens)
    for row in range(len(tokens)):
        np.testing.assert_allclose(patterns[:, row], eager_attentions(model, tokens[row].tolist()), atol=1e-6)


def test_the_test_models_attend_far_from_uniformly(model: PreTrainedModel) -> None:
    pattern = captured(model, some_tokens())[..., -1, :]
    assert pattern.max() > 5 / pattern.shape[-1]


def test_reading_changes_no_logits_beyond_rounding_and_leaves_none_changed(model: PreTrainedModel) -> None:
    tokens = some_tokens()
    with torch.no_grad():
        before = model(tokens).logits
        with reading_patterns(model, lambda layer, pattern: None):
            watched = model(tokens).logits
        after = model(tokens).logits
    torch.testing.assert_close(watched, before, rtol=1e-5, atol=1e-5)
    assert torch.equal(before, after)


def test_padding_masks_are_respected(model: PreTrainedModel) -> None:
    tokens = some_tokens(rows=1)
    mask = torch.ones_like(tokens)
    mask[0, :4] = 0
    patterns = []
    with torch.no_grad(), reading_patterns(model, lambda layer, pattern: patterns.append(pattern.clone())):
        model(tokens, attention_mask=mask)
    assert all((pattern[0, :, 4:, :4] == 0).all() for pattern in patterns)


def test_nothing_is_left_behind_after_a_reader_that_raises(model: PreTrainedModel) -> None:
    def refuse(layer: int, pattern: torch.Tensor) -> None:
        raise RuntimeError("refused")

    before = model.config._attn_implementation
    with pytest.raises(RuntimeError, match="refused"), torch.no_grad(), reading_patterns(model, refuse):
        model(some_tokens())
    assert model.config._attn_implementation == before
    calls: list[int] = []
    with reading_patterns(model, lambda layer, pattern: calls.append(layer)):
        pass
    with torch.no_grad():
        model(some_tokens())
    assert calls == []


def test_no_pattern_outlives_its_layer(model: PreTrainedModel) -> None:
    alive: list[int] = []
    seen: list[weakref.ref[torch.Tensor]] = []

    def read(layer: int, pattern: torch.Tensor) -> None:
        gc.collect()
        alive.append(sum(reference() is not None for reference in seen))
        seen.append(weakref.ref(pattern))

    with torch.no_grad(), reading_patterns(model, read):
        body_of(model)(some_tokens(), use_cache=False)
    assert alive == [0] * sizes_of(model.config).n_layers


def test_a_mask_that_is_added_and_one_that_selects_give_the_same_pattern() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(1, 4, 5, 8, generator=generator), torch.randn(1, 2, 5, 8, generator=generator)
    selects = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    adds = torch.zeros(1, 1, 5, 5).masked_fill(~selects, float("-inf"))
    by_rule = attention_scores(query, key, None, scaling=0.3, causal=True).softmax(-1)
    assert torch.equal(by_rule, attention_scores(query, key, selects, scaling=0.3, causal=True).softmax(-1))
    assert torch.equal(by_rule, attention_scores(query, key, adds, scaling=0.3, causal=True).softmax(-1))
    assert (by_rule.triu(1) == 0).all()
    both_ways = attention_scores(query, key, None, scaling=0.3, causal=False).softmax(-1)
    assert (both_ways > 0).all()


def test_capped_scores_and_sliding_windows_give_the_patterns_and_logits_of_eager_attention() -> None:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        sliding_window=5,
        attn_logit_softcapping=0.05,  # so low that it changes every score
        attn_implementation="eager",
    )
    model = Gemma2ForCausalLM(config).eval()
    tokens = torch.randint(1, 50, (1, 12), generator=torch.Generator().manual_seed(0))
    eager = eager_attentions(model, tokens[0].tolist())
    np.testing.assert_allclose(captured(model, tokens)[:, 0], eager, atol=1e-6)
    with torch.no_grad():
        expected = model(tokens).logits
        with reading_patterns(model, lambda layer, pattern: None):
            torch.testing.assert_close(model(tokens).logits, expected)
    assert (eager[0, 0, 11, :6] == 0).all()  # the first layer's window slides


@pytest.mark.parametrize(
    ("slug", "sizes"),
    [
        ("tiny-gpt2", Sizes(n_layers=3, n_heads=4, n_kv_heads=4, d_model=24, d_head=6, d_mlp=96, d_vocab=400)),
        ("tiny-llama", Sizes(n_layers=3, n_heads=6, n_kv_heads=2, d_model=48, d_head=8, d_mlp=40, d_vocab=400)),
        ("tiny-neox", Sizes(n_layers=2, n_heads=4, n_kv_heads=4, d_model=32, d_head=8, d_mlp=64, d_vocab=400)),
    ],
)
def test_the_sizes_of_each_family_are_read_from_its_config(slug: str, sizes: Sizes) -> None:
    assert sizes_of(tiny.build(slug).config) == sizes


def test_patterns_of_a_bfloat16_model_are_float32_and_sum_to_1() -> None:
    model = tiny.build("tiny-llama").to(torch.bfloat16)
    sums: list[torch.Tensor] = []
    with torch.inference_mode(), reading_patterns(model, lambda _, pattern: sums.append(pattern.sum(-1))):
        model(input_ids=torch.arange(1, 21)[None])
    assert len(sums) == 3
    assert {each.dtype for each in sums} == {torch.float32}
    assert all((each - 1).abs().max() < 1e-5 for each in sums)
