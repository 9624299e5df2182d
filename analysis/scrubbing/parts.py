"""The parts of a graph and what each reads: of a transformer from its sizes, of a toy from a table. No torch."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from analysis.schema import Sizes

ROOT = "out"
EMBED = "embed"


class PartError(Exception):
    """A name that is no part of the graph; the message says what was expected, without saying where."""


@runtime_checkable
class Parts(Protocol):
    """The parts of a graph by name, each with what it reads directly."""

    def named(self, pattern: str) -> tuple[str, ...]:
        """The parts that a text names, by their canonical names; a `PartError` where it names none."""

    def inputs(self, part: str) -> tuple[str, ...]:
        """What a part reads directly, earlier parts first; nothing where it reads the row alone."""

    def carrier(self, part: str) -> str:
        """The input of other parts that carries a part: of neurons their MLP, else the part itself."""

    def passed(self, part: str) -> tuple[str, ...]:
        """The inputs of a part that a way to it passes without being told so: a head's q, k and v."""

    def by_source(self, part: str) -> bool:
        """Whether what a part reads of this one is read at other positions: keys and values are."""


@dataclasses.dataclass(frozen=True)
class ToyParts:
    """The parts of a graph of plain functions."""

    reads: Mapping[str, tuple[str, ...]]  # by part, those that are read first

    def named(self, pattern: str) -> tuple[str, ...]:
        if pattern == "*":
            return tuple(self.reads)
        if pattern not in self.reads:
            raise PartError(f"expected a part among {', '.join(self.reads)}, got {pattern[:80]}")
        return (pattern,)

    def inputs(self, part: str) -> tuple[str, ...]:
        return self.reads[part]

    def carrier(self, part: str) -> str:
        return part

    def passed(self, part: str) -> tuple[str, ...]:
        return ()

    def by_source(self, part: str) -> bool:
        return False


_NAME = re.compile(
    r"L(?P<layer>\d{1,5}|\*)(?:"
    r"H(?P<head>\d{1,5}|\*)(?P<of_head>\.(?:q|k|v|in|estimate|rest))?"
    r"|KV(?P<kv_head>\d{1,5}|\*)(?P<of_kv>\.(?:k|v))?"
    r"|N(?P<neurons>\d{1,7}(?:-\d{1,7})?(?:\+\d{1,7}(?:-\d{1,7})?)*)"
    r"|\.(?P<block>attn|mlp))"
)


@dataclasses.dataclass(frozen=True)
class Place:
    """A canonical name, taken apart."""

    layer: int
    kind: str  # head, q, k, v, mlp, neurons, estimate, rest
    head: int | None = None
    kv_head: int | None = None
    neurons: tuple[int, ...] = ()


@functools.lru_cache(maxsize=100_000)
def place_of(part: str) -> Place:
    """A canonical name other than `out` and `embed`, taken apart."""
    match = _NAME.fullmatch(part)
    assert match is not None, part
    layer = int(match["layer"])
    if match["block"]:
        return Place(layer, match["block"])
    if match["neurons"]:
        return Place(layer, "neurons", neurons=_numbers(match["neurons"]))
    if match["kv_head"]:
        return Place(layer, match["of_kv"][1:], kv_head=int(match["kv_head"]))
    return Place(layer, (match["of_head"] or ".head")[1:], head=int(match["head"]))


