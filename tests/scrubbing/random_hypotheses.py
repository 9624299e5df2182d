"""Random legal hypotheses about tiny models: every kind of part, way, position and sampler."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.legality import World, problems
from analysis.scrubbing.parts import TransformerParts
from analysis.scrubbing.plan import Plan, PlanError, make_plan
from tests.scrubbing.models import N_POSITIONS, N_ROWS, rows
from tests.scrubbing.saying import hypothesis, node, world

_generator = np.random.default_rng(11)
LENGTHS = rows()[1].sum(1)
VALUES = {
    "word": _generator.integers(0, 3, N_ROWS),
    "here": _generator.integers(0, 2, (N_ROWS, N_POSITIONS)),
    "length": LENGTHS,
}
ROLES = {"END": LENGTHS - 1, "S": _generator.integers(0, 3, N_ROWS)}
N = 5


def a_world(parts: TransformerParts) -> World:
    return world(parts, VALUES, positions=N_POSITIONS, roles=frozenset(ROLES))


def random_plan(parts: TransformerParts, seed: int) -> tuple[Hypothesis, Plan]:
    """A legal hypothesis of up to seven nodes, and its plan."""
    generator = np.random.default_rng(seed)
    nodes = [node("out", other="exact" if seed % 5 == 0 else "unconditional")]
    more: dict[str, Any] = {"n": N, "seed": seed, "mask": "datum" if seed % 3 == 0 else "other"}
    for attempt in range(60):
        if len(nodes) == 7:
            break
        grown = [*nodes, _random_node(parts, generator, f"n{attempt}", parents=[some["name"] for some in nodes])]
        if not problems(hypothesis(*grown, **more), a_world(parts)):
            try:
                plan_of(hypothesis(*grown, **more), parts)
            except PlanError:
                continue
            nodes = grown
    said = hypothesis(*nodes, **more)
    return said, plan_of(said, parts)


def plan_of(said: Hypothesis, parts: TransformerParts) -> Plan:
    def evaluate(expression: Any) -> np.ndarray:
        if isinstance(expression, str):
            return VALUES[expression]
        first, second = expression["all"]
        return VALUES[first] * 100 + VALUES[second]

    return make_plan(said, a_world(parts), evaluate=evaluate, roles=ROLES)


def _random_node(
    parts: TransformerParts, generator: np.random.Generator, name: str, *, parents: list[str]
) -> dict[str, Any]:
    def one(*options: Any) -> Any:
        return options[generator.integers(len(options))]

    neurons = ["L0N1+4", "L1N2-9"] if parts.sizes.d_mlp else []
    everything = [*parts.named("*"), *neurons, "L1KV0", "L1.attn", "embed", "embed"]
    data = node(
        name,
        one(*parents),
        *{one(*everything) for _ in range(one(1, 1, 2))},
        sampler=one("exact", "unconditional", "word", "here", {"fixed": 3}, {"agree": {"all": ["word", "length"]}}),
        other=one("unconditional", "unconditional", "exact", {"agree": "word"}),
    )
    for field, value in (
        ("via", one(None, None, ["*"], ["L*.mlp"], ["L1.mlp", "L1H0", "L1H0.q"])),
        ("positions", one(None, None, None, [0, 2], "END", "S")),
        ("offset", one(None, None, None, -1, 0)),
    ):
        if value is not None:
            data[field] = value
    return data
