"""The fast evaluator equals the published recursion on every plan, at the cost that was promised."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.scrubbing.columns import columns_of
from analysis.scrubbing.donors import Donors
from analysis.scrubbing.fast import GeneralSpans, layer_rows, scrub_fast
from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.parts import place_of
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.reference import scrub_by_recursion
from analysis.scrubbing.spans import TransformerSpans
from analysis.scrubbing.wiring import wire
from tests.scrubbing.models import FAMILIES, N_ROWS, ORGANISMS, graph_of
from tests.scrubbing.random_hypotheses import plan_of, random_plan
from tests.scrubbing.saying import hypothesis, node
from tests.scrubbing.test_known_answers import KNOWN
from tests.scrubbing.test_known_answers import plan_of as toy_plan_of

# Grouped queries; MLPs beside heads; one norm for both; no MLPs; attention to both sides.
SAMPLED = ("tiny-gpt2", "tiny-llama", "tiny-neox", "tiny-phi", *ORGANISMS)
derandomised = settings(
    max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def fast(
    slug: str,
    said: Hypothesis,
    plan: Plan,
    *,
    donors: Donors | None = None,
    batch: int = 2**28,
    read_at: tuple[int, ...] | None = None,
) -> torch.Tensor:
    graph = graph_of(slug)
    donors = donors or Donors(graph, N_ROWS)
    batches = scrub_fast(
        TransformerSpans(graph, read_at=read_at), wire(said, graph.parts), plan, donors=donors, batch_bytes=batch
    )
    return torch.cat([stream for _, stream in batches])


def slow(slug: str, said: Hypothesis, plan: Plan) -> torch.Tensor:
    graph = graph_of(slug)
    return scrub_by_recursion(graph, wire(said, graph.parts), plan)


@pytest.mark.parametrize("slug", SAMPLED)
@derandomised
@given(seed=st.integers(0, 10_000))
def test_both_evaluators_agree_on_random_plans_over_random_hypotheses(slug: str, seed: int) -> None:
    said, plan = random_plan(graph_of(slug).parts, seed)
    expected = slow(slug, said, plan)
    torch.testing.assert_close(fast(slug, said, plan), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(fast(slug, said, plan, batch=1), expected, rtol=1e-9, atol=1e-9)
    for read_at in ((0,), (2, 5)):
        found = fast(slug, said, plan, read_at=read_at)
        torch.testing.assert_close(found, expected[:, list(read_at)], rtol=1e-9, atol=1e-9)


def test_random_hypotheses_ask_for_all_there_is() -> None:
    """Else the test above says little."""
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(40):
        said, plan = random_plan(graph_of("tiny-llama").parts, seed)
        wiring = wire(said, graph_of("tiny-llama").parts)
        seen["by position"] += any(rows.ndim == 2 for rows in plan.rows.values())
        seen["mask of the datum"] += any(evaluation.mask != evaluation.draw for evaluation in wiring.internal)
        seen["depth"] += max(draw.path.count("/") for draw in plan.rows) >= 2
        columns = columns_of(wiring, plan, read_at=(0,))
        for of, evaluation in zip(columns, wiring.evaluations, strict=True):
            seen["patched"] += bool(evaluation.replaced) and of.changed is not None
            seen["query at some"] += bool(evaluation.replaced) and of.read == (0,) and evaluation.part.endswith(".q")
        for evaluation in wiring.internal:
            seen[place_of(evaluation.part).kind if evaluation.part != "out" else "out"] += 1
            seen["internal by position"] += plan.rows[evaluation.draw].ndim == 2
            for replaced in evaluation.replaced:
                seen["offset"] += replaced.offset is not None
                seen["positions"] += replaced.at is not None
                seen["share"] += replaced.part != replaced.through
    assert min(seen[what] for what in ("q", "k", "v", "head", "mlp", "out")) >= 5
    assert min(seen[what] for what in ("by position", "internal by position", "depth", "positions", "share")) >= 5
    assert min(seen[what] for what in ("query at some", "patched")) >= 5
    assert min(seen[what] for what in ("offset", "mask of the datum")) >= 2


@pytest.mark.parametrize("name", KNOWN)
def test_both_evaluators_agree_on_graphs_of_plain_functions(name: str) -> None:
    case = KNOWN[name]
    said, plan = toy_plan_of(case, 300)
    wiring = wire(said, case.graph.parts)
    donors = Donors(case.graph, len(case.graph.rows))
    batches = scrub_fast(GeneralSpans(case.graph), wiring, plan, donors=donors)
    scrubbed = torch.cat([values for _, values in batches])
    torch.testing.assert_close(scrubbed, scrub_by_recursion(case.graph, wiring, plan), rtol=0, atol=1e-12)


EXACT = [node("all", "out", "embed", "L*H*", "L*.mlp", sampler="exact", via=["*"])]


@pytest.mark.parametrize("slug", FAMILIES)
def test_everything_exact_is_the_model(slug: str) -> None:
    said = hypothesis(node("out"), *EXACT, n=20)
    plan = plan_of(said, graph_of(slug).parts)
    clean = graph_of(slug).run(plan.reference, ["out"])["out"]
    torch.testing.assert_close(fast(slug, said, plan), clean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("slug", SAMPLED)
@derandomised
@given(seed=st.integers(0, 10_000))
def test_donors_that_are_the_reference_give_the_model(slug: str, seed: int) -> None:
    said, plan = random_plan(graph_of(slug).parts, seed)
    reference = plan.reference
    rows = {
        draw: np.broadcast_to(reference.reshape(-1, *[1] * (of.ndim - 1)), of.shape) for draw, of in plan.rows.items()
    }
    clean = graph_of(slug).run(reference, ["out"])["out"]
    torch.testing.assert_close(fast(slug, said, dataclasses.replace(plan, rows=rows)), clean, rtol=1e-9, atol=1e-9)


def test_nothing_mapped_is_another_row() -> None:
    said = hypothesis(node("out"), n=20)
    plan = plan_of(said, graph_of("tiny-gpt2").parts)
    others = next(rows for draw, rows in plan.rows.items() if draw.is_other)
    clean = graph_of("tiny-gpt2").run(others, ["out"])["out"]
    torch.testing.assert_close(fast("tiny-gpt2", said, plan), clean)


def a_deep_hypothesis(*, word: str = "word") -> Hypothesis:
    return hypothesis(
        node("out"),
        node("a", "out", "L2H0", sampler=word),
        node("b", "a", "L1.mlp", via=["L2H0.q"], sampler="word"),
        node("c", "b", "L0H1", via=["L1H1", "L1H1.q"], sampler="length"),
        node("d", "out", "L1H3", via=["L1.mlp", "L2.mlp"], sampler="word"),
        n=200,
    )


def bound(said: Hypothesis, spans: dict[str, int], *, distinct: int, layers: int) -> int:
    """Layer-rows: distinct rows once, then the layers between each node and its lowest child."""
    return distinct * layers + said.n * sum(spans.values())


def test_layer_rows_are_within_the_bound() -> None:
    graph, said = graph_of("tiny-gpt2"), a_deep_hypothesis()
    plan, donors = plan_of(said, graph.parts), Donors(graph, N_ROWS)
    fast("tiny-gpt2", said, plan, donors=donors)
    wiring = wire(said, graph.parts)
    distinct = len(np.unique(np.concatenate(list(plan.rows.values()))))
    # by hand: out reaches down to L1 by two MLPs, a is L2 alone, b is L1 with a head of it
    spans = {"out": 2, "a": 1, "b": 1}
    counted = layer_rows(graph, wiring, plan, run=donors.layer_rows)
    assert donors.rows_run <= distinct
    assert counted <= 1.2 * bound(said, spans, distinct=distinct, layers=3)
    one_forward_each = said.n * 3 * (len(said.nodes) + 1)
    assert counted < one_forward_each / 3


def test_a_further_hypothesis_costs_only_its_spans() -> None:
    graph, donors = graph_of("tiny-gpt2"), Donors(graph_of("tiny-gpt2"), N_ROWS)
    first = a_deep_hypothesis()
    fast("tiny-gpt2", first, plan_of(first, graph.parts), donors=donors)
    run_before = donors.rows_run
    second = a_deep_hypothesis(word="length")
    plan = plan_of(second, graph.parts)
    scrubbed = fast("tiny-gpt2", second, plan, donors=donors)
    assert donors.rows_run == run_before
    torch.testing.assert_close(scrubbed, slow("tiny-gpt2", second, plan), rtol=1e-9, atol=1e-9)


def test_little_memory_changes_nothing() -> None:
    graph, said = graph_of("tiny-gpt2"), a_deep_hypothesis()
    plan, donors = plan_of(said, graph.parts), Donors(graph_of("tiny-gpt2"), N_ROWS)
    batches = scrub_fast(
        TransformerSpans(graph), wire(said, graph.parts), plan, donors=donors, batch_bytes=2**18, kept_bytes=2**12
    )
    pieces = [stream for _, stream in batches]
    assert len(pieces) > 3
    torch.testing.assert_close(torch.cat(pieces), fast("tiny-gpt2", said, plan), rtol=1e-9, atol=1e-9)
