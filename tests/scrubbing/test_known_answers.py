"""The published recursion on graphs of plain functions: the deviation is known in closed form."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from analysis.scrubbing.hypothesis import Hypothesis, SamplerKind
from analysis.scrubbing.legality import check
from analysis.scrubbing.plan import Plan, make_plan
from analysis.scrubbing.reference import scrub_by_recursion
from analysis.scrubbing.toy import ToyGraph
from analysis.scrubbing.wiring import Draw, wire
from tests.scrubbing.saying import hypothesis, node, world


def grid(n_inputs: int) -> np.ndarray:
    return np.array(list(itertools.product(range(10), repeat=n_inputs)), dtype=float)


@dataclasses.dataclass(frozen=True)
class Known:
    """A row of the table of known answers."""

    graph: ToyGraph
    hypothesis: Hypothesis
    answer: float
    # Rows that stand for all as other datum of a node, where no other input of theirs is read.
    others: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def known(rows: np.ndarray, functions: dict[str, Any], *nodes: dict[str, Any], answer: float, **more: Any) -> Known:
    return Known(ToyGraph(rows, functions), hypothesis(node("out"), *nodes), answer, **more)


ONE_OF_EACH_X2 = np.arange(10)  # the rows (0, 0, x2)

KNOWN = {
    "both agree on what they compute": known(
        grid(2),
        {"a": lambda x0: 2 * x0, "b": lambda x1: 3 * x1, "out": lambda a, b: a + b},
        node("a", "out", sampler="x0"),
        node("b", "out", sampler="x1"),
        answer=0,
    ),
    "an input is left out": known(
        grid(2),
        {"a": lambda x0, x1: 2 * x0 + x1, "out": lambda a: a},
        node("a", "out", sampler="x0"),
        answer=3.3,
    ),
    "intermediates cancel": known(
        grid(3),
        {"a": lambda x0, x2: x0 + x2, "b": lambda x1, x2: x1 - x2, "out": lambda a, b: a + b},
        node("a", "out", sampler="x0"),
        node("b", "out", sampler="x1"),
        answer=3.3,
    ),
    "a summand is left out": known(
        grid(2),
        {"a": lambda x0: 2 * x0, "b": lambda x1: 3 * x1, "out": lambda a, b: a + b},
        node("a", "out", sampler="x0"),
        answer=9.9,
    ),
    "inputs are correlated": known(
        np.array([(value, 2 * value) for value in range(10)], dtype=float),
        {"out": lambda x0, x1: x0 + x1},
        node("x0", "out", sampler="x0"),
        answer=6.6,
    ),
    "unimportant inputs share a datum": known(
        grid(2),
        {"a": lambda x0: x0, "u": lambda x1: x1, "v": lambda x1: -x1, "out": lambda a, u, v: a + u + v},
        node("a", "out", sampler="x0"),
        answer=0,
    ),
    "a child agrees with its parent's datum": known(
        grid(2),
        {"a": lambda x0: x0, "c": lambda a, x1: a + x1, "out": lambda c: c},
        node("c", "out", sampler="x0_parity"),
        node("a", "c", sampler="x0"),
        answer=4.5992,
    ),
    "an unmapped input is not read from the matching datum": known(
        grid(2),
        {"a": lambda x0: x0, "c": lambda a, x1: a + x1, "out": lambda c: c},
        node("c", "out", sampler="sum"),
        node("a", "c", sampler="x0"),
        answer=3.3,
    ),
    "nodes have other data of their own": known(
        grid(3),
        {"c": lambda x0, x2: x0 + x2, "d": lambda x1, x2: x1 - x2, "out": lambda c, d: c + d},
        node("c", "out", sampler="exact"),
        node("d", "out", sampler="exact"),
        node("x0", "c", sampler="exact"),
        node("x1", "d", sampler="exact"),
        answer=3.3,
        others={"out/c": ONE_OF_EACH_X2, "out/d": ONE_OF_EACH_X2},
    ),
}


def values_of(graph: ToyGraph) -> dict[str, np.ndarray]:
    """The features of a row: each number, the first one's parity, the sum of the first two."""
    columns = {f"x{at}": column.astype(np.int64) for at, column in enumerate(graph.rows.T)}
    return {**columns, "x0_parity": columns["x0"] % 2, "sum": columns["x0"] + columns.get("x1", 0)}


def plan_of(case: Known, n: int, *, seed: int = 0) -> tuple[Hypothesis, Plan]:
    sampled = dataclasses.replace(case.hypothesis, n=n, seed=seed)
    values = values_of(case.graph)
    about = world(case.graph.parts, values)
    check(sampled, about)
    return sampled, make_plan(sampled, about, evaluate=values.__getitem__)


