"""What a hypothesis must be before anything runs: each thing that is wrong of it, one sentence with the node's path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from analysis.scrubbing.expressions import ExpressionError, is_by_position
from analysis.scrubbing.hypothesis import (
    EndPointKind,
    Hypothesis,
    HypothesisError,
    Node,
    RewriteKind,
    Sampler,
    SamplerKind,
)
from analysis.scrubbing.parts import ROOT, PartError, Parts
from analysis.scrubbing.routes import Mapped, apart, common_route, map_node, passes_through


@dataclasses.dataclass(frozen=True)
class World:
    """What a hypothesis is about: a graph and the rows of a dataset, without their contents."""

    model: str
    model_hash: str
    dataset: str
    dataset_hash: str
    parts: Parts
    rows: int
    features: Mapping[str, bool]  # the vocabulary: by name, whether it has a value for each position
    roles: frozenset[str] = frozenset()
    positions: int | None = None  # of a row; None: a graph without positions


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong of a node."""

    node: str | None  # its name; None: of the hypothesis as a whole
    sentence: str


def check(hypothesis: Hypothesis, world: World) -> None:
    """Raise a `HypothesisError` with the first thing that is wrong, if anything is."""
    for problem in problems(hypothesis, world):
        raise HypothesisError(problem.sentence)


def problems(hypothesis: Hypothesis, world: World) -> list[Problem]:
    """All that is wrong of a hypothesis. A tree that is none, or a part that is none, hides what rests on it."""
    found = list(_of_the_whole(hypothesis, world)) + list(_of_the_tree(hypothesis))
    if any(problem.node is not None or "root" in problem.sentence for problem in found):
        return found
    of_samplers = [problem for node in hypothesis.nodes for problem in _of_node(hypothesis, node, world=world)]
    found += of_samplers
    mapped, of_parts = map_all(hypothesis, world)
    found += of_parts
    if not of_parts:
        found += _of_siblings(hypothesis, mapped, world=world)
    if not of_samplers:
        found += _of_shared(hypothesis) + _of_positions_of_positions(hypothesis, world)
    return found


def _of_the_whole(hypothesis: Hypothesis, world: World) -> Iterator[Problem]:
    for what, name, got_hash, expected, expected_hash in (
        ("model", hypothesis.model, hypothesis.model_hash, world.model, world.model_hash),
        ("dataset", hypothesis.dataset, hypothesis.dataset_hash, world.dataset, world.dataset_hash),
    ):
        if (name, got_hash) != (expected, expected_hash):
            yield Problem(
                None,
                f"Reading a hypothesis: expected the {what} {expected} ({expected_hash[:12]}), got {name} "
                f"({got_hash[:12]}).",
            )
    if world.rows < 2:
        yield Problem(None, f"Reading a hypothesis: expected a dataset of 2 rows at least, got {world.rows}.")
    if hypothesis.end_point.kind is EndPointKind.INPUTS_SCRUBBED and not hypothesis.end_point.parts:
        yield Problem(None, "Reading the end point: expected the parts whose inputs are scrubbed, got none.")
    for pattern in hypothesis.end_point.parts:
        try:
            named = world.parts.named(pattern)
        except PartError as error:
            yield Problem(None, f"Reading the end point: {error}.")
        else:
            if ROOT in named:
                yield Problem(None, "Reading the end point: expected parts below the output, got the output.")
    for rewrite in hypothesis.rewrites:
        if rewrite.kind is RewriteKind.ESTIMATE:
            try:
                is_by_position(rewrite.feature, world.features)
            except ExpressionError as error:
                yield Problem(None, f"Reading the estimate of {rewrite.head[:80]}: {error}.")


def _of_the_tree(hypothesis: Hypothesis) -> Iterator[Problem]:
    names = [node.name for node in hypothesis.nodes]
    known = set(names)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(name, f"Reading node {name}: expected a name of its own, got one that several nodes have.")
    roots = [node.name for node in hypothesis.nodes if node.parent is None]
    if len(roots) > 1:
        yield Problem(roots[1], f"Reading a hypothesis: expected one root, got several: {', '.join(roots[:10])}.")
    if not roots:
        yield Problem(None, "Reading a hypothesis: expected a root, a node without a parent, got none.")
    parents = {node.name: node.parent for node in hypothesis.nodes}
    for node in hypothesis.nodes:
        if node.parent is not None and node.parent not in known:
            yield Problem(node.name, f"Reading node {node.name}: expected a parent that is there, got {node.parent}.")
        elif cycle := _cycle_from(node.name, parents):
            yield Problem(node.name, f"Reading node {node.name}: expected a way to the root, got a cycle: {cycle}.")


def _cycle_from(name: str, parents: Mapping[str, str | None]) -> str | None:
    """The cycle that a node is in, as names; None if it is in none."""
    way = [name]
    while (parent := parents.get(way[-1])) is not None:
        if parent in way:
            return " → ".join([*way, parent]) if parent == name else None
        way.append(parent)
    return None


