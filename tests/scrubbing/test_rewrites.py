"""Rewrites leave what the model computes as it is, or are refused; and they can be scrubbed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from analysis.datasets.task import ABSENT
from analysis.datasets.tasks.brackets import PROPORTION_SCALE
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.hypothesis import EstimateForm, Rewrite, RewriteKind
from analysis.scrubbing.reference import scrub_by_recursion
from analysis.scrubbing.rewrites import by_mean, by_slope, refuse_unless_equal, rewrite_graph
from analysis.scrubbing.wiring import wire
from tests.scrubbing.models import graph_of
from tests.scrubbing.saying import node
from tests.scrubbing.subjects import a_subject, an_experiment, bracket_model

HEAD = "L0H0"
MEAN = Rewrite(RewriteKind.ESTIMATE, HEAD, "horizon_class")
SLOPE = Rewrite(RewriteKind.ESTIMATE, HEAD, "open_proportion", EstimateForm.SLOPE)


def outputs_of_head(subject) -> np.ndarray:
    """What the head adds to the residual stream, by a hook of torch: its columns of W_O times its z."""
    module = bracket_model().model.layers[0].self_attn.o_proj
    kept: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        bracket_model()(torch.from_numpy(subject.rows.tokens), torch.from_numpy(subject.rows.mask))
    handle.remove()
    return (kept[0][..., :8] @ module.weight[:, :8].T).detach().numpy()


def test_an_estimate_is_the_mean_of_the_rows_that_agree_at_a_position() -> None:
    subject = a_subject()
    values, outputs = subject.values("horizon_class"), outputs_of_head(subject)
    found = by_mean(subject.graph, HEAD, values)(np.array([5, 17])).numpy()
    for sample, row in enumerate((5, 17)):
        for at in range(42):
            alike = [other for other in range(len(values)) if values[other, at] == values[row, at]]
            assert found[sample, at] == pytest.approx(np.mean([outputs[other, at] for other in alike], axis=0))


def test_a_slope_is_the_least_squares_of_numpy() -> None:
    subject = a_subject()
    values, outputs = subject.values("open_proportion"), outputs_of_head(subject)
    there = values != ABSENT
    shares = values[there] / PROPORTION_SCALE
    slope = np.linalg.lstsq((2 * shares - 1)[:, None], outputs[there], rcond=None)[0][0]
    found = by_slope(subject.graph, HEAD, np.where(there, values / PROPORTION_SCALE, np.nan))(np.array([9])).numpy()
    for at in range(42):
        expected = (2 * values[9, at] / PROPORTION_SCALE - 1) * slope if there[9, at] else np.zeros(16)
        assert found[0, at] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rewrite", [MEAN, SLOPE])
def test_an_estimate_and_the_rest_are_the_head(rewrite: Rewrite) -> None:
    graph = a_subject(rewrite).graph
    rows = np.arange(20)
    values = graph.run(rows, [HEAD, f"{HEAD}.estimate", f"{HEAD}.rest"])
    torch.testing.assert_close(values[f"{HEAD}.estimate"] + values[f"{HEAD}.rest"], values[HEAD])
    assert values[f"{HEAD}.estimate"].abs().max() > 0.01


@pytest.mark.parametrize("rewrite", [MEAN, SLOPE])
def test_a_head_is_replaced_by_its_estimate(rewrite: Rewrite) -> None:
    """Its rest unimportant, as in the published row 2b. Both evaluators agree, and it is not the model."""
    subject = a_subject(rewrite)
    nodes = [node("out"), node("head", "out", "L1H1", sampler="exact", via=["*"], other="exact")]
    nodes.append(node("estimate", "head", f"{HEAD}.estimate", sampler="balanced", via=["L1H1.q", "L1KV1.k", "L1KV1.v"]))
    said = dataclasses.replace(an_experiment(*nodes).hypothesis, dataset_hash=subject.dataset_hash)
    scrubbed = subject.scrub(said)
    slow = scrub_by_recursion(subject.graph, wire(said, subject.graph.parts), scrubbed.plan)
    expected = subject.scorer.score(slow, scrubbed.plan.reference)
    assert scrubbed.scored.losses == pytest.approx(expected.losses)
    whole = [*nodes[:2], {**nodes[2], "parts": [HEAD]}]
    other = dataclasses.replace(an_experiment(*whole).hypothesis, dataset_hash=subject.dataset_hash)
    assert np.abs(subject.scrub(other).scored.losses - scrubbed.scored.losses).max() > 1e-6


def test_ungrouping_leaves_the_model_as_it_is() -> None:
    graph = graph_of("tiny-llama")
    rewritten = rewrite_graph(graph, [Rewrite(RewriteKind.UNGROUP, "L1H4")], values=lambda _: np.zeros(1), features={})
    assert rewritten.parts.inputs("L1H4") == ("L1H4.q", "L1H4.k", "L1H4.v")
    assert graph.parts.inputs("L1H4") == ("L1H4.q", "L1KV1.k", "L1KV1.v")


def test_a_rewrite_that_changes_the_model_is_refused() -> None:
    graph = graph_of("tiny-llama")
    broken = graph.rewritten(dataclasses.replace(graph.parts, ungrouped=frozenset({"L1H4"})), {})
    of_group = broken.slot

    def of_another(part, attended):
        return attended.value[:, 0] if part == "L1H4.v" else of_group(part, attended)

    broken.slot = of_another
    with pytest.raises(
        ScrubError, match=r"Rewriting L1H4: expected a graph equal to the model within 0.0001 on 24 rows"
    ):
        refuse_unless_equal(broken, what="L1H4")


@pytest.mark.parametrize(
    ("rewrite", "sentence"),
    [
        (Rewrite(RewriteKind.ESTIMATE, "L0.mlp", "balanced"), "expected one head of the model, got another part."),
        (Rewrite(RewriteKind.ESTIMATE, "L9H0", "balanced"), "Rewriting L9H0: expected one head of the model."),
        (Rewrite(RewriteKind.ESTIMATE, "L0H*", "balanced"), "Rewriting L0H*: expected one head of the model."),
        (
            Rewrite(RewriteKind.ESTIMATE, HEAD, {"all": ["balanced"]}, EstimateForm.SLOPE),
            "expected the name of a feature, got an expression.",
        ),
    ],
)
def test_what_cannot_be_rewritten_has_one_sentence(rewrite: Rewrite, sentence: str) -> None:
    with pytest.raises(ScrubError) as raised:
        a_subject(rewrite)
    assert sentence in str(raised.value)
