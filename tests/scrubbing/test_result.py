"""Figures, warnings and verdicts of scrubs of a small model, and the oracles that share no code with them."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.datasets.tasks.table import TASKS
from analysis.scrubbing.assignments import random_assignments
from analysis.scrubbing.further import exact_alone, loss_budget, on_other_parts, samples_of
from analysis.scrubbing.intact import share_intact
from analysis.scrubbing.parts import ROOT, ToyParts, TransformerParts
from analysis.scrubbing.recovery import Mean, Recovered
from analysis.scrubbing.result import ResultError, Samples, Verdict, compare, summarise
from analysis.scrubbing.run import publish_run, read_samples, read_searched, run_on
from analysis.scrubbing.wiring import wire
from tests.scrubbing.models import parts
from tests.scrubbing.random_hypotheses import plan_of
from tests.scrubbing.saying import hypothesis, node
from tests.scrubbing.subjects import a_subject, an_experiment, bracket_model, decode
from tests.scrubbing.test_known_answers import KNOWN
from tests.scrubbing.test_known_answers import plan_of as toy_plan_of

COUNT = [node("out"), node("count", "out", "L1H0", "L2H1", sampler="count_test", via=["L1.mlp", "L2.mlp"])]
TREE = [*COUNT, node("embedded", "count", "embed", sampler="balanced", via=["L1H0.v", "L1KV0.v", "L2KV1.v"])]
FINE = [node("out"), node("all", "out", "embed", "L*H*", "L*.mlp", sampler="exact", via=["*"])]


@pytest.fixture(scope="module")
def subject():
    return a_subject()


@pytest.fixture(scope="module")
def run(subject):
    experiment = an_experiment(*TREE, end_point="labels permuted", criterion=0.5)
    return run_on(subject, experiment, decode=decode, assignments=5, make_rows=TASKS["brackets"].rows)


def logits_of(subject, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        tokens, mask = (torch.from_numpy(of[rows]) for of in (subject.rows.tokens, subject.rows.mask))
        return bracket_model()(tokens, mask).logits.log_softmax(-1).numpy()


def test_the_model_is_100_percent_and_permuted_labels_are_0(subject, run) -> None:
    samples = run.samples
    labels = subject.rows.labels[samples.reference, 0]
    by_class = logits_of(subject, samples.reference)
    assert samples.model == pytest.approx(-by_class[np.arange(samples.n), labels])
    either = -by_class
    # each sample has the loss of one of the classes, and all labels are those of the references
    taken = np.isclose(samples.nothing[:, None], either)
    assert taken.any(axis=1).all()
    sure = taken.sum(axis=1) == 1
    assert abs(int(taken[sure, 1].sum()) - int(labels.sum())) <= int((~sure).sum())


def test_everything_exact_recovers_all_and_nothing_mapped_nothing(subject) -> None:
    exact = run_on(subject, an_experiment(*FINE), decode=decode, assignments=0).result
    assert exact.recovered.value == pytest.approx(1, abs=1e-9)
    assert exact.loss_change.value == pytest.approx(0, abs=1e-9)
    assert exact.paths_intact == 1
    assert any("permissive" in warning for warning in exact.warnings)
    nothing = run_on(subject, an_experiment(node("out")), decode=decode, assignments=0).result
    assert nothing.recovered.value == pytest.approx(0, abs=1e-12)
    assert nothing.paths_intact < 0.05


def test_inputs_of_named_parts_are_another_rows(subject) -> None:
    """Against a model whose head is given another row's output by a hook of torch."""
    experiment = an_experiment(node("out"), end_point={"inputs scrubbed": ["L2H1"]})
    plan = subject.plan(dataclasses.replace(experiment.hypothesis, dataset_hash=subject.dataset_hash))
    hypothesis_ = dataclasses.replace(experiment.hypothesis, dataset_hash=subject.dataset_hash)
    ends = subject.ends(hypothesis_, plan)
    from analysis.scrubbing.subject import inputs_scrubbed  # noqa: PLC0415

    other_plan = subject.plan(inputs_scrubbed(hypothesis_, hypothesis_.end_point), reference=plan.reference)
    others = next(rows for draw, rows in other_plan.rows.items() if draw.path == "out/end point")
    module = bracket_model().model.layers[2].self_attn.o_proj
    kept: list[torch.Tensor] = []
    tokens, mask = torch.from_numpy(subject.rows.tokens), torch.from_numpy(subject.rows.mask)
    with torch.no_grad():
        handle = module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        bracket_model()(tokens[others], mask[others])
        handle.remove()

        def swap(_, inputs):
            z = inputs[0].clone()
            z[..., 8:] = kept[0][..., 8:]
            return (z,)

        handle = module.register_forward_pre_hook(swap)
        logits = bracket_model()(tokens[plan.reference], mask[plan.reference]).logits.log_softmax(-1).numpy()
        handle.remove()
    labels = subject.rows.labels[plan.reference, 0]
    assert ends.nothing.losses == pytest.approx(-logits[np.arange(len(labels)), labels])