def _numbers(text: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    for piece in text.split("+"):
        first, _, last = piece.partition("-")
        if int(last or first) - int(first) > 100_000:
            raise PartError("expected at most 100,000 neurons")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


@dataclasses.dataclass(frozen=True)
class TransformerParts:
    """The parts of a transformer.

    `embed` and the outputs of heads (`L5H1`) and MLPs (`L5.mlp`) are summands of the residual stream; an MLP, a head's
    queries (`L5H1.q`) and a KV head's keys and values (`L5KV1.k`, `L5KV1.v`) read every earlier summand; a head reads
    its queries and its KV head. Neurons (`L5N3`, `L5N0-9+12`) are summands of their MLP. With as many KV heads as heads
    `L5H1.k` is `L5KV1.k`; of grouped queries it is a part of its own where the head is `ungrouped`. An `estimated` head
    has the summands `L5H1.estimate` and `L5H1.rest`.
    """

    sizes: Sizes
    parallel: bool = False  # a layer's MLP does not read its heads
    ungrouped: frozenset[str] = frozenset()
    estimated: frozenset[str] = frozenset()

    def kv_head_of(self, head: int) -> int:
        return head // (self.sizes.n_heads // self.sizes.n_kv_heads)

    def named(self, pattern: str) -> tuple[str, ...]:
        if pattern in (ROOT, EMBED):
            return (pattern,)
        if pattern == "*":
            return (EMBED, *itertools.chain.from_iterable(self._of_layer(at) for at in range(self.sizes.n_layers)))
        match = _NAME.fullmatch(pattern)
        if match is None:
            raise PartError(
                "expected a part such as L5H1, L5H1.q, L5KV0.k, L5.mlp, L5N3, embed, out or L*.mlp, got "
                f"“{pattern[:80]}”"
            )
        layers = self._counted(match["layer"], self.sizes.n_layers, what="layers")
        return tuple(itertools.chain.from_iterable(self._named_in(match, layer) for layer in layers))

    def _of_layer(self, layer: int) -> Iterable[str]:
        heads = [f"L{layer}H{head}" for head in range(self.sizes.n_heads)]
        yield from (f"{head}.q" for head in heads)
        for kv_head in range(self.sizes.n_kv_heads):
            yield from (f"L{layer}KV{kv_head}.k", f"L{layer}KV{kv_head}.v")
        yield from (f"{head}.{slot}" for head in heads if head in self.ungrouped for slot in "kv")
        yield from heads
        if self.sizes.d_mlp:
            yield f"L{layer}.mlp"

    def _counted(self, text: str, count: int, *, what: str) -> range:
        if text == "*":
            return range(count)
        if int(text) >= count:
            raise PartError(f"expected one of {count} {what}, got number {int(text)}, counted from 0")
        return range(int(text), int(text) + 1)

    def _named_in(self, match: re.Match[str], layer: int) -> Iterable[str]:
        sizes = self.sizes
        if match["block"] == "mlp" or match["neurons"]:
            if not sizes.d_mlp:
                raise PartError(f"expected a part of a model without MLPs, got “{match[0][:80]}”")
            if match["block"]:
                return [f"L{layer}.mlp"]
            numbers = _numbers(match["neurons"])
            if not numbers or numbers[-1] >= sizes.d_mlp:
                raise PartError(f"expected some of {sizes.d_mlp} neurons a layer, got “{match[0][:80]}”")
            return [f"L{layer}N{'+'.join(str(number) for number in numbers)}"]
        if match["block"] == "attn":
            return [f"L{layer}H{head}" for head in range(sizes.n_heads)]
        if match["kv_head"]:
            slots = [match["of_kv"]] if match["of_kv"] else [".k", ".v"]
            kv_heads = self._counted(match["kv_head"], sizes.n_kv_heads, what="KV heads a layer")
            return [f"L{layer}KV{kv_head}{slot}" for kv_head in kv_heads for slot in slots]
        heads = self._counted(match["head"], sizes.n_heads, what="heads a layer")
        return itertools.chain.from_iterable(self._of_head(layer, head, match["of_head"] or "") for head in heads)

    def _of_head(self, layer: int, head: int, of_head: str) -> tuple[str, ...]:
        name = f"L{layer}H{head}"
        if of_head in ("", ".q"):
            return (f"{name}{of_head}",)
        if of_head in (".estimate", ".rest"):
            if name not in self.estimated:
                raise PartError(f"expected a rewrite that estimates {name}, for {name}{of_head} is named")
            return (f"{name}{of_head}",)
        if of_head == ".in":
            return self.inputs(name)
        if self.sizes.n_heads != self.sizes.n_kv_heads and name not in self.ungrouped:
            shared = f"L{layer}KV{self.kv_head_of(head)}"
            raise PartError(
                f"expected {shared}{of_head}, which several heads read, or a rewrite that ungroups {name}, got "
                f"{name}{of_head}"
            )
        return (f"{name}{of_head}" if name in self.ungrouped else f"L{layer}KV{self.kv_head_of(head)}{of_head}",)

    def inputs(self, part: str) -> tuple[str, ...]:
        if part == EMBED:
            return ()
        if part == ROOT:
            return self._summands(self.sizes.n_layers, 0)
        place = place_of(part)
        if place.kind in ("estimate", "rest"):
            return ()  # they are read whole
        if place.kind == "head":
            assert place.head is not None
            holder = part if part in self.ungrouped else f"L{place.layer}KV{self.kv_head_of(place.head)}"
            return (f"{part}.q", f"{holder}.k", f"{holder}.v")
        reads_heads = place.kind in ("mlp", "neurons") and not self.parallel
        return self._summands(place.layer, self.sizes.n_heads if reads_heads else 0)

    @functools.lru_cache(maxsize=1_000)  # noqa: B019 (frozen, few, and small)
    def _summands(self, layers: int, heads_of_next: int) -> tuple[str, ...]:
        summands = [EMBED]
        for layer in range(layers):
            summands += [f"L{layer}H{head}" for head in range(self.sizes.n_heads)]
            summands += [f"L{layer}.mlp"] if self.sizes.d_mlp else []
        return (*summands, *(f"L{layers}H{head}" for head in range(heads_of_next)))

    def carrier(self, part: str) -> str:
        if part in (ROOT, EMBED):
            return part
        place = place_of(part)
        if place.kind == "neurons":
            return f"L{place.layer}.mlp"
        return f"L{place.layer}H{place.head}" if place.kind in ("estimate", "rest") else part

    def passed(self, part: str) -> tuple[str, ...]:
        return self.inputs(part) if part not in (ROOT, EMBED) and place_of(part).kind == "head" else ()

    def by_source(self, part: str) -> bool:
        return part not in (ROOT, EMBED) and place_of(part).kind in ("k", "v")
