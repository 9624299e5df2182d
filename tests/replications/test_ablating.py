"""Heads taken away, and what each is worth among several: games whose values are known, and models put back."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch

from analysis.replications.ablating import Head, name_of, replacing, shapley
from tests.scrubbing.models import model_of
from tests.scrubbing.models import rows as tokens_and_mask

A, B, C = (0, 0), (0, 1), (1, 0)


def test_heads_that_stand_in_for_each_other_share() -> None:
    """Of three, a alone is worth 2; b and c are worth 6 once both are gone."""

    def value(chosen: Collection[Head]) -> torch.Tensor:
        return torch.tensor([2.0 * (A in chosen), 6.0 * (B in chosen and C in chosen)]).double()

    shares = shapley(value, [A, B, C])
    assert shares[A].tolist() == pytest.approx([2, 0])
    assert shares[B].tolist() == pytest.approx([0, 3])
    assert shares[C].tolist() == pytest.approx([0, 3])


def test_shares_sum_to_what_all_are_worth() -> None:
    values: dict[frozenset[Head], torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def value(chosen: Collection[Head]) -> torch.Tensor:
        return values.setdefault(frozenset(chosen), torch.rand(1, generator=generator, dtype=torch.float64))

    shares = shapley(value, [A, B, C])
    whole = values[frozenset([A, B, C])] - values[frozenset()]
    assert sum(shares.values()).item() == pytest.approx(whole.item())


@pytest.mark.parametrize("slug", ["tiny-gpt2", "tiny-llama"])
def test_a_head_that_says_nothing_is_one_whose_rows_of_w_o_are_0(slug: str) -> None:
    tokens, mask = (torch.from_numpy(of) for of in tokens_and_mask())
    model = model_of(slug)
    before = model(tokens, attention_mask=mask.long()).logits

    def silence(layer: int, z: torch.Tensor) -> None:
        if layer == 1:
            z[:, :, 2] = 0

    with torch.no_grad(), replacing(model, silence):
        silenced = model(tokens, attention_mask=mask.long()).logits
    gpt2 = slug == "tiny-gpt2"
    weight = model.transformer.h[1].attn.c_proj.weight if gpt2 else model.model.layers[1].self_attn.o_proj.weight
    kept = weight.detach().clone()
    d_head = (weight.shape[0] if gpt2 else weight.shape[1]) // model.config.num_attention_heads
    with torch.no_grad():
        (weight if gpt2 else weight.T)[2 * d_head : 3 * d_head] = 0
        by_weights = model(tokens, attention_mask=mask.long()).logits
        weight.copy_(kept)
        after = model(tokens, attention_mask=mask.long()).logits
    assert torch.allclose(silenced, by_weights, atol=1e-6)
    assert not torch.allclose(silenced, before, atol=1e-3)
    assert torch.equal(after, before)


def test_a_head_has_the_name_that_pages_use() -> None:
    assert name_of((3, 11)) == "L3H11"
