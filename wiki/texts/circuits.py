"""The components of a circuit and what runs between them, as an article says it, and their drawing over the layers.

An article says it in fenced blocks:

    ```circuit
    model: gpt2
    L4H11 -> L5H5: K-composition
    L5H5 -> unknown/L0H1
    L9H9
    ```

A line is two components and what runs from the first to the second, or one component; `model:` is that of the names
after it which name none. Besides, components are in the circuit that the article links to with `part-of`; where it
names none of either way and is tagged `circuit`, all components that it links to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from analysis.schema import SLUG, Component
from wiki import markdown
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel

from .models import LinkKind, TargetForm
from .targets import normalise

TAG = "circuit"  # of articles that are circuits
# Of one article; what is more is said to be left out.
MOST_NODES, MOST_EDGES = 80, 200
LONGEST_NOTE = 200

# As `wiki.markdown` renders a block.
_BLOCK = re.compile(r'<pre><code class="language-circuit">.*?</code></pre>\n?', re.DOTALL)
_ARROW = re.compile(r"\s*(?:->|→)\s*")
# Of the drawing, in its own units.
NODE_WIDTH, NODE_HEIGHT, PASS_WIDTH, GAP, ROW, LEFT, TOP = 84, 28, 10, 24, 78, 52, 20


@dataclasses.dataclass(frozen=True)
class Edge:
    """What an article says runs from one component to another. Targets as links name them: `gpt2/L5H1`."""

    source: str
    target: str
    note: str


@dataclasses.dataclass(frozen=True)
class Circuit:
    """What an article says of a circuit, in its order."""

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    unread: tuple[str, ...]  # lines that say neither


def blocks_of(text: str) -> Circuit:
    """What the `circuit` blocks of a text say. Raises UnreadableTextError."""
    nodes: dict[str, None] = {}
    edges: dict[tuple[str, str], Edge] = {}
    unread: list[str] = []
    for block in markdown.blocks_of(text, "circuit"):
        scope = ""
        for line in filter(None, map(str.strip, block.splitlines())):
            key, colon, value = line.partition(":")
            if key.strip() == "model" and colon and SLUG.fullmatch(value.strip()):
                scope = value.strip()
                continue
            names, _, note = line.partition(":")
            targets = [_component(name, scope) for name in _ARROW.split(names)]
            known = [target for target in targets if target]
            is_full = len(nodes.keys() | set(known)) > MOST_NODES or len(edges) >= MOST_EDGES
            if not 1 <= len(targets) <= 2 or len(known) != len(targets) or is_full:
                unread.append(line[:LONGEST_NOTE])
                continue
            nodes.update(dict.fromkeys(known))
            if len(known) == 2:
                edge = Edge(known[0], known[1], note.strip()[:LONGEST_NOTE])
                edges.setdefault((edge.source, edge.target), edge)
    return Circuit(tuple(nodes), tuple(edges.values()), tuple(unread))


def circuit_of(text: str, *, tags: Iterable[str]) -> Circuit:
    """The circuit of an article with this text and these tags; without nodes where it is none."""
    said = blocks_of(text)
    linked: dict[LinkKind, list[str]] = {}
    for link in markdown.links_of(text):
        target = normalise(link.target) if link.kind is not markdown.Kind.MENTION else None
        if target and target.form == TargetForm.COMPONENT:
            linked.setdefault(LinkKind(link.relation.value), []).append(target.text)
    nodes = [*said.nodes, *linked.get(LinkKind.PART_OF, [])]
    if not nodes and TAG in set(tags):
        nodes = linked.get(LinkKind.MENTIONS, [])
    return dataclasses.replace(said, nodes=tuple(dict.fromkeys(nodes))[:MOST_NODES])


def cut_for_drawing(html: str) -> tuple[str, str]:
    """A rendered text in two, without the blocks that its drawing says: what stands before the drawing and after it.

    It stands in the place of the first block, else below the first paragraph."""
    block = _BLOCK.search(html)
    at = block.start() if block else html.find("</p>") + len("</p>") if html.startswith("<p>") else 0
    return html[:at], _BLOCK.sub("", html[at:])


def _component(name: str, scope: str) -> str | None:
    target = normalise(name.strip().removeprefix("[[").removesuffix("]]"), scope=scope)
    return target.text if target and target.form == TargetForm.COMPONENT else None


@dataclasses.dataclass(frozen=True)
class Node:
    """A component in the drawing, by its left upper corner."""

    name: str
    x: int
    y: int
    url: str  # empty where there is no such component here

    @property
    def middle(self) -> int:
        return self.x + NODE_WIDTH // 2

    @property
    def text_y(self) -> int:
        return self.y + NODE_HEIGHT // 2 + 4


@dataclasses.dataclass(frozen=True)
class Arrow:
    """An edge in the drawing."""

    number: int  # as the list below the drawing counts
    source: Node
    target: Node
    note: str
    between: tuple[tuple[int, int], ...] = ()  # where it passes the rows between, by the middle of its upper end

    @property
    def path(self) -> str:
        """From below the one to above the other, past what lies between; on one layer or upwards in a bow below."""
        x, y = self.source.middle, self.source.y + NODE_HEIGHT
        parts = [f"M{x} {y}"]
        if self.source.y >= self.target.y:
            low, end = max(self.source.y, self.target.y) + NODE_HEIGHT + 24, self.target.y + NODE_HEIGHT + 2
            return f"M{x} {y}C{x} {low} {self.target.middle} {low} {self.target.middle} {end}"
        for to_x, to_y in (*self.between, (self.target.middle, self.target.y - 2)):
            bend = (to_y - y) // 2
            parts.append(f"C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}")
            x, y = to_x, to_y
            if (to_x, to_y) in self.between:
                y += NODE_HEIGHT
                parts.append(f"V{y}")
        return "".join(parts)

    @property
    def label(self) -> tuple[int, int]:
        """Where its number stands: on the way to the next row, nearer to it, where edges from one place have parted."""
        x, y = self.between[0] if self.between else (self.target.middle, self.target.y)
        if self.source.y >= self.target.y:
            return (self.source.middle + x) // 2, max(self.source.y, self.target.y) + NODE_HEIGHT + 18
        start = self.source.y + NODE_HEIGHT
        return round(self.source.middle + 0.7 * (x - self.source.middle)), round(start + 0.58 * (y - start))

    @property
    def words(self) -> str:
        return f"{self.source.name} → {self.target.name}{f': {self.note}' if self.note else ''}"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """The components of one model over its layers, earlier ones above."""

    slug: str
    model: LanguageModel | None  # None: it is not here
    layers: list[tuple[int, int]]  # number, height of its text
    nodes: list[Node]
    arrows: list[Arrow]
    width: int
    height: int

    @property
    def file_width(self) -> int:
        """Of the drawing as a file, whose last line is longer than small drawings."""
        return max(self.width, 560)

    @property
    def alone(self) -> list[Node]:
        """The components at no edge."""
        joined = {id(end) for arrow in self.arrows for end in (arrow.source, arrow.target)}
        return [node for node in self.nodes if id(node) not in joined]

    @property
    def has_missing(self) -> bool:
        return not all(node.url for node in self.nodes)

    @property
    def has_numbers(self) -> bool:
        """Whether any arrow has its number: those that say something have."""
        return any(arrow.note for arrow in self.arrows)

    @property
    def words(self) -> str:
        return f"{len(self.nodes)} components of {self.slug} over its layers, {len(self.arrows)} edges; listed below"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """All that is shown of a circuit: a drawing for each model, and what is in none."""

    drawings: list[Drawing]
    across: list[Edge]  # between models
    unread: tuple[str, ...]


def draw(circuit: Circuit, models: dict[str, LanguageModel]) -> Drawn:
    slugs = dict.fromkeys(node.partition("/")[0] for node in circuit.nodes)
    across = [edge for edge in circuit.edges if _slug(edge.source) != _slug(edge.target)]
    return Drawn([_draw(slug, circuit, models.get(slug)) for slug in slugs], across, circuit.unread)


def models_of(circuits: Iterable[Circuit]) -> dict[str, LanguageModel]:
    """The models of these circuits that are here: one query, none without circuits."""
    return LanguageModel.objects.in_bulk({_slug(node) for each in circuits for node in each.nodes})


def _slug(target: str) -> str:
    return target.partition("/")[0]


def _draw(slug: str, circuit: Circuit, model: LanguageModel | None) -> Drawing:
    names = [node.partition("/")[2] for node in circuit.nodes if _slug(node) == slug]
    edges = [
        (edge.source.partition("/")[2], edge.target.partition("/")[2], edge.note)
        for edge in circuit.edges
        if _slug(edge.source) == _slug(edge.target) == slug
    ]
    edges = [edge for edge in edges if edge[0] in names and edge[1] in names]
    layers = sorted({Component.parse(name).layer for name in names})
    rows = _rows(names, edges, layers)
    widths = [sum(_width(item) + GAP for item in row) - GAP for row in rows]
    middles: dict[_Item, int] = {}
    for row, width in zip(rows, widths, strict=True):
        x = LEFT + (max(widths) - width) // 2
        for item in row:
            middles[item] = x + _width(item) // 2
            x += _width(item) + GAP
    heights = {layer: TOP + index * ROW for index, layer in enumerate(layers)}
    nodes = {}
    for name in names:
        component = Component.parse(name)
        is_here = model is not None and component.exists_in(model.sizes)
        url = component_url(model, component) if model is not None and is_here else ""
        nodes[name] = Node(name, middles[name] - NODE_WIDTH // 2, heights[component.layer], url)
    arrows = [
        Arrow(
            number + 1,
            nodes[source],
            nodes[target],
            note,
            between=tuple((middles[number, layer], heights[layer]) for layer in layers if (number, layer) in middles),
        )
        for number, (source, target, note) in enumerate(edges)
    ]
    return Drawing(
        slug,
        model,
        layers=[(layer, y + NODE_HEIGHT // 2 + 4) for layer, y in heights.items()],
        nodes=list(nodes.values()),
        arrows=arrows,
        width=LEFT + max(widths) + 4,
        height=TOP + len(layers) * ROW - (ROW - NODE_HEIGHT) + 34,
    )


# What stands in a row: a component, or the place where an edge, by its index, passes a layer.
_Item = str | tuple[int, int]


def _width(item: _Item) -> int:
    return NODE_WIDTH if isinstance(item, str) else PASS_WIDTH


def _rows(names: Sequence[str], edges: Sequence[tuple[str, str, str]], layers: Sequence[int]) -> list[list[_Item]]:
    """What stands in the row of each layer from left to right. An edge passes the layers between its ends in places of
    its own, and everything stands below the middle of what it is reached from, so that edges cross less."""
    rows: dict[int, list[_Item]] = {layer: [] for layer in layers}
    for name in names:
        rows[Component.parse(name).layer].append(name)
    above: dict[_Item, list[_Item]] = {}
    for number, (source, target, _) in enumerate(edges):
        first, last = Component.parse(source).layer, Component.parse(target).layer
        at: _Item = source
        for layer in layers:
            if first < layer < last:
                rows[layer].append((number, layer))
                above[number, layer] = [at]
                at = (number, layer)
        if first < last:
            above.setdefault(target, []).append(at)
    place: dict[_Item, float] = {}
    for row in rows.values():
        wanted = {
            item: sum(place[each] for each in above[item]) / len(above[item]) if item in above else 0.0 for item in row
        }
        row.sort(key=wanted.__getitem__)
        place.update({item: index - (len(row) - 1) / 2 for index, item in enumerate(row)})
    return list(rows.values())
