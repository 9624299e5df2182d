"""Sampling plans: uniform among the rows that agree, and nobody's draws change with a neighbour's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.schema import Sizes
from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.legality import check
from analysis.scrubbing.parts import TransformerParts
from analysis.scrubbing.plan import Plan, PlanError, make_plan
from analysis.scrubbing.wiring import Draw
from tests.scrubbing.saying import hypothesis, node, world

SIZES = Sizes(n_layers=3, n_heads=4, n_kv_heads=4, d_model=24, d_head=6, d_mlp=96, d_vocab=400)
N_ROWS, N_POSITIONS = 300, 5
generator = np.random.default_rng(0)
VALUES = {
    "word": generator.integers(0, 4, N_ROWS),
    "here": generator.integers(0, 3, (N_ROWS, N_POSITIONS)),
    "rare": np.where(np.arange(N_ROWS) < 10, np.arange(N_ROWS), 10),
    "row": np.arange(N_ROWS),
}
ROLES = {"END": generator.integers(2, N_POSITIONS, N_ROWS), "S": generator.integers(0, 2, N_ROWS)}

A = node("a", "out", "L1H0", sampler="word")
B = node("b", "a", "embed", sampler="word")
C = node("c", "out", "L1H1", sampler="here")


def plan(*nodes: dict[str, Any], n: int = 400, **more: Any) -> Plan:
    said: Hypothesis = hypothesis(node("out"), *nodes, n=n, **more)
    about = world(TransformerParts(SIZES), VALUES, positions=N_POSITIONS, roles=frozenset(ROLES))
    check(said, about)
    return make_plan(said, about, evaluate=VALUES.__getitem__, roles=ROLES)


def differing(first: Plan, second: Plan) -> set[str]:
    common = set(first.rows) & set(second.rows)
    return {str(draw) for draw in common if not np.array_equal(first.rows[draw], second.rows[draw])}


def test_a_datum_agrees_with_its_parents_and_not_with_the_roots() -> None:
    drawn = plan(A, node("b", "a", "embed", sampler="rare"))
    out, a, b = (drawn.rows[Draw(path)] for path in ("out", "out/a", "out/a/b"))
    assert (VALUES["word"][out] == VALUES["word"][a]).all()
    assert (VALUES["rare"][a] == VALUES["rare"][b]).all()
    assert (VALUES["rare"][out] != VALUES["rare"][b]).any()


def test_draws_are_uniform_among_the_rows_that_agree() -> None:
    drawn = plan(A, n=60_000)
    out, a = drawn.rows[Draw("out")], drawn.rows[Draw("out/a")]
    agreeing = np.flatnonzero(VALUES["word"] == 2)
    counts = np.bincount(a[VALUES["word"][out] == 2], minlength=N_ROWS)[agreeing]
    expected = counts.sum() / len(agreeing)
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < len(agreeing) + 5 * np.sqrt(2 * len(agreeing))
    assert np.abs(np.corrcoef(drawn.rows[Draw("out", is_other=True)], out)[0, 1]) < 0.02


def test_editing_a_node_changes_its_own_draws_and_those_below() -> None:
    before = plan(A, B, C)
    edited = plan(node("a", "out", "L1H0", sampler="rare"), B, C)
    assert differing(before, edited) == {"out/a", "out/a/b"}
    # what lies below is drawn anew because what it agrees with is another row, by the same random numbers
    assert differing(before, plan(A, node("b", "a", "embed", sampler="rare"), C)) == {"out/a/b"}


def test_adding_a_sibling_changes_no_draws() -> None:
    assert differing(plan(A, B), plan(C, A, node("d", "a", "L0H3", sampler="word"), B)) == set()


def test_other_parts_have_the_same_draws() -> None:
    assert differing(plan(A), plan(node("a", "out", "L2.mlp", sampler="word"))) == set()


def test_more_samples_begin_with_the_same_ones() -> None:
    few, many = plan(A, B, C, n=100), plan(A, B, C, n=250)
    for draw, rows in few.rows.items():
        np.testing.assert_array_equal(rows, many.rows[draw][:100])


def test_another_seed_gives_other_draws() -> None:
    assert differing(plan(A, seed=0), plan(A, seed=1)) == {"out", "out (other)", "out/a"}


def test_a_feature_by_position_draws_for_each_position() -> None:
    drawn = plan(C, node("d", "c", "embed", sampler="word"))
    out, c, d = (drawn.rows[Draw(path)] for path in ("out", "out/c", "out/c/d"))
    assert c.shape == d.shape == (400, N_POSITIONS)
    for at in range(N_POSITIONS):
        assert (VALUES["here"][out, at] == VALUES["here"][c[:, at], at]).all()
    assert (VALUES["word"][c] == VALUES["word"][d]).all()
    assert (c[:, 0] != c[:, 1]).any()


def test_a_node_at_a_role_agrees_on_where_it_is() -> None:
    drawn = plan(node("a", "out", "L1H0", sampler="word", positions="END"))
    out, a = drawn.rows[Draw("out")], drawn.rows[Draw("out/a")]
    assert (ROLES["END"][out] == ROLES["END"][a]).all()
    assert (VALUES["word"][out] == VALUES["word"][a]).all()
    np.testing.assert_array_equal(drawn.at["out/a"], ROLES["END"][out][:, None] == np.arange(N_POSITIONS))


def test_two_roles_in_one_place_are_refused() -> None:
    apart = [node(name, "out", "L1H0", sampler="word", positions=name) for name in ("END", "S")]
    assert plan(*apart).n == 400
    with pytest.raises(PlanError, match=r"Sampling node out/first: expected other positions than those of END"):
        plan(apart[0], node("first", "out", "L1H0", sampler="word", positions=[2]))
    with pytest.raises(PlanError, match=r"Sampling node out/first: .* of END, which maps L1H0 too"):
        plan(node("END", "out", "L1H*", positions="END"), node("first", "out", "L1.attn", positions=[2]))
    with pytest.raises(PlanError, match=r"Sampling node out/first: .* of END, which maps L1N1\+2 too"):
        plan(node("END", "out", "L1N1+2", positions="END"), node("first", "out", "L1N2+3", positions=[2]))


def test_two_roles_in_one_place_of_parts_without_a_share_in_each_other_are_not_refused() -> None:
    at_end = node("END", "out", "L1N1+2", positions="END")
    assert plan(at_end, node("first", "out", "L1N3+4", positions=[2])).n == 400


def test_exact_fixed_and_shared_draws() -> None:
    drawn = plan(
        node("a", "out", "L1H0", sampler="exact", other="exact"),
        B,
        node("c", "out", "L1H1", sampler={"fixed": 7}),
        node("d", "out", "L1H2", sampler={"shared": "together"}),
        node("e", "out", "L1H3", sampler={"shared": "together"}),
        node("f", "out", "L2H0", sampler={"agree": "word", "shared": "alike"}),
        node("g", "out", "L2H1", sampler={"agree": "word", "shared": "alike"}),
    )
    rows = {str(draw): rows for draw, rows in drawn.rows.items()}
    np.testing.assert_array_equal(rows["out"], rows["out/a"])
    np.testing.assert_array_equal(rows["out"], rows["out/a (other)"])
    assert (rows["out/c"] == 7).all()
    np.testing.assert_array_equal(rows["out/d"], rows["out/e"])
    np.testing.assert_array_equal(rows["out/f"], rows["out/g"])
    assert (rows["out/d"] != rows["out/f"]).any()


def test_a_shared_draw_that_cannot_be_shared_is_refused() -> None:
    below = node("d", "c", "embed", sampler={"shared": "s"})
    with pytest.raises(PlanError, match=r"expected the rows that others share as s"):
        plan(C, below, node("e", "out", "L1H3", sampler={"shared": "s"}))


def test_conditions_that_few_rows_meet_are_counted() -> None:
    drawn = plan(node("a", "out", "L1H0", sampler="rare"), node("b", "out", "L1H1", sampler="row"), n=2_000)
    out = drawn.rows[Draw("out")]
    assert drawn.drawn["out/a"].few == drawn.drawn["out/a"].only_one == (out < 10).sum() > 0
    assert drawn.drawn["out/b"].only_one == 2_000
    assert drawn.drawn["out/b"].donors == len(np.unique(out))


def test_a_plan_can_be_printed() -> None:
    printed = str(plan(A, C))
    assert "out (other)" in printed
    assert "by position" in printed


def test_a_feature_that_is_not_integers_is_refused() -> None:
    said = hypothesis(node("out"), A)
    about = world(TransformerParts(SIZES), VALUES, positions=N_POSITIONS)
    with pytest.raises(PlanError, match=r"expected whole numbers of shape \(300,\), got float64"):
        make_plan(said, about, evaluate=lambda _: np.zeros(N_ROWS))