def test_classes_are_means_of_their_own_samples(subject, run) -> None:
    kinds = subject.rows.classes["failure"][run.samples.reference]
    assert [of.value for of in run.result.classes] == sorted({int(kind) for kind in kinds})
    for of in run.result.classes:
        some = [i for i in range(run.samples.n) if kinds[i] == of.value]
        assert of.n == len(some)
        assert of.scrubbed.value == pytest.approx(sum(run.samples.scrubbed[i] for i in some) / len(some))
    assert sum(of.n for of in run.result.classes) == run.result.n


def test_the_budget_is_the_hypothesis_with_one_node_exact(subject, run) -> None:
    of = {node.path: node for node in run.result.nodes}
    by_hand = run_on(
        subject,
        an_experiment(COUNT[0], {**COUNT[1], "sampler": "exact"}, TREE[2], end_point="labels permuted"),
        decode=decode,
        assignments=0,
    ).result
    assert of["out/count"].made_exact.value == pytest.approx(by_hand.recovered.value)
    gain = by_hand.recovered.value - run.result.recovered.value
    assert of["out/count"].gain.value == pytest.approx(gain)
    assert of["out/count"].drawn.donors > 1


def test_the_verdict_is_only_against_a_criterion_stated_before(subject, run) -> None:
    value = run.result.recovered.value
    assert run.result.verdict == Verdict(0.5, value >= 0.5)
    assert str(Verdict(0.8, met=True)) == "criterion ≥ 80 %: met"
    assert str(Verdict(0.8, met=False)) == "criterion ≥ 80 %: not met"
    without = run_on(subject, an_experiment(*COUNT), decode=decode, assignments=0)
    assert without.result.verdict is None


def test_two_hypotheses_are_compared_on_the_same_draws(subject, run) -> None:
    other = run_on(subject, an_experiment(*COUNT, end_point="labels permuted"), decode=decode, assignments=0)
    apart = compare(run.samples, other.samples, seed=0)
    assert apart.value == pytest.approx(run.result.recovered.value - other.result.recovered.value)
    for more in ({"seed": 1}, {"end_point": "everything scrubbed"}, {"n": 30}):
        third = run_on(subject, an_experiment(*COUNT, **more), decode=decode, assignments=0)
        with pytest.raises(ResultError, match="expected the same reference rows, model and end point"):
            compare(run.samples, third.samples, seed=0)


def made_up(scrubbed: np.ndarray, model: np.ndarray, nothing: np.ndarray) -> Samples:
    n = len(scrubbed)
    return Samples(np.arange(n), np.arange(n), scrubbed, model, nothing, scrubbed[:, None], model[:, None])


def figures(samples: Samples, **more):
    given = {"classes": {}, "nodes": (), "assignments": (), "paths_intact": 0.1, "layer_rows": 1}
    return summarise(hypothesis(node("out")), samples, **{**given, "layer_rows_one_forward_each": 1, **more})


def test_errors_that_cancel_are_said() -> None:
    n = 100
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    cancelling = figures(made_up(1 + signs, np.ones(n), np.full(n, 3.0)))
    assert cancelling.recovered.value == pytest.approx(1)
    assert cancelling.loss_change.value == pytest.approx(1)
    assert any(warning.startswith("Errors cancel") for warning in cancelling.warnings)
    worse = figures(made_up(np.full(n, 2.0), np.ones(n), np.full(n, 3.0)))
    assert worse.warnings == []


def test_end_points_that_are_hardly_apart_are_said() -> None:
    model = np.random.default_rng(0).normal(size=100)
    hardly = figures(made_up(model, model, model[::-1].copy() + 0.01))
    assert any(warning.startswith("The end points are hardly apart: 0.01, ") for warning in hardly.warnings)


def test_a_tree_that_does_as_well_elsewhere_is_said() -> None:
    from analysis.scrubbing.result import OfAssignment  # noqa: PLC0415

    n = 100
    others = [OfAssignment(("L0H0",), Recovered(share)) for share in (0.2, 0.5, 0.9)]
    samples = made_up(np.full(n, 2.0), np.ones(n), np.full(n, 3.0))
    said = figures(samples, assignments=others).warnings
    assert said == [
        "The same tree recovers as much or more on 2 of 3 random choices of other parts, so it says little of these."
    ]


def paths_by_hand(case_parts: ToyParts, top: str) -> list[tuple[str, ...]]:
    below = case_parts.inputs(top)
    return [(top, *rest) for read in below for rest in paths_by_hand(case_parts, read)] if below else [(top,)]


@pytest.mark.parametrize("name", KNOWN)
def test_paths_left_intact_are_those_that_lead_to_the_reference(name: str) -> None:
    """Of toy graphs: each path is followed down the tree by hand, to the row that it reads."""
    case = KNOWN[name]
    said, plan = toy_plan_of(case, 50)
    expected = 0.0
    paths = paths_by_hand(case.graph.parts, ROOT)
    for path in paths:
        at = "out"
        for part in path[1:]:
            child = next((of.name for of in said.children(at) if part in of.parts), None)
            at = child or at
            if child is None:
                break
        is_leaf = at != "out" and not said.children(at)
        rows = next(
            rows for draw, rows in plan.rows.items() if draw.path == said.path(at) and draw.is_other == (not is_leaf)
        )
        expected += float((rows == plan.reference).mean()) / len(paths)
    assert share_intact(wire(said, case.graph.parts), plan, case.graph.parts) == pytest.approx(expected)


