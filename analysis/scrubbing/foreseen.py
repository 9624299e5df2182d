"""What is wrong of an experiment, said before its model is loaded or its rows are made: by the model's sizes and the
task's vocabulary. No torch.

A worker checks again with the model and the rows at hand; only there can be known how long rows are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.datasets.features import validate
from analysis.datasets.task import FeatureError
from analysis.schema import Sizes
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.hypothesis import Hypothesis, RewriteKind, SamplerKind
from analysis.scrubbing.legality import Problem, World, problems
from analysis.scrubbing.parts import PartError, TransformerParts, place_of

# How long rows are is not known yet: no position is too far.
ANY_POSITION = 2**31
# No model has a way through so many of its parts that anybody could state.
DEEPEST = 100


def parallel_by_config(config: Mapping[str, Any]) -> bool:
    """Whether a model's MLPs do not read the heads of their layer, by its `config.json`, which leaves defaults out."""
    family = config.get("model_type")
    return family == "phi" or bool(config.get("use_parallel_residual", family == "gpt_neox"))


def foreseen_parts(hypothesis: Hypothesis, sizes: Sizes, *, parallel: bool) -> TransformerParts:
    """The parts of a model of these sizes, its rewrites included; those that name no head are left out."""
    parts = TransformerParts(sizes, parallel=parallel)
    heads = {rewrite: _one_head(rewrite.head, parts) for rewrite in _hashable(hypothesis)}
    return dataclasses.replace(
        parts,
        ungrouped=frozenset(head for each, head in heads.items() if head and each.kind is RewriteKind.UNGROUP),
        estimated=frozenset(head for each, head in heads.items() if head and each.kind is RewriteKind.ESTIMATE),
    )


def foresee(experiment: Experiment, sizes: Sizes, *, model_hash: str, parallel: bool) -> list[Problem]:
    """All that is wrong of an experiment on a model of these sizes and weights, as far as can be said now."""
    hypothesis, task = experiment.hypothesis, experiment.of_task
    if is_too_deep(hypothesis):
        return [Problem(None, f"Reading a hypothesis: expected at most {DEEPEST} levels of nodes, got more.")]
    world = World(
        hypothesis.model,
        model_hash,
        hypothesis.dataset,
        hypothesis.dataset_hash,
        parts=foreseen_parts(hypothesis, sizes, parallel=parallel),
        rows=experiment.rows,
        features={key: feature.by_position for key, feature in task.features.items()},
        roles=frozenset(task.roles),
        positions=ANY_POSITION,
    )
    found = [*problems(hypothesis, world), *_of_rewrites(hypothesis, sizes)]
    return found or list(_of_features(experiment))


def is_too_deep(hypothesis: Hypothesis) -> bool:
    """Whether some node is too far below the root."""
    parents = {node.name: node.parent for node in hypothesis.nodes}
    return any(len(_way_up(name, parents)) > DEEPEST + 1 for name in parents)


def _way_up(name: str, parents: Mapping[str, str | None]) -> dict[str, None]:
    """The names from a node to the root, or around a cycle once."""
    way = {name: None}
    while (above := parents.get(next(reversed(way)))) is not None and above not in way:
        way[above] = None
    return way


@dataclasses.dataclass(frozen=True)
class _Named:
    kind: RewriteKind
    head: str


def _hashable(hypothesis: Hypothesis) -> list[_Named]:
    return [_Named(rewrite.kind, rewrite.head) for rewrite in hypothesis.rewrites]


def _one_head(name: str, parts: TransformerParts) -> str | None:
    try:
        (head,) = parts.named(name)
    except (PartError, ValueError):
        return None
    return head if "H" in head and place_of(head).kind == "head" else None


def _of_rewrites(hypothesis: Hypothesis, sizes: Sizes) -> Iterator[Problem]:
    parts = TransformerParts(sizes)
    heads = [_one_head(rewrite.head, parts) for rewrite in hypothesis.rewrites]
    for at, (rewrite, head) in enumerate(zip(hypothesis.rewrites, heads, strict=True)):
        if head is None:
            yield Problem(None, f"Rewriting {rewrite.head[:80]}: expected one head of the model, got another part.")
        elif (rewrite.kind, head) in [(hypothesis.rewrites[n].kind, heads[n]) for n in range(at)]:
            yield Problem(None, f"Rewriting {head}: expected one {rewrite.kind.value} of it, got two.")


def _of_features(experiment: Experiment) -> Iterator[Problem]:
    """What only the features themselves say: which are continuous, and which count in the same unit."""
    hypothesis, features = experiment.hypothesis, experiment.of_task.features
    for node in hypothesis.nodes:
        for sampler in (node.sampler, node.other):
            if sampler.kind is SamplerKind.AGREE:
                try:
                    validate(sampler.feature, features)
                except FeatureError as error:
                    yield Problem(node.name, f"Reading node {hypothesis.path(node.name)}: {error}")
    for rewrite in hypothesis.rewrites:
        if rewrite.kind is RewriteKind.ESTIMATE:
            try:
                validate(rewrite.feature, features)
            except FeatureError as error:
                yield Problem(None, f"Reading the estimate of {rewrite.head[:80]}: {error}")
