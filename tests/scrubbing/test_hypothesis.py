"""What a hypothesis file may say, and the sentence for each thing that it may not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.schema import Sizes
from analysis.scrubbing.hypothesis import Hypothesis, HypothesisError, read_hypothesis
from analysis.scrubbing.json_schema import json_schema
from analysis.scrubbing.legality import World, check, problems
from analysis.scrubbing.parts import TransformerParts
from tests.scrubbing.saying import ABOUT, hypothesis, node, world

SIZES = Sizes(n_layers=3, n_heads=4, n_kv_heads=2, d_model=24, d_head=6, d_mlp=96, d_vocab=400)
N_ROWS, N_POSITIONS = 50, 10
ROOT = node("out")


def a_world(**more: Any) -> World:
    values = {"word": np.zeros(N_ROWS, np.int64), "here": np.zeros((N_ROWS, N_POSITIONS), np.int64)}
    more = {"positions": N_POSITIONS, "roles": frozenset({"END"}), **more}
    return world(TransformerParts(SIZES), values, **more)


LEGAL = hypothesis(
    ROOT,
    node("count", "out", "L1H0", "L2H0", via=["L*.mlp"], sampler="word", positions=[0, 3]),
    node("horizon", "out", "L2H1", sampler={"agree": {"all": ["word", {"offset": ["here", -1]}]}}, positions="END"),
    node("previous", "horizon", "embed", offset=-1, sampler="exact", other={"fixed": 3}),
    node("neurons", "out", "L0N3", "L0N5-7+9", sampler={"shared": "a draw"}),
    n=100,
    seed=3,
    end_point={"inputs scrubbed": ["L1H0"]},
    criterion=0.8,
)


def test_a_legal_hypothesis_has_no_problems() -> None:
    assert problems(LEGAL, a_world()) == []


def test_a_hypothesis_comes_back_from_its_json_and_from_yaml() -> None:
    assert Hypothesis.from_json(json.loads(json.dumps(LEGAL.to_json()))) == LEGAL
    assert read_hypothesis(json.dumps(LEGAL.to_json())).hash == LEGAL.hash
    lines = [f"{name}: {word}" for name, word in ABOUT.items()]
    text = "\n".join([*lines, "nodes:", "- {name: out, parts: [out]}", "- name: a", "  parent: out", "  parts: [L1H0]"])
    read = read_hypothesis(f"{text}\n  sampler: {{agree: word}}\n")
    assert read.nodes == hypothesis(ROOT, node("a", "out", "L1H0", sampler="word")).nodes


def test_the_published_schema_is_the_one_of_the_code() -> None:
    published = Path(__file__).parents[2] / "docs" / "hypothesis.schema.json"
    assert json.loads(published.read_text()) == json_schema()


def test_the_schema_has_the_fields_that_are_written() -> None:
    data, schema = LEGAL.to_json(), json_schema()
    assert set(data) == set(schema["properties"])
    written = {name for of_node in data["nodes"] for name in of_node}
    assert written == set(schema["properties"]["nodes"]["items"]["properties"])


def test_reading_a_hypothesis_needs_no_torch() -> None:
    modules = ", ".join(f"analysis.scrubbing.{name}" for name in ("legality", "json_schema", "plan", "wiring"))
    program = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


ILLEGAL = {
    "several roots": ([ROOT, node("b", None, "out")], "expected one root, got several: out, b."),
    "a cycle": (
        [ROOT, node("a", "b", "L1H0"), node("b", "a", "L2H0")],
        "Reading node a: expected a way to the root, got a cycle: a → b → a.",
    ),
    "no root": (
        [node("a", "b", "L1H0"), node("b", "a", "L2H0")],
        "expected a root, a node without a parent, got none.",
    ),
    "no such parent": ([ROOT, node("a", "c", "L1H0")], "Reading node a: expected a parent that is there, got c."),
    "a name twice": (
        [ROOT, node("a", "out", "L1H0"), node("a", "out", "L2H0")],
        "Reading node a: expected a name of its own, got one that several nodes have.",
    ),
    "a root that is not the output": (
        [node("out", None, "L1H0")],
        "Reading node out: expected a root that is mapped to out, got L1H0.",
    ),
    "a child outside its parent's inputs": (
        [ROOT, node("a", "out", "L1H0"), node("b", "a", "L1.mlp")],
        "Reading node out/a/b: expected a part that L1H0 of a reads directly, got L1.mlp.",
    ),
    "a way that leads elsewhere": (
        [ROOT, node("a", "out", "embed", via=["L2.mlp"]), node("b", "out", "L0H0.q", via=["L2.mlp"])],
        "Reading node out/b: expected a part that out of out reads by the way given, got L0H0.q.",
    ),
    "a way that no path passes": (
        [ROOT, node("a", "out", "L2H0", via=["L1.mlp"])],
        "Reading node out/a: expected a way by L1.mlp, but no path of the node passes it.",
    ),
    "one path twice": (
        [ROOT, node("a", "out", "L1H0", via=["L1.mlp"]), node("b", "out", "L1H0", "L1H1")],
        "Reading node out/b: expected paths that no other node maps, but a maps one by L1H0 too.",
    ),
    "a path through another node": (
        [ROOT, node("a", "out", "L1H0", via=["L1.mlp"]), node("b", "out", "L1.mlp")],
        "Reading node out/a: expected paths that pass no part mapped beside it, but they pass L1.mlp of b.",
    ),
    "neurons twice": (
        [ROOT, node("a", "out", "L0N1-3"), node("b", "out", "L0N3")],
        "Reading node out/b: expected paths that no other node maps, but a maps one by L0N1+2+3 too.",
    ),
    "an unmapped child": (
        [ROOT, {"name": "a", "parent": "out", "sampler": "exact"}],
        "Reading node out/a: expected the parts that it is mapped to, got none.",
    ),
    "a part that is none": (
        [ROOT, node("a", "out", "L1X0")],
        "Reading node out/a: expected a part such as L5H1, L5H1.q",
    ),
    "a layer too far": (
        [ROOT, node("a", "out", "L3H0")],
        "Reading node out/a: expected one of 3 layers, got number 3, counted from 0.",
    ),
    "too many heads": ([ROOT, node("a", "out", "L1H4")], "Reading node out/a: expected one of 4 heads a layer"),
    "too many neurons": ([ROOT, node("a", "out", "L1N96")], "Reading node out/a: expected some of 96 neurons a layer"),
    "keys of a head in a group": (
        [ROOT, node("a", "out", "L1H1"), node("b", "a", "L1H1.k")],
        "Reading node out/a/b: expected L1KV0.k, which several heads read, or a rewrite that ungroups L1H1",
    ),
    "an estimate that is none": (
        [ROOT, node("a", "out", "L1H1.estimate")],
        "Reading node out/a: expected a rewrite that estimates L1H1, for L1H1.estimate is named.",
    ),
    "an unknown feature": (
        [ROOT, node("a", "out", "L1H0", sampler="colour")],
        "Reading node out/a, sampler: expected a feature among here, word, got colour.",
    ),
    "an expression that says nothing": (
        [ROOT, node("a", "out", "L1H0", sampler={"agree": {"both": ["word"]}})],
        "Reading node out/a, sampler: expected a feature's name, {all: […]}",
    ),
    "an offset of a feature of rows": (
        [ROOT, node("a", "out", "L1H0", sampler={"agree": {"offset": ["word", 1]}})],
        "Reading node out/a, sampler: expected the offset of a feature by position",
    ),
    "other data by position": (
        [ROOT, node("a", "out", "L1H0", other={"agree": "here"})],
        "Reading node out/a, other: expected a feature of rows, for one datum is read by all inputs.",
    ),
    "positions of positions": (
        [ROOT, node("a", "out", "L1H0", sampler="here"), node("b", "a", "embed", sampler="here")],
        "Reading node out/a/b: expected a feature of rows, for a above it draws for each position already.",
    ),
    "an unknown role": (
        [ROOT, node("a", "out", "L1H0", positions="IO")],
        "Reading node out/a: expected a role among END, got IO.",
    ),
    "a position too far": (
        [ROOT, node("a", "out", "L1H0", positions=[2, 10])],
        "Reading node out/a: expected positions below 10, got [2, 10].",
    ),
    "an offset of no keys": (
        [ROOT, node("a", "out", "L1H0", offset=-1)],
        "Reading node out/a: expected keys or values on the way",
    ),
    "an offset to no head": (
        [ROOT, node("a", "out", "embed", via=["*"], offset=-1)],
        "Reading node out/a: expected a parent that is heads, for an offset is between their queries and keys, got out",
    ),
    "an offset of queries": (
        [ROOT, node("a", "out", "L1H0"), node("b", "a", "embed", via=["L1H0.q", "L1KV0.k"], offset=-1)],
        "Reading node out/a/b: expected a way by keys and values alone",
    ),
    "a fixed row too far": (
        [ROOT, node("a", "out", "L1H0", sampler={"fixed": 50})],
        "Reading node out/a, sampler: expected a row from 0 to 49, got 50.",
    ),
    "a shared draw that cannot be": (
        [
            ROOT,
            node("a", "out", "L1H0", sampler={"agree": "word", "shared": "s"}),
            node("b", "out", "L1H1", sampler={"shared": "s"}),
        ],
        "Reading node out/b: expected a shared draw of one sampler",
    ),
    "a root at a position": (
        [node("out", None, "out", positions=[0])],
        "Reading node out: expected a root without positions",
    ),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_is_illegal_has_its_own_sentence(name: str) -> None:
    nodes, sentence = ILLEGAL[name]
    with pytest.raises(HypothesisError) as raised:
        check(hypothesis(*nodes), a_world())
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("Reading ")
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"model_hash": "c" * 64}, "expected the model toy (cccccccccccc), got toy (aaaaaaaaaaaa)."),
        ({"dataset": "brackets"}, "expected the dataset brackets"),
        ({"rows": 1}, "expected a dataset of 2 rows at least, got 1."),
    ],
)
def test_another_model_or_dataset_or_too_small_a_one_is_refused(about: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HypothesisError) as raised:
        check(hypothesis(ROOT), a_world(**about))
    assert sentence in str(raised.value)


UNREADABLE = {
    "no JSON": ("nodes: [", "Reading a hypothesis: expected YAML or JSON, got something else at line 1."),
    "a list": ("[]", "Reading a hypothesis: expected named fields, got []."),
    "a field too many": ({"colour": 1}, "expected fields among criterion"),
    "no nodes": ({"nodes": []}, "expected a list of nodes, got []."),
    "10,000 nodes": (
        {"nodes": [node(f"n{at}") for at in range(10_000)]},
        "Reading a hypothesis: expected at most 1,000 nodes, got 10,000.",
    ),
    "no samples": ({"n": 0}, "Reading a hypothesis, n: expected a whole number from 2 to 1000000, got 0."),
    "a seed that is none": ({"seed": True}, "Reading a hypothesis, seed: expected a whole number"),
    "a mask that is none": ({"mask": "mine"}, "expected a mask among other, datum, got mine."),
    "a criterion of hundreds of digits": ({"criterion": 10**400}, "expected a criterion such as 0.8, got 1000"),
    "a criterion that is none": ({"criterion": "high"}, "expected a criterion such as 0.8, got high."),
    "an end point that is none": ({"end_point": "zero"}, "Reading the end point: expected “labels permuted”"),
    "a rewrite that is none": ({"rewrites": [{"kind": "fold", "head": "L0H0"}]}, "expected a kind among estimate"),
    "an estimate of nothing": ({"rewrites": [{"kind": "estimate", "head": "L0H0"}]}, "expected a feature of an"),
    "a sampler that is none": (
        {"nodes": [ROOT, node("a", "out", "L1H0", sampler={"fixed": -1})]},
        "Reading node a, sampler: expected a sampler such as",
    ),
    "no sampler": (
        {"nodes": [ROOT, {"name": "a", "parent": "out", "parts": ["L1H0"]}]},
        "Reading node a: expected the field sampler, which is not there.",
    ),
    "a name with a slash": ({"nodes": [ROOT, node("a/b", "out", "L1H0")]}, "expected a name without /, got a/b."),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_has_its_own_sentence(name: str) -> None:
    data, sentence = UNREADABLE[name]
    text = data if isinstance(data, str) else json.dumps({**ABOUT, "nodes": [ROOT], **data})
    with pytest.raises(HypothesisError) as raised:
        read_hypothesis(text)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("criterion", [".inf", "-.inf", ".nan", "1.0e+6", "true"])
def test_a_criterion_is_a_finite_number_that_a_share_can_come_near(criterion: str) -> None:
    text = json.dumps({**ABOUT, "nodes": [ROOT]}).removesuffix("}")
    with pytest.raises(HypothesisError, match=r"expected a criterion such as 0\.8, got [\w.-]+\.$"):
        read_hypothesis(f"{text}, criterion: {criterion}}}")


def test_every_problem_is_said_beside_its_node() -> None:
    wrong = hypothesis(
        ROOT, node("a", "out", "L1H0", sampler="colour"), node("b", "out", "L9H0"), node("c", "out", "L1H1")
    )
    assert [problem.node for problem in problems(wrong, a_world())] == ["a", "b"]