def test_random_assignments_are_other_parts_in_the_same_tree() -> None:
    grouped = parts("tiny-llama")
    said = hypothesis(
        node("out"),
        node("a", "out", "L2H4", "L1N0-2", sampler="word", via=["L2.mlp"]),
        node("b", "a", "L0H1", sampler="word", via=["L2H4.q", "L2KV1.v"]),
    )
    others = random_assignments(said, grouped)
    assert len({other.nodes for other in others}) == len(others) == 20
    for other in others:
        plan_of(other, grouped)  # legal
        assert [of.sampler for of in other.nodes] == [of.sampler for of in said.nodes]
        head = next(part for part in other.node("a").parts if "H" in part)
        assert f"{head}.q" in other.node("b").via
        assert head.startswith("L2H")


def test_there_are_no_more_assignments_than_there_are_parts() -> None:
    others = random_assignments(
        hypothesis(node("out"), node("a", "out", "L1H0")), TransformerParts(a_subject().graph.parts.sizes)
    )
    assert [other.node("a").parts for other in others] == [("L1H1",)]


def test_other_parts_are_scrubbed_as_hypotheses_of_their_own(subject) -> None:
    experiment = an_experiment(*COUNT)
    said = dataclasses.replace(experiment.hypothesis, dataset_hash=subject.dataset_hash)
    scrubbed = subject.scrub(said)
    samples = samples_of(subject, scrubbed, subject.ends(said, scrubbed.plan))
    done: list[tuple[int, int]] = []
    others = on_other_parts(subject, said, samples, count=20, on_done=lambda *of: done.append(of))
    assert sorted(of.parts for of in others) == [("L1H0", "L2H0"), ("L1H1", "L2H0"), ("L1H1", "L2H1")]
    for of in others:
        nodes = [COUNT[0], {**COUNT[1], "parts": list(of.parts)}]
        alone = run_on(subject, an_experiment(*nodes), decode=decode, assignments=0)
        assert of.recovered.value == pytest.approx(alone.result.recovered.value)
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_features_that_are_put_together_are_tried_on_other_parts_too(subject) -> None:
    both = {"agree": {"all": ["count_test", "horizon_test"]}}
    run = run_on(subject, an_experiment(COUNT[0], {**COUNT[1], "sampler": both}), decode=decode, assignments=20)
    assert sorted(of.parts for of in run.result.assignments) == [("L1H0", "L2H0"), ("L1H1", "L2H0"), ("L1H1", "L2H1")]
    assert all(of.recovered.value is not None for of in run.result.assignments)


def test_layer_rows_are_counted_and_fewer_than_one_forward_a_node(run) -> None:
    assert 0 < run.result.layer_rows < run.result.layer_rows_one_forward_each
    assert run.result.layer_rows_one_forward_each == 60 * 3 * (5 + 1)


def test_a_run_is_kept_and_read_again(run, tmp_path: Path) -> None:
    artifact = publish_run(run, tmp_path)
    artifact.verify()
    assert artifact.path.name == run.experiment.hash
    again = read_samples(artifact)
    for name, array in run.samples.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), array)
    assert artifact.meta["result"]["recovered"]["value"] == pytest.approx(run.result.recovered.value)
    assert artifact.meta["experiment"] == run.experiment.to_json()
    np.testing.assert_array_equal(artifact.read("out/count", file="plan"), run.plan["out/count"])
    assert len(json.loads((artifact.path / "worst.json").read_text())) == 20
    assert read_searched(artifact) == run.searched
    assert run.searched.samples == 32
    assert len(run.searched.worst) == 10
    assert isinstance(run.result.losses["model"], Mean)


def test_progress_only_rises(subject) -> None:
    seen: list[tuple[float, str]] = []
    run_on(
        subject,
        an_experiment(*COUNT),
        decode=decode,
        assignments=2,
        make_rows=TASKS["brackets"].rows,
        on_progress=lambda *of: seen.append(of),
    )
    assert all(first <= second for (first, _), (second, _) in itertools.pairwise(seen))
    assert seen[-1] == (1.0, "done")
    assert len([share for share, doing in seen if doing == "searching for worse inputs"]) >= 5


def test_making_a_node_exact_leaves_the_others_draws(subject) -> None:
    said = dataclasses.replace(an_experiment(*TREE).hypothesis, dataset_hash=subject.dataset_hash)
    before, after = subject.plan(said), subject.plan(exact_alone(said, "embedded"))
    for draw, rows in before.rows.items():
        assert np.array_equal(rows, after.rows[draw]) == (draw.path != "out/count/embedded")
    scrubbed = subject.scrub(said)
    samples = samples_of(subject, scrubbed, subject.ends(said, scrubbed.plan))
    assert [of.path for of in loss_budget(subject, scrubbed, samples, on_done=lambda *_: None)] == [
        "out/count",
        "out/count/embedded",
    ]
