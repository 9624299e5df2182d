"""Attention to places against a slow loop over the patterns that transformers itself gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.datasets.task import TaskRows
from analysis.replications.looking import attention_to_places
from tests.scrubbing.models import model_of
from tests.scrubbing.models import rows as tokens_and_mask

TOKENS, MASK = tokens_and_mask()
TOKENS = TOKENS % 7  # tokens come again
QUERIES = MASK & (np.random.default_rng(0).random(MASK.shape) < 0.6)


def eager(slug: str) -> np.ndarray:
    model = model_of(slug)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(
            torch.from_numpy(TOKENS), attention_mask=torch.from_numpy(MASK).long(), output_attentions=True
        ).attentions
    model.set_attn_implementation(before)
    return torch.stack(out).numpy()  # layer, row, head, dest, src


def place_of(name: str, row: int, query: int) -> list[int] | None:
    """The keys at a place, by hand; None where the query has no such place."""
    if name == "itself":
        return [query]
    if name == "previous_token":
        return [query - 1] if query and MASK[row, query - 1] else None
    if name == "to_the_right":
        return [key for key in range(query, TOKENS.shape[1]) if MASK[row, key]]
    earlier = [at for at in range(1, query) if TOKENS[row, at] == TOKENS[row, query]]  # BOS is at 0
    return [earlier[-1] + 1] if earlier and MASK[row, earlier[-1] + 1] else None


@pytest.mark.parametrize("slug", ["tiny-gpt2", "tiny-llama"])
@pytest.mark.parametrize("name", ["itself", "previous_token", "induction", "to_the_right"])
def test_shares_are_means_over_the_queries_that_have_the_place(slug: str, name: str) -> None:
    n = len(TOKENS)
    rows = TaskRows(TOKENS, MASK, QUERIES, TOKENS, np.arange(n))
    found = attention_to_places(model_of(slug), rows, QUERIES)[name]
    patterns = eager(slug)
    shares = [
        patterns[:, row, :, query, keys].sum(axis=0)
        for row in range(n)
        for query in np.flatnonzero(QUERIES[row])
        if (keys := place_of(name, row, int(query))) is not None
    ]
    assert len(shares) > 20
    assert found == pytest.approx(np.mean(shares, axis=0), abs=1e-5)
