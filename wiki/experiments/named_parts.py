"""Which components of a model an experiment names, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from analysis.schema import Component
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.foreseen import foreseen_parts
from analysis.scrubbing.parts import EMBED, ROOT, PartError, Parts, place_of
from wiki.components.models import LanguageModel

from .models import NamedPart

# A name that means more components than this (thousands of neurons) is about none of them: its layers stand for it.
MOST_OF_A_NAME = 64

Named = tuple[str, NamedPart.Role, str]


def components_named(question: Question, model: LanguageModel, *, parallel: bool) -> list[Named]:
    """Component, role and node of all that is named, each once. What names no part of the model is left out."""
    hypothesis = question.hypothesis
    parts = foreseen_parts(hypothesis, model.sizes, parallel=parallel)
    found: list[Named] = []
    for node in hypothesis.nodes:
        found += [(name, NamedPart.Role.MAPPED, node.name) for name in _components(node.parts, parts)]
        found += [(name, NamedPart.Role.WAY, node.name) for name in _components(node.via or (), parts)]
    found += [(name, NamedPart.Role.END_POINT, "") for name in _components(hypothesis.end_point.parts, parts)]
    heads = [rewrite.head for rewrite in hypothesis.rewrites]
    found += [(name, NamedPart.Role.REWRITTEN, "") for name in _components(heads, parts)]
    return list(dict.fromkeys(found))


def _components(patterns: Iterable[str], parts: Parts) -> Iterator[str]:
    for pattern in patterns:
        if pattern == "*":
            continue  # every part alike
        try:
            named = parts.named(pattern)
        except PartError:
            continue
        of_each = [component for part in named for component in components_of(part)]
        if len(of_each) > MOST_OF_A_NAME:
            of_each = [Component(component.layer) for component in of_each]
        yield from dict.fromkeys(map(str, of_each))


def components_of(part: str) -> list[Component]:
    """The components with pages that a part of the graph is, or is of; none of the output and the embedding."""
    if part in (ROOT, EMBED):
        return []
    place = place_of(part)
    if place.kv_head is not None:
        return [Component(place.layer, kv_head=place.kv_head)]
    if place.head is not None:
        return [Component(place.layer, head=place.head)]
    if place.neurons:
        return [Component(place.layer, neuron=neuron) for neuron in place.neurons]
    return [Component(place.layer)]
