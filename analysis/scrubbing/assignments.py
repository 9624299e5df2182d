"""The same tree on other parts of the model, chosen at random: who does as well there says little. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.legality import from_the_root
from analysis.scrubbing.parts import EMBED, ROOT, TransformerParts, place_of
from analysis.scrubbing.routes import Mapped, map_node

ASSIGNMENTS = 20
# So many draws without a new assignment: there are no more.
FRUITLESS = 50


def random_assignments(
    hypothesis: Hypothesis, parts: TransformerParts, *, count: int = ASSIGNMENTS
) -> list[Hypothesis]:
    """Up to `count` different hypotheses that say the same of other parts: heads exchanged within their layer, keys and
    values with them, and neurons. Heads that are rewritten stay."""
    generator = np.random.default_rng([hypothesis.seed, 20])
    kept = frozenset(parts.estimated | parts.ungrouped)
    found: dict[str, Hypothesis] = {}
    fruitless = 0
    mapped: dict[str, Mapped] = {}
    for node in from_the_root(hypothesis):
        mapped[node.name] = map_node(node, mapped.get(node.parent or ""), parts=parts)
    expanded = _renamed(hypothesis, mapped, _Renaming.none(parts))
    while len(found) < count and fruitless < FRUITLESS:
        other = _renamed(hypothesis, mapped, _Renaming.drawn(parts, generator, kept=kept))
        is_new = other.nodes != expanded.nodes and other.hash not in found
        fruitless = 0 if is_new else fruitless + 1
        if is_new:
            found[other.hash] = other
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class _Renaming:
    """For each layer which head, KV head and neuron stands for which."""

    heads: tuple[tuple[int, ...], ...]
    kv_heads: tuple[tuple[int, ...], ...]
    neurons: tuple[tuple[int, ...], ...]

    @classmethod
    def none(cls, parts: TransformerParts) -> _Renaming:
        sizes = parts.sizes
        layers = range(sizes.n_layers)
        of = [tuple(range(count)) for count in (sizes.n_heads, sizes.n_kv_heads, sizes.d_mlp)]
        return cls(*(tuple(numbers for _ in layers) for numbers in of))

    @classmethod
    def drawn(cls, parts: TransformerParts, generator: np.random.Generator, *, kept: frozenset[str]) -> _Renaming:
        heads, kv_heads, neurons = [], [], []
        for layer in range(parts.sizes.n_layers):
            of_kv, of_heads = _exchanged(parts, generator, layer=layer, kept=kept)
            heads.append(of_heads)
            kv_heads.append(of_kv)
            neurons.append(tuple(generator.permutation(parts.sizes.d_mlp).tolist()))
        return cls(tuple(heads), tuple(kv_heads), tuple(neurons))

    def __call__(self, part: str) -> str:
        if part in (ROOT, EMBED):
            return part
        place = place_of(part)
        _, _, after = part.partition(".")
        suffix = f".{after}" if after else ""
        if place.kind == "mlp":
            return part
        if place.kind == "neurons":
            numbers = sorted(self.neurons[place.layer][number] for number in place.neurons)
            return f"L{place.layer}N{'+'.join(str(number) for number in numbers)}"
        if place.kv_head is not None:
            return f"L{place.layer}KV{self.kv_heads[place.layer][place.kv_head]}{suffix}"
        assert place.head is not None, part
        return f"L{place.layer}H{self.heads[place.layer][place.head]}{suffix}"


def _exchanged(
    parts: TransformerParts, generator: np.random.Generator, *, layer: int, kept: frozenset[str]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Groups exchanged within a layer, and the heads within each group; those of rewritten heads stay."""
    sizes = parts.sizes
    size = sizes.n_heads // sizes.n_kv_heads
    free = [
        group
        for group in range(sizes.n_kv_heads)
        if not any(f"L{layer}H{head}" in kept for head in range(group * size, (group + 1) * size))
    ]
    groups = list(range(sizes.n_kv_heads))
    for group, other in zip(free, generator.permutation(free).tolist(), strict=True):
        groups[group] = other
    heads: list[int] = []
    for group, other in enumerate(groups):
        within = generator.permutation(size).tolist() if group in free else list(range(size))
        heads += [other * size + number for number in within]
    return tuple(groups), tuple(heads)


def _renamed(hypothesis: Hypothesis, mapped: Mapping[str, Mapped], renaming: _Renaming) -> Hypothesis:
    """The tree on other parts; of a way that was given, the parts that are on it."""

    def renamed(parts: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(renaming(part) for part in parts))

    nodes = tuple(
        dataclasses.replace(
            node,
            parts=renamed(mapped[node.name].parts),
            via=None if node.via is None else renamed(mapped[node.name].passes) or node.via,
        )
        for node in hypothesis.nodes
    )
    return dataclasses.replace(hypothesis, nodes=nodes)
