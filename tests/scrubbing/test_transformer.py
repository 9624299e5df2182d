"""The graph of a transformer: what is computed part by part is what the model computes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from analysis.anatomy import sizes_of
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.parts import EMBED, ROOT, TransformerParts
from analysis.scrubbing.streams import before, middle
from analysis.scrubbing.transformer import TransformerGraph
from tests.scrubbing.models import FAMILIES, N_POSITIONS, N_ROWS, ORGANISMS, OTHERS, graph_of, model_of, parts, rows
from tests.tiny import build

ALL_ROWS = np.arange(N_ROWS)


def every_part(slug: str) -> list[str]:
    neurons = ["L0N0+3", "L1N5"] if graph_of(slug).parts.sizes.d_mlp else []
    return [*graph_of(slug).parts.named("*"), *neurons, ROOT]


@pytest.mark.parametrize("slug", [*FAMILIES, *OTHERS, *ORGANISMS])
def test_every_part_computed_from_its_inputs_is_what_the_model_computed(slug: str) -> None:
    graph = graph_of(slug)
    clean = graph.run(ALL_ROWS, every_part(slug))
    for part in every_part(slug):
        if part == EMBED:
            continue
        inputs = {(read, None): clean[read] for read in graph.parts.inputs(part)}
        computed = graph.compute(part, inputs, mask_rows=ALL_ROWS)
        torch.testing.assert_close(
            computed, clean[part], rtol=1e-8, atol=1e-8, msg=lambda text, at=part: f"{at}: {text}"
        )


@pytest.mark.parametrize("slug", [*FAMILIES, *OTHERS])
def test_the_parts_add_up_to_the_residual_stream(slug: str) -> None:
    """Against transformers' own hidden states, which no code of the graph reads."""
    graph, model = graph_of(slug), model_of(slug)
    tokens, mask = (torch.from_numpy(of) for of in rows())
    with torch.no_grad():
        output = model(tokens, attention_mask=mask.long(), output_hidden_states=True, use_cache=False)
    streams = graph.run(ALL_ROWS, [before(1), middle(1), ROOT])
    torch.testing.assert_close(streams[before(1)], output.hidden_states[1])
    logits = graph.readout(model, streams[ROOT])
    torch.testing.assert_close(logits[mask], output.logits[mask])


@pytest.mark.parametrize("slug", FAMILIES)
def test_neurons_are_summands_of_their_mlp(slug: str) -> None:
    graph = graph_of(slug)
    sizes = graph.parts.sizes
    halves = [f"L1N0-{sizes.d_mlp // 2 - 1}", f"L1N{sizes.d_mlp // 2}-{sizes.d_mlp - 1}"]
    halves = [graph.parts.named(half)[0] for half in halves]
    values = graph.run(ALL_ROWS, [*halves, "L1.mlp"])
    rest = values["L1.mlp"] - sum(graph.contribution(half, values[half]) for half in halves)
    torch.testing.assert_close(rest, rest[:1, :1].expand_as(rest), rtol=0, atol=1e-9)  # the bias


def test_the_model_is_left_as_it_was() -> None:
    model = model_of("tiny-gpt2")
    implementation = model.config._attn_implementation
    # transformers leaves hooks of its own where hidden states were asked for
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]
    graph_of("tiny-gpt2").run(ALL_ROWS, every_part("tiny-gpt2"))
    assert model.config._attn_implementation == implementation
    assert hooks == [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()]


def test_keys_and_values_belong_to_kv_heads() -> None:
    grouped = parts("tiny-llama")
    assert grouped.inputs("L1H4") == ("L1H4.q", "L1KV1.k", "L1KV1.v")
    assert grouped.named("L1KV1") == ("L1KV1.k", "L1KV1.v")
    ungrouped = dataclasses.replace(grouped, ungrouped=frozenset({"L1H4"}))
    assert ungrouped.inputs("L1H4") == ("L1H4.q", "L1H4.k", "L1H4.v")
    assert ungrouped.inputs("L1H5") == ("L1H5.q", "L1KV1.k", "L1KV1.v")
    assert parts("tiny-gpt2").named("L1H3.k") == ("L1KV3.k",)


def test_an_mlp_beside_its_heads_does_not_read_them() -> None:
    assert "L1H0" not in parts("tiny-neox").inputs("L1.mlp")
    assert "L1H0" in parts("tiny-neox-sequential").inputs("L1.mlp")
    assert "L0.mlp" in parts("tiny-neox").inputs("L1.mlp")


def test_an_architecture_whose_parts_do_not_add_up_is_refused() -> None:
    for slug in ("tiny-olmo2", "tiny-gemma2"):
        model = build(slug)
        tokens, mask = rows()
        with pytest.raises(ScrubError, match=r"expected heads and neurons whose outputs add up to the residual stream"):
            TransformerGraph(model, TransformerParts(sizes_of(model.config)), tokens=tokens, mask=mask)


def test_weights_that_are_not_numbers_are_said() -> None:
    model = build("tiny-gpt2")
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight[0, 0] = float("nan")
    tokens, mask = rows()
    graph = TransformerGraph(model, parts("tiny-gpt2"), tokens=tokens, mask=mask)
    with pytest.raises(ScrubError, match=r"expected numbers, got NaN or infinity"):
        graph.run(ALL_ROWS[:2], [ROOT])


def test_a_row_has_its_own_padding() -> None:
    """A head that is computed with another row's mask reads other keys."""
    graph = graph_of("tiny-gpt2")
    _, mask = rows()
    short, long = int(mask.sum(1).argmin()), int(mask.sum(1).argmax())
    items = np.array([long])
    reads = graph.parts.inputs("L1H0")
    inputs = {(read, None): value for read, value in graph.run(items, reads).items()}
    own = graph.compute("L1H0", inputs, mask_rows=items)
    other = graph.compute("L1H0", inputs, mask_rows=np.array([short]))
    n_short = int(mask[short].sum())
    torch.testing.assert_close(own[:, :n_short], other[:, :n_short])
    assert not torch.allclose(own[:, n_short : N_POSITIONS - 1], other[:, n_short : N_POSITIONS - 1])


@pytest.mark.parametrize("slug", ORGANISMS)
def test_the_parts_of_an_organism_lead_to_its_logits(slug: str) -> None:
    """Against the model's own output, which no code of the graph reads."""
    graph, model = graph_of(slug), model_of(slug)
    tokens, mask = (torch.from_numpy(of) for of in rows())
    with torch.no_grad():
        expected = model(tokens, attention_mask=mask).logits
        logits = graph.readout(model, graph.run(ALL_ROWS, [ROOT])[ROOT])
    if slug == "brackets":
        torch.testing.assert_close(logits[:, 0], expected)
    else:
        torch.testing.assert_close(logits[mask], expected[mask])
