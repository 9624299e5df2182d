"""The pattern viewer of a head page: one kept text, one query, what it attends to and what is written there."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

import numpy as np
from django.urls import reverse
from django.utils.safestring import SafeString

from analysis.schema import Component, DatasetKind
from wiki.experiments.results import PatternRow, SurveyResult

from .levels import attention_levels
from .measurements import METRIC_DATASETS, Measurements
from .numbers import short
from .shading import token_links, token_name
from .state import State

N_KEYS = 6


class View(enum.Enum):
    """What is shown of a query and a key. The value is the word in the URL."""

    PLAIN = ""
    VALUE = "value"
    ROW = "row"

    @property
    def label(self) -> str:
        return _LABELS[self][0]

    @property
    def column(self) -> str:
        """What the numbers of the table of keys are."""
        return _LABELS[self][1]

    @property
    def legend(self) -> str:
        return _LABELS[self][2]


_LABELS = {
    View.PLAIN: ("attention", "attention", "attention A[q,k]"),
    View.VALUE: (
        "value-weighted",
        "length written",
        "length of what the head writes for the key, A[q,k]·‖W_O v‖",
    ),
    View.ROW: (
        "value-weighted, normalised by row",
        "share of row",
        "A[q,k]·‖W_O v‖ divided by its sum over the row: rows cannot be compared with each other",
    ),
}


@dataclasses.dataclass(frozen=True)
class Text:
    """A row whose patterns a pinned survey kept."""

    result: SurveyResult
    row: PatternRow

    @property
    def key(self) -> str:
        return f"{self.result.spec.dataset}.{self.row.index}"

    @property
    def kind(self) -> DatasetKind:
        is_repeated = self.result.spec.dataset == METRIC_DATASETS[DatasetKind.REPEATED]
        return DatasetKind.REPEATED if is_repeated else DatasetKind.NATURAL

    def to_json(self, component: Component) -> dict[str, Any]:
        return {
            "text": self.key,
            "title": self.row.title,
            "tokens": self.row.tokens,
            "bytes": self.url("pattern", component),
            "value_norms": self.url("value-norms", component),
            "promoted": self.url("promoted", component),
        }

    def url(self, name: str, component: Component) -> str:
        """Where something of a head on this text is: `pattern`, `value-norms` or `promoted`."""
        return reverse(name, args=[self.result.spec.hash, self.row.index, component])

    def layer_url(self, layer: int) -> str:
        """Where the patterns of all heads of a layer on this text are, as bytes [head, dest, src]."""
        return reverse("layer-patterns", args=[self.result.spec.hash, self.row.index, Component(layer)])

    def weights(self, component: Component, view: View) -> np.ndarray:
        """What a view shows of a head: float64 [dest, src], in [0, 1] but for value-weighted attention."""
        pattern = self.result.pattern(self.row.index, component) / 255
        if view is View.PLAIN:
            return pattern
        weighted = pattern * self.result.value_norms(self.row.index, component).astype(float)
        if view is View.VALUE:
            return weighted
        sums = weighted.sum(1, keepdims=True)
        return np.divide(weighted, sums, out=np.zeros_like(weighted), where=sums > 0)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the viewer shows, as the URL says it."""

    text: Text
    query: int | None
    sink_hidden: bool
    view: View
    state: State  # of the whole page
    missing: str = ""  # what the URL names and is not here

    def url(self, **changes: str) -> str:
        """The address of the same view with something changed; empty values unset."""
        return self._state.having(**changes).url(at="attends")

    def query_urls(self) -> list[str]:
        """For each token, the address that locks it."""
        before = self._state.having(q="").query
        return [f"?{before}&q={i}#attends" for i in range(len(self.text.row.tokens))]

    @property
    def figure_query(self) -> str:
        """What the address of the pattern's figure needs to show the same."""
        return self._state.having(q="", examples="", example="").query

    @property
    def _state(self) -> State:
        return self.state.having(
            text=self.text.key,
            view=self.view.value,
            sink="hidden" if self.sink_hidden else "",
            q="" if self.query is None else str(self.query),
        )


@dataclasses.dataclass(frozen=True)
class Key:
    """A position that the query attends to."""

    position: int
    name: str
    weight: str


@dataclasses.dataclass(frozen=True)
class Tab:
    """A link to another view."""

    label: str
    url: str
    current: bool


