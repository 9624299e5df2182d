"""Parts of rows whose streams were kept are those of a whole run, at the cost of their layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.scrubbing import streams as module
from analysis.scrubbing.donors import Donors
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.parts import EMBED, ROOT
from analysis.scrubbing.streams import before, middle
from analysis.scrubbing.transformer import TransformerGraph
from tests.scrubbing.models import FAMILIES, N_ROWS, ORGANISMS, OTHERS, graph_of, model_of, parts, rows


def fresh(slug: str) -> TransformerGraph:
    tokens, mask = rows()
    return TransformerGraph(model_of(slug), parts(slug), tokens=tokens, mask=mask)


def every_part(slug: str) -> list[str]:
    found = [name for name in parts(slug).named("*") if "N" not in name]
    layers = range(parts(slug).sizes.n_layers)
    return [ROOT, EMBED, *found[1:], *(before(layer) for layer in layers), *(middle(layer) for layer in layers)]


@pytest.mark.parametrize("slug", [*FAMILIES, *ORGANISMS, *OTHERS])
def test_parts_from_kept_streams_are_those_of_whole_runs(slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = every_part(slug)
    if not parts(slug).sizes.d_mlp:
        wanted = [name for name in wanted if "middle" not in name]
    chosen = np.array([3, 1, 7, 20])
    whole = graph_of(slug).run(chosen, wanted)
    monkeypatch.setattr(module, "DEEP", 1)
    graph = fresh(slug)
    graph.run(np.arange(2, N_ROWS), [ROOT])
    assert not graph.streams.has(chosen)  # row 1 was not among them
    graph.run(np.array([1]), [ROOT])
    assert graph.streams.has(chosen)
    for name in wanted:
        torch.testing.assert_close(graph.run(chosen, [name])[name], whole[name], rtol=1e-10, atol=1e-10)
    together = graph.run(chosen, wanted)
    for name in wanted:
        torch.testing.assert_close(together[name], whole[name], rtol=1e-10, atol=1e-10)


def test_the_model_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEEP", 1)
    graph = fresh("tiny-llama")
    tokens, mask = (torch.from_numpy(of) for of in rows())
    with torch.no_grad():
        logits = graph.model(tokens, attention_mask=mask.long()).logits
        # transformers leaves hooks of its own where an earlier test asked for hidden states
        hooks = [(dict(block._forward_hooks), dict(block._forward_pre_hooks)) for block in graph.blocks]
        graph.run(np.arange(N_ROWS), [ROOT])
        graph.run(np.arange(N_ROWS), ["L2H0"])
        assert torch.equal(graph.model(tokens, attention_mask=mask.long()).logits, logits)
    assert all("forward" not in vars(block) for block in graph.blocks)
    assert [(dict(block._forward_hooks), dict(block._forward_pre_hooks)) for block in graph.blocks] == hooks


def test_another_part_costs_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEEP", 1)
    graph = fresh("tiny-gpt2")
    donors = Donors(graph, N_ROWS)
    all_rows = np.arange(N_ROWS)
    donors.ensure({"L1H0": all_rows})
    assert donors.layer_rows == 3 * N_ROWS
    donors.ensure({"L2H1": all_rows, "L2H0": all_rows})
    assert donors.layer_rows == 4 * N_ROWS
    donors.ensure({"L0.mlp": all_rows, "L2.mlp": all_rows, "L2H0": all_rows})
    assert donors.layer_rows == 6 * N_ROWS


@pytest.mark.parametrize("limit", ["DEEP", "STREAM_BYTES"])
def test_nothing_is_kept_of_shallow_models_and_where_there_is_no_room(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEEP", 4 if limit == "DEEP" else 1)
    monkeypatch.setattr(module, "STREAM_BYTES", 1_000 if limit == "STREAM_BYTES" else module.STREAM_BYTES)
    graph = fresh("tiny-gpt2")
    graph.run(np.arange(N_ROWS), [ROOT])
    assert not graph.streams.has(np.array([0]))
    assert graph.cost(np.array([0]), ["L2H0"]) == 3


def test_damaged_weights_are_said_from_kept_streams_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEEP", 1)
    graph = fresh("tiny-gpt2")
    graph.run(np.arange(N_ROWS), [before(1)])
    graph.streams._kept[2][0] = float("nan")
    with pytest.raises(ScrubError, match="got NaN or infinity"):
        graph.run(np.array([0]), ["L2.mlp"])