def deviations(case: Known, plan: Plan) -> np.ndarray:
    scrubbed = scrub_by_recursion(case.graph, wire(case.hypothesis, case.graph.parts), plan)
    return (scrubbed - case.graph.run(plan.reference, ["out"])["out"]).abs().numpy()


def all_draws(case: Known) -> list[tuple[Plan, np.ndarray]]:
    """Every plan that can be drawn, with the probability of each sample; by parts, to bound the memory."""
    references = np.array_split(np.arange(len(case.graph.rows)), 20 if len(case.graph.rows) == 1000 else 1)
    return [_all_draws_of(case, some) for some in references if len(some)]


def _all_draws_of(case: Known, references: np.ndarray) -> tuple[Plan, np.ndarray]:
    values, n_rows = values_of(case.graph), len(case.graph.rows)
    columns: dict[Draw, list[int]] = {Draw("out"): list(references)}
    chances = [1 / n_rows] * len(references)

    def branch(draw: Draw, choices: list[list[int]]) -> None:
        nonlocal chances
        expanded: dict[Draw, list[int]] = {}
        for before, rows in columns.items():
            expanded[before] = [row for row, options in zip(rows, choices, strict=True) for _ in options]
        expanded[draw] = [option for options in choices for option in options]
        chances = [chance / len(options) for chance, options in zip(chances, choices, strict=True) for _ in options]
        columns.clear()
        columns.update(expanded)

    def descend(name: str, path: str) -> None:
        children = case.hypothesis.children(name)
        reads = case.graph.parts.inputs(name)
        mapped = {part for child in children for part in child.parts}
        if children or name == "out":
            # where every input is mapped the other datum is not read, and any row does
            others = list(case.others.get(path, range(n_rows))) if set(reads) - mapped else [0]
            branch(Draw(path, is_other=True), [others] * len(chances))
        for child in children:
            parents = columns[Draw(path)]
            if child.sampler.kind is SamplerKind.EXACT:
                branch(Draw(f"{path}/{child.name}"), [[row] for row in parents])
            else:
                feature = values[child.sampler.feature]
                equal = {value: np.flatnonzero(feature == value).tolist() for value in np.unique(feature)}
                branch(Draw(f"{path}/{child.name}"), [equal[feature[row]] for row in parents])
            descend(child.name, f"{path}/{child.name}")

    descend("out", "out")
    rows = {draw: np.array(column) for draw, column in columns.items()}
    return Plan(len(chances), rows, {}, {}), np.array(chances)


@pytest.mark.parametrize("name", KNOWN)
def test_the_mean_over_all_draws_is_the_known_answer(name: str) -> None:
    case = KNOWN[name]
    total = probability = 0.0
    for plan, chances in all_draws(case):
        total += float(deviations(case, plan) @ chances)
        probability += chances.sum()
    assert probability == pytest.approx(1)
    assert total == pytest.approx(case.answer, abs=1e-9)


@pytest.mark.parametrize("name", KNOWN)
def test_the_mean_of_samples_is_within_four_standard_errors(name: str) -> None:
    n = 20_000
    _, plan = plan_of(KNOWN[name], n)
    drawn = deviations(KNOWN[name], plan)
    assert abs(drawn.mean() - KNOWN[name].answer) <= 4 * drawn.std() / np.sqrt(n)


@pytest.mark.parametrize("name", KNOWN)
def test_everything_exact_changes_nothing(name: str) -> None:
    case = KNOWN[name]
    reads = case.graph.parts.inputs
    nodes = [node("out"), *(node(part, "out", sampler="exact") for part in reads("out"))]
    exact = dataclasses.replace(case, hypothesis=hypothesis(*nodes))
    _, plan = plan_of(exact, 200)
    assert (deviations(exact, plan) == 0).all()


@pytest.mark.parametrize("name", KNOWN)
def test_donors_that_are_the_reference_change_nothing(name: str) -> None:
    _, plan = plan_of(KNOWN[name], 200)
    equal = dataclasses.replace(plan, rows=dict.fromkeys(plan.rows, plan.reference))
    assert (deviations(KNOWN[name], equal) == 0).all()


@pytest.mark.parametrize("name", KNOWN)
def test_nothing_mapped_reads_one_other_row(name: str) -> None:
    nothing = dataclasses.replace(KNOWN[name], hypothesis=hypothesis(node("out")))
    sampled, plan = plan_of(nothing, 200)
    scrubbed = scrub_by_recursion(nothing.graph, wire(sampled, nothing.graph.parts), plan)
    others = nothing.graph.run(plan.rows[Draw("out", is_other=True)], ["out"])["out"]
    assert scrubbed.equal(others)
    assert (plan.rows[Draw("out", is_other=True)] != plan.reference).any()
