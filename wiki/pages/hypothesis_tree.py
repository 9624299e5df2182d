"""The tree of a hypothesis as nested lists: each node with its parts, how its datum is drawn, what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from analysis.scrubbing.foreseen import foreseen_parts
from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.parts import PartError, TransformerParts
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.experiments.named_parts import components_of

from .hypothesis_words import how_drawn

Nodes = Sequence[Mapping[str, Any]]
# Deeper nodes are written out flat: no page is so wide.
DEEPEST = 40


def tree_of(
    nodes: Nodes,
    model: LanguageModel | None,
    *,
    hypothesis: Hypothesis | None = None,
    said: Mapping[str, SafeString] | None = None,
    wrong: Mapping[str, Sequence[str]] | None = None,
) -> SafeString:
    """The tree of nodes as they were typed, right or wrong; those that hang on nothing come last.

    `said` and `wrong` are what stands with a node, by its name; `hypothesis` has the rewrites of its parts.
    """
    drawn = _Drawing(nodes, model, hypothesis, said or {}, wrong or {})
    return drawn.markup()


class _Drawing:
    def __init__(
        self,
        nodes: Nodes,
        model: LanguageModel | None,
        hypothesis: Hypothesis | None,
        said: Mapping[str, SafeString],
        wrong: Mapping[str, Sequence[str]],
    ) -> None:
        self.nodes, self.model, self.said, self.wrong = nodes, model, said, wrong
        self.parts: TransformerParts | None = None
        if model is not None:
            self.parts = foreseen_parts(hypothesis, model.sizes, parallel=False) if hypothesis else None
            self.parts = self.parts or TransformerParts(model.sizes)
        self.children: dict[str, list[int]] = {}
        for at, node in enumerate(nodes):
            if node.get("parent") is not None:
                self.children.setdefault(str(node["parent"]), []).append(at)

    def markup(self) -> SafeString:
        drawn: set[int] = set()
        roots = [at for at, node in enumerate(self.nodes) if node.get("parent") is None]
        pieces = [mark_safe('<ul class="tree">')]
        for at in roots:
            self._draw(at, drawn, pieces)
        for at in range(len(self.nodes)):
            if at not in drawn:
                self._draw(at, drawn, pieces, loose=True)
        return mark_safe("".join([*pieces, "</ul>"]))  # noqa: S308 (of pieces that are escaped)

    def _draw(self, top: int, drawn: set[int], pieces: list[SafeString], *, loose: bool = False) -> None:
        """A node and what hangs on it; without recursion, since a tree may be a thousand deep."""
        todo: list[tuple[int, int] | str] = [(top, 0)]
        while todo:
            next_one = todo.pop()
            if isinstance(next_one, str):
                pieces.append(mark_safe(next_one))  # noqa: S308 (a closing tag)
                continue
            at, depth = next_one
            if at in drawn:
                continue
            drawn.add(at)
            pieces.append(format_html("<li>{}", self._node(self.nodes[at], loose=loose and at == top)))
            below = [child for child in self.children.get(str(self.nodes[at].get("name")), []) if child not in drawn]
            if below and depth < DEEPEST:
                pieces.append(mark_safe("<ul>"))
                todo += ["</ul></li>", *((child, depth + 1) for child in reversed(below))]
            else:
                pieces.append(mark_safe("</li>"))
                todo += [(child, depth) for child in reversed(below)]

    def _node(self, node: Mapping[str, Any], *, loose: bool) -> SafeString:
        name = str(node.get("name", ""))
        wrong = [*self.wrong.get(name, ()), *(["It hangs on no node."] if loose else [])]
        return format_html(
            '<div class="node{}"><p><strong>{}</strong> {}</p><p class="soft">{}</p>{}{}</div>',
            " wrong" if wrong else "",
            name or "without a name",
            self._parts(node),
            how_drawn(node),
            self.said.get(name, ""),
            mark_safe("".join(format_html('<p class="error">{}</p>', each) for each in wrong)),  # noqa: S308 (escaped)
        )

    def _parts(self, node: Mapping[str, Any]) -> SafeString:
        parts = node.get("parts")
        named = [str(part) for part in parts] if isinstance(parts, list) else []
        return mark_safe(", ".join(self._part(part) for part in named))  # noqa: S308 (each is escaped)

    def _part(self, part: str) -> SafeString:
        try:
            canonical = self.parts.named(part) if self.parts else ()
        except PartError:
            canonical = ()
        components = {component for each in canonical for component in components_of(each)}
        if self.model is None or len(components) != 1:
            return format_html("<code>{}</code>", part)
        return format_html('<a href="{}"><code>{}</code></a>', component_url(self.model, components.pop()), part)