def _of_node(hypothesis: Hypothesis, node: Node, *, world: World) -> Iterator[Problem]:
    where = f"Reading node {hypothesis.path(node.name)}"
    for what, sampler in (("sampler", node.sampler), ("other", node.other)):
        if sampler.kind is SamplerKind.FIXED and (sampler.row is None or sampler.row >= world.rows):
            yield Problem(node.name, f"{where}, {what}: expected a row from 0 to {world.rows - 1}, got {sampler.row}.")
        if sampler.kind is SamplerKind.AGREE:
            try:
                by_position = is_by_position(sampler.feature, world.features)
            except ExpressionError as error:
                yield Problem(node.name, f"{where}, {what}: {error}.")
            else:
                if by_position and what == "other":
                    yield Problem(
                        node.name, f"{where}, other: expected a feature of rows, for one datum is read by all inputs."
                    )
                if by_position and world.positions is None:
                    yield Problem(node.name, f"{where}: expected a feature of rows, for the graph has no positions.")
    if isinstance(node.positions, str) and node.positions not in world.roles:
        roles = ", ".join(sorted(world.roles)) or "none"
        yield Problem(node.name, f"{where}: expected a role among {roles}, got {node.positions}.")
    n_positions = world.positions or 0
    if isinstance(node.positions, tuple) and (not node.positions or max(node.positions) >= n_positions):
        named = list(node.positions)[:10]
        yield Problem(node.name, f"{where}: expected positions below {n_positions}, got {named}.")
    if node.parent is None and (node.positions is not None or node.via is not None or node.offset is not None):
        yield Problem(node.name, f"{where}: expected a root without positions, way or offset, for it has no parent.")


def map_all(hypothesis: Hypothesis, world: World) -> tuple[dict[str, Mapped], list[Problem]]:
    """What each node is mapped to, and what is wrong of that."""
    mapped: dict[str, Mapped] = {}
    found: list[Problem] = []
    for node in from_the_root(hypothesis):
        if node.parent is not None and node.parent not in mapped:
            continue  # said of the parent
        try:
            mapped[node.name] = map_node(node, mapped.get(node.parent or ""), parts=world.parts)
        except PartError as error:
            found.append(Problem(node.name, f"Reading node {hypothesis.path(node.name)}: {error}."))
    return mapped, found


def from_the_root(hypothesis: Hypothesis) -> list[Node]:
    """The nodes, each after its parent."""
    ordered = [hypothesis.root]
    for node in ordered:
        ordered += hypothesis.children(node.name)
    return ordered


def _of_siblings(hypothesis: Hypothesis, mapped: Mapping[str, Mapped], *, world: World) -> Iterator[Problem]:
    for node in hypothesis.nodes:
        children = hypothesis.children(node.name)
        for at, first in enumerate(children):
            for second in children[at + 1 :]:
                pair = mapped[first.name], mapped[second.name]
                part = common_route(pair[0], pair[1], top=mapped[node.name], parts=world.parts)
                if part is not None and not apart(first, second):
                    yield Problem(
                        second.name,
                        f"Reading node {hypothesis.path(second.name)}: expected paths that no other node maps, but "
                        f"{first.name} maps one by {part} too.",
                    )
                    continue
                for over, under in (pair, pair[::-1]):
                    part = passes_through(under, over, top=mapped[node.name], parts=world.parts)
                    if part is not None:
                        yield Problem(
                            under.node.name,
                            f"Reading node {hypothesis.path(under.node.name)}: expected paths that pass no part mapped "
                            f"beside it, but they pass {part} of {over.node.name}.",
                        )


def _of_shared(hypothesis: Hypothesis) -> list[Problem]:
    found: list[Problem] = []
    first: dict[str, tuple[Node, Sampler]] = {}
    for node in hypothesis.nodes:
        for sampler in (node.sampler, node.other):
            if sampler.shared is None:
                continue
            before, of_before = first.setdefault(sampler.shared, (node, sampler))
            one_parent = sampler.kind is not SamplerKind.AGREE or before.parent == node.parent
            same = of_before == sampler and one_parent
            if not same:
                found.append(
                    Problem(
                        node.name,
                        f"Reading node {hypothesis.path(node.name)}: expected a shared draw of one sampler, and of one "
                        f"parent where it agrees on a feature; {before.name} has {sampler.shared} otherwise.",
                    )
                )
    return found


def _of_positions_of_positions(hypothesis: Hypothesis, world: World) -> list[Problem]:
    """A feature by position below one: its positions must be the same ones, which keys and values do not give."""
    found: list[Problem] = []
    for node in hypothesis.nodes:
        if not _draws_by_position(node, world):
            continue
        above = node
        while above.parent is not None:
            above = hypothesis.node(above.parent)
            if _draws_by_position(above, world):
                found.append(
                    Problem(
                        node.name,
                        f"Reading node {hypothesis.path(node.name)}: expected a feature of rows, for {above.name} "
                        "above it draws for each position already.",
                    )
                )
                break
    return found


def _draws_by_position(node: Node, world: World) -> bool:
    sampler = node.sampler
    return sampler.kind is SamplerKind.AGREE and is_by_position(sampler.feature, world.features)
