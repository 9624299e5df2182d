"""The treeified paths that a node is mapped to: from its parts, by the parts that they may pass, to its parent's."""

from __future__ import annotations

import dataclasses

from analysis.scrubbing.hypothesis import Node
from analysis.scrubbing.parts import ROOT, PartError, Parts


@dataclasses.dataclass(frozen=True)
class Mapped:
    """What a node is mapped to."""

    node: Node
    parts: tuple[str, ...]
    passes: frozenset[str]  # the parts between, each on a way that leads from a part of the node to its parent's


def map_node(node: Node, parent: Mapped | None, *, parts: Parts) -> Mapped:
    """The parts of a node and what lies on the way to its parent's (None: it is the root); a `PartError` if there is
    none, or it leads elsewhere."""
    if not node.parts:
        raise PartError("expected the parts that it is mapped to, got none")
    own = tuple(dict.fromkeys(part for pattern in node.parts for part in parts.named(pattern)))
    if parent is None:
        if own != (ROOT,):
            raise PartError(f"expected a root that is mapped to {ROOT}, got {', '.join(own[:5])}")
        return Mapped(node, own, frozenset())
    _refuse_overlap(own, parts)
    allowed = _allowed(node, parent, parts=parts) - set(own)
    passes = _on_the_way(own, parent.parts, allowed=allowed, parts=parts)
    for part in own:
        if not _leads(part, {*passes, *parent.parts}, parts=parts):
            raise PartError(
                f"expected a part that {', '.join(parent.parts[:5])} of {parent.node.name} reads"
                f"{' by the way given' if node.via is not None else ' directly'}, got {part}"
            )
    if node.via is not None:
        for pattern in node.via:
            if not set(parts.named(pattern)) & passes and pattern != "*":
                raise PartError(f"expected a way by {pattern}, but no path of the node passes it")
    if node.offset is not None and not any(parts.by_source(part) for part in {*own, *passes}):
        raise PartError("expected keys or values on the way, for an offset is between a query's position and theirs")
    if node.offset is not None and not all(_has_keys(top, parts=parts) for top in parent.parts):
        raise PartError(
            f"expected a parent that is heads, for an offset is between their queries and keys, got {parent.parts[0]}"
        )
    if node.offset is not None and any(_is_query(part, parent, parts=parts) for part in {*own, *passes}):
        raise PartError("expected a way by keys and values alone, for an offset says nothing of queries")
    return Mapped(node, own, passes)


def _refuse_overlap(own: tuple[str, ...], parts: Parts) -> None:
    for at, first in enumerate(own):
        for second in own[at + 1 :]:
            if parts.carrier(first) == parts.carrier(second) and overlap(first, second, parts=parts):
                raise PartError(f"expected parts without a share in each other, got {first} and {second}")


def _allowed(node: Node, parent: Mapped, *, parts: Parts) -> set[str]:
    if node.via is not None:
        return {part for pattern in node.via for part in parts.named(pattern)}
    passed = {slot for top in parent.parts for slot in parts.passed(top)}
    return {slot for slot in passed if parts.by_source(slot)} if node.offset is not None else passed


def _has_keys(part: str, *, parts: Parts) -> bool:
    return any(parts.by_source(slot) for slot in parts.passed(part))


def _is_query(part: str, parent: Mapped, *, parts: Parts) -> bool:
    return any(part in parts.passed(top) and not parts.by_source(part) for top in parent.parts)


def _on_the_way(own: tuple[str, ...], tops: tuple[str, ...], *, allowed: set[str], parts: Parts) -> frozenset[str]:
    """The allowed parts that read one of these, at least through others, and that one of the tops so reads."""
    carried = {parts.carrier(part) for part in own}
    below: set[str] = set()
    frontier = True
    while frontier:
        found = {part for part in allowed - below if (carried | below) & set(parts.inputs(part))}
        below |= found
        frontier = bool(found)
    above: set[str] = set()
    todo = list(tops)
    while todo:
        for part in set(parts.inputs(todo.pop())) & below - above:
            above.add(part)
            todo.append(part)
    return frozenset(above)


def _leads(part: str, readers: set[str], *, parts: Parts) -> bool:
    return any(parts.carrier(part) in parts.inputs(reader) for reader in readers)


def overlap(first: str, second: str, *, parts: Parts) -> bool:
    """Whether two parts have a share in each other: equal, one the other's whole, or neurons in common."""
    if first == second or parts.carrier(first) == second or first == parts.carrier(second):
        return True
    numbers = [set(part.partition("N")[2].split("+")) for part in (first, second)]
    return parts.carrier(first) == parts.carrier(second) and bool((numbers[0] & numbers[1]) - {""})


def apart(first: Node, second: Node) -> bool:
    """Whether two nodes read at other positions, as far as can be said before there are rows."""
    if offsets_differ(first, second):
        return True
    if first.positions is None or second.positions is None:
        return False
    if isinstance(first.positions, str) or isinstance(second.positions, str):
        return first.positions != second.positions  # where a row has both in one place is said by the plan
    return not set(first.positions) & set(second.positions)


def offsets_differ(first: Node, second: Node) -> bool:
    """Whether two nodes read at other distances from the query."""
    return first.offset is not None and second.offset is not None and first.offset != second.offset


def common_route(first: Mapped, second: Mapped, *, top: Mapped, parts: Parts) -> str | None:
    """A part that two children map by one and the same path to their parent's parts, wherever they read it; None if
    there is none."""
    for part in first.parts:
        if any(overlap(part, other, parts=parts) for other in second.parts):
            common = set(first.passes & second.passes)
            way = _on_the_way((part,), top.parts, allowed=common, parts=parts)
            if _leads(part, {*way, *top.parts}, parts=parts):
                return part
    return None


def passes_through(under: Mapped, over: Mapped, *, top: Mapped, parts: Parts) -> str | None:
    """A part of `over` on a path of `under`, above which the path is one of `over`'s; None if there is none."""
    if offsets_differ(under.node, over.node):
        return None
    for part in over.parts:
        carrier = parts.carrier(part)
        if carrier not in under.passes:
            continue
        way = _on_the_way((part,), top.parts, allowed=set(under.passes & over.passes), parts=parts)
        if _leads(part, {*way, *top.parts}, parts=parts):
            return part
    return None