@dataclasses.dataclass(frozen=True)
class AttentionView:
    """The viewer of one head on one text: everything a template or a screen reader needs."""

    choice: Choice
    query: int
    query_name: str
    tokens: SafeString
    keys: list[Key]
    ceiling: float  # the number that has the darkest shade
    n_texts: int  # kept of this head
    summary: str
    bytes_url: str
    norms_url: str  # empty in the plain view, which needs none

    @property
    def locked(self) -> bool:
        return self.choice.query is not None

    @property
    def unlock_url(self) -> str:
        return self.choice.url(q="")

    @property
    def sink_url(self) -> str:
        return self.choice.url(sink="" if self.choice.sink_hidden else "hidden")

    @property
    def view_tabs(self) -> list[Tab]:
        return [Tab(view.label, self.choice.url(view=view.value), view is self.choice.view) for view in View]

    @property
    def ceiling_text(self) -> str:
        return "1" if self.ceiling == 1 else short(self.ceiling)

    @property
    def quarter_text(self) -> str:
        """The number at the middle of the scale, whose shades follow the square root."""
        return short(self.ceiling / 4)

    @property
    def scale_text(self) -> str:
        """What the darkest shade is."""
        of_others = " outside the first token" if self.choice.sink_hidden else ""
        if self.choice.view is View.VALUE:
            return (
                f"The darkest shade is {self.ceiling_text}, the largest length{of_others} on the {self.n_texts} "
                "texts kept of this head: the scale is the same on all of them, and another head has its own."
            )
        if self.choice.sink_hidden:
            return f"The darkest shade is {self.ceiling_text}, the most{of_others} in this text; numbers are unchanged."
        return ""


def texts_of(measurements: Measurements, *, own: str = "") -> list[Text]:
    """The kept texts of all pinned surveys, natural ones first; then the person's own text that `own` names."""
    from .own_text import own_text  # noqa: PLC0415 (it builds on this module's `Text`)

    texts = [Text(result, row) for result in measurements.results.values() for row in result.pattern_rows]
    named = own_text(measurements.model, own)
    return sorted(texts, key=lambda text: text.kind is DatasetKind.REPEATED) + ([named] if named else [])


def choose(texts: list[Text], state: State, *, prefer: DatasetKind) -> Choice:
    """The view that the URL asks for. Without a text it is the first of the preferred kind; a text, view or query that
    is not there is said to be missing."""
    text, view, query = (state.parts.get(name, "") for name in ("text", "view", "q"))
    hidden = state.parts.get("sink") == "hidden"
    preferred = next((candidate for candidate in texts if candidate.kind is prefer), texts[0])
    chosen = next((candidate for candidate in texts if candidate.key == text), preferred)
    views = {member.value: member for member in View}
    shown = views.get(view, View.PLAIN)
    if text and chosen.key != text:
        return Choice(chosen, None, hidden, shown, state, missing=f"the text “{text[:80]}”")
    if view not in views:
        return Choice(chosen, None, hidden, shown, state, missing=f"the view “{view[:80]}”")
    if query and query not in map(str, range(len(chosen.row.tokens))):
        return Choice(chosen, None, hidden, shown, state, missing=f"position “{query[:80]}” of this text")
    return Choice(chosen, int(query) if query else None, hidden, shown, state)


def attention_view(choice: Choice, component: Component, texts: list[Text]) -> AttentionView:
    """Read a head's pattern on the chosen text and say what the query attends to. `texts` are all that are kept."""
    text, tokens = choice.text, choice.text.row.tokens
    pattern = text.weights(component, View.PLAIN)
    best_query, best_key = np.unravel_index(np.argmax(pattern[:, 1:]), (len(tokens), len(tokens) - 1))
    query = int(best_query) if choice.query is None else choice.query
    shown = pattern if choice.view is View.PLAIN else text.weights(component, choice.view)
    ceiling = _ceiling(choice, component, texts, shown)
    weights = shown[query] * (np.arange(len(tokens)) > 0) if choice.sink_hidden else shown[query]
    strongest = short(float(pattern[best_query, best_key + 1]))
    return AttentionView(
        choice=choice,
        query=query,
        query_name=token_name(tokens[query]),
        tokens=token_links(
            tokens,
            attention_levels(weights / ceiling).tolist(),
            choice.query_urls(),
            query=query,
            locked=choice.query is not None,
            sink_hidden=choice.sink_hidden,
        ),
        keys=_strongest_keys(weights, tokens),
        ceiling=ceiling,
        n_texts=len(texts),
        summary=(
            f"Attention pattern of {component} on “{text.row.title}”, {len(tokens)} by {len(tokens)} tokens, "
            f"row = query, column = key. Strongest outside the first token: “{token_name(tokens[best_query])}”, "
            f"position {best_query}, to “{token_name(tokens[best_key + 1])}”, position {best_key + 1}, {strongest}."
        ),
        bytes_url=text.url("pattern", component),
        norms_url="" if choice.view is View.PLAIN else text.url("value-norms", component),
    )


def _ceiling(choice: Choice, component: Component, texts: list[Text], shown: np.ndarray) -> float:
    """The number that gets the darkest shade: for lengths the largest on all texts kept of the head, for shares 1 or,
    without the first token, the largest of this text."""
    first = 1 if choice.sink_hidden else 0
    if choice.view is View.VALUE:
        others = (text.weights(component, choice.view) for text in texts if text is not choice.text)
        return float(max(lengths[:, first:].max() for lengths in (shown, *others))) or 1.0
    return (float(shown[:, 1:].max()) or 1.0) if choice.sink_hidden else 1.0


def _strongest_keys(weights: np.ndarray, tokens: tuple[str, ...]) -> list[Key]:
    order = np.argsort(-weights, kind="stable")[:N_KEYS]
    return [Key(int(i), token_name(tokens[i]), short(float(weights[i]))) for i in order if weights[i] > 0]
