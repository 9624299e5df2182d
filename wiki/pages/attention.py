"""The pattern viewer of a head page: one kept text, one query, what it attends to and what is written there."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.urls import reverse
from django.utils.safestring import SafeString

from analysis.families import RANDOM_TOKENS
from analysis.schema import Component, DatasetKind
from wiki.experiments.results import PatternRow, SurveyResult

from .errors import NotFound
from .levels import attention_levels
from .measurements import Measurements
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


# Said of lengths in families where the sum of heads' outputs is normalised.
NORM_FOLLOWS = (
    "These lengths are before the norm that in this family follows the sum of all heads: what reaches the residual "
    "stream is scaled by it."
)


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
        is_repeated = self.result.spec.dataset == RANDOM_TOKENS
        return DatasetKind.REPEATED if is_repeated else DatasetKind.NATURAL

    def keys_of(self, query: int) -> range:
        """The positions that a query of the model may attend to."""
        return range(query + 1 if self.result.is_causal else len(self.row.tokens))

    @property
    def where_keys_are(self) -> str:
        """The same in words, after “position 6”."""
        return "at or before its query" if self.result.is_causal else "of this text"

    @property
    def is_kept(self) -> bool:
        """Whether a survey kept it: then it is there for everybody, and part of the scale of lengths."""
        return True

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
    key: int | None  # of a locked cell: a position that the query may attend to
    sink_hidden: bool
    view: View
    state: State  # of the whole page
    missing: str = ""  # what the URL names and is not here

    def url(self, **changes: str) -> str:
        """The address of the same view with something changed; empty values unset."""
        return self._state.having(**changes).url(at="attends")

    def query_urls(self) -> list[str]:
        """For each token, the address that locks it."""
        before = self._state.having(q="", k="").query
        return [f"?{before}&q={i}#attends" for i in range(len(self.text.row.tokens))]

    @property
    def figure_query(self) -> str:
        """What the address of the pattern's figure needs to show the same."""
        return self._state.having(q="", k="", examples="", example="").query

    @property
    def pattern_query(self) -> str:
        """The same with the locked query, which the figure then frames."""
        return self._state.having(examples="", example="").query

    @property
    def _state(self) -> State:
        return self.state.having(
            text=self.text.key,
            view=self.view.value,
            sink="hidden" if self.sink_hidden else "",
            q="" if self.query is None else str(self.query),
            k="" if self.key is None else str(self.key),
        )


@dataclasses.dataclass(frozen=True)
class Key:
    """A position that the query attends to."""

    position: int
    name: str
    weight: str
    url: str  # locks the cell


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
    weights: np.ndarray  # of the query, as the view shows them: float64 [src]
    ceiling: float  # the number that has the darkest shade
    scale_text: str  # what the darkest shade is
    caveat: str  # what lengths are in families of another kind
    summary: str
    bytes_url: str
    norms_url: str  # empty in the plain view, which needs none

    @property
    def keys(self) -> list[Key]:
        """The strongest, with their figures."""
        order = np.argsort(-self.weights, kind="stable")[:N_KEYS]
        names = self.choice.text.row.tokens
        return [self._key(int(i), token_name(names[i])) for i in order if self.weights[i] > 0]

    def _key(self, position: int, name: str) -> Key:
        url = self.choice.url(q=str(self.query), k=str(position))
        return Key(position, name, short(float(self.weights[position])), url)

    @property
    def cell_key(self) -> Key | None:
        """The key of the cell that is locked."""
        at = self.choice.key
        return None if at is None else self._key(at, token_name(self.choice.text.row.tokens[at]))

    @property
    def cell_query(self) -> str:
        """What the address of a note on a cell says of the text and the view; `q` and `k` follow."""
        parts = {"anchor": "cell", "text": self.choice.text.key, "view": self.choice.view.value}
        survey = self.choice.state.parts.get("survey", "")
        return urlencode({name: value for name, value in {**parts, "survey": survey}.items() if value})

    @property
    def locked(self) -> bool:
        return self.choice.query is not None

    @property
    def unlock_url(self) -> str:
        return self.choice.url(q="", k="")

    @property
    def sink_url(self) -> str:
        return self.choice.url(sink="" if self.choice.sink_hidden else "hidden")

    @property
    def view_tabs(self) -> list[Tab]:
        return [Tab(view.label, self.choice.url(view=view.value), view is self.choice.view) for view in View]

    @property
    def ceiling_text(self) -> str:
        return ceiling_figure(self.ceiling)

    @property
    def quarter_text(self) -> str:
        """The number at the middle of the scale, whose shades follow the square root."""
        return short(self.ceiling / 4)

    def to_json(self) -> dict[str, Any]:
        """What the viewer shows, numbers as they are."""
        return {
            "text": self.choice.text.key,
            "title": self.choice.text.row.title,
            "view": self.choice.view.value or "attention",
            "what": self.choice.view.legend,
            "note": self.caveat,
            "first_token_hidden": self.choice.sink_hidden,
            "query": self.query,
            "locked": self.locked,
            "key": self.choice.key,
            "weights": [round(weight, 6) for weight in self.weights.tolist()],
            "darkest": self.ceiling,
        }


def ceiling_figure(ceiling: float) -> str:
    """The number at the end of a scale."""
    return "1" if ceiling == 1 else short(ceiling)


def caveat_of(choice: Choice, measurements: Measurements) -> str:
    """What has to be said of lengths in families where a norm follows the heads; else empty."""
    return NORM_FOLLOWS if measurements.norm_follows and choice.view is not View.PLAIN else ""


def scale_text(choice: Choice, ceiling: float, texts: list[Text]) -> str:
    """What the darkest shade is, where that is not plainly 1."""
    n_kept, darkest = sum(text.is_kept for text in texts), f"The darkest shade is {ceiling_figure(ceiling)}"
    of_others = " outside the first token" if choice.sink_hidden else ""
    if choice.view is View.VALUE and n_kept:
        kept = f"on the {n_kept} texts" if n_kept > 1 else "on the one text"
        darkest = f"{darkest}, the largest length{of_others} {kept} kept of this head"
        if not choice.text.is_kept:
            return f"{darkest}, and what is longer on your text has it too; another head has its own scale."
        same = ": the scale is the same on all of them, and another head has its own." if n_kept > 1 else "."
        return darkest + same
    if choice.view is View.VALUE:
        return f"{darkest}, the largest length{of_others} on this text, which has its own scale."
    if choice.sink_hidden:
        return f"{darkest}, the most{of_others} in this text; numbers are unchanged."
    return ""


def texts_of(measurements: Measurements, *, own: str = "") -> list[Text]:
    """The kept texts of all pinned surveys, natural ones first; then the person's own text that `own` names."""
    from .own_text import own_text  # noqa: PLC0415 (it builds on this module's `Text`)

    texts = [Text(result, row) for result in measurements.results.values() for row in result.pattern_rows]
    named = own_text(measurements.model, own)
    return sorted(texts, key=lambda text: text.kind is DatasetKind.REPEATED) + ([named] if named else [])


def choose(texts: list[Text], state: State, *, prefer: DatasetKind) -> Choice:
    """The view that the URL asks for. Without a text it is the first of the preferred kind; a text, view or query that
    is not there is said to be missing, and so is a key that cannot be one."""
    text, view, query, key = (state.parts.get(name, "") for name in ("text", "view", "q", "k"))
    hidden = state.parts.get("sink") == "hidden"
    preferred = next((candidate for candidate in texts if candidate.kind is prefer), texts[0])
    chosen = next((candidate for candidate in texts if candidate.key == text), preferred)
    views = {member.value: member for member in View}
    shown = views.get(view, View.PLAIN)
    if text and chosen.key != text:
        return Choice(chosen, None, None, hidden, shown, state, missing=f"the text “{text[:80]}”")
    if view not in views:
        return Choice(chosen, None, None, hidden, shown, state, missing=f"the view “{view[:80]}”")
    if query and query not in map(str, range(len(chosen.row.tokens))):
        return Choice(chosen, None, None, hidden, shown, state, missing=f"position “{query[:80]}” of this text")
    if key and not query:
        return Choice(chosen, None, None, hidden, shown, state, missing="a key (k=) without its query (q=)")
    if key and key not in map(str, chosen.keys_of(int(query))):
        missing = f"position “{key[:80]}” {chosen.where_keys_are}"
        return Choice(chosen, int(query), None, hidden, shown, state, missing=missing)
    return Choice(chosen, int(query) if query else None, int(key) if key else None, hidden, shown, state)


def missing_without_texts(state: State) -> str:
    """What the URL names where there is no text to choose from; empty where it names nothing that needs one."""
    text, view, query, key = (state.parts.get(name, "") for name in ("text", "view", "q", "k"))
    if text:
        return f"the text “{text[:80]}”"
    if view not in {member.value for member in View}:
        return f"the view “{view[:80]}”"
    return f"position “{(query or key)[:80]}” of a text" if query or key else ""


def require_choice(texts: list[Text], state: State, *, prefer: DatasetKind, doing: str, slug: str) -> Choice:
    """The view that the URL asks for; 404 with a sentence where it names something that is not there."""
    if not texts:
        raise NotFound(f"{doing}: no attention pattern has been kept yet.", slug=slug)
    choice = choose(texts, state, prefer=prefer)
    if choice.missing:
        raise NotFound(
            f"{doing}: expected a text, a view and a position that are here, got {choice.missing}.", slug=slug
        )
    return choice


def attention_view(
    choice: Choice, component: Component, texts: list[Text], measurements: Measurements
) -> AttentionView:
    """Read a head's pattern on the chosen text and say what the query attends to. `texts` are all that there are to
    choose from."""
    text, tokens = choice.text, choice.text.row.tokens
    pattern = text.weights(component, View.PLAIN)
    best_query, best_key = np.unravel_index(np.argmax(pattern[:, 1:]), (len(tokens), len(tokens) - 1))
    query = int(best_query) if choice.query is None else choice.query
    shown = pattern if choice.view is View.PLAIN else text.weights(component, choice.view)
    ceiling = ceiling_of(choice, component, texts, shown)
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
            key=choice.key,
            sink_hidden=choice.sink_hidden,
        ),
        weights=weights,
        ceiling=ceiling,
        scale_text=scale_text(choice, ceiling, texts),
        caveat=caveat_of(choice, measurements),
        summary=(
            f"Attention pattern of {component} on “{text.row.title}”, {len(tokens)} by {len(tokens)} tokens, "
            f"row = query, column = key. Strongest outside the first token: “{token_name(tokens[best_query])}”, "
            f"position {best_query}, to “{token_name(tokens[best_key + 1])}”, position {best_key + 1}, {strongest}."
        ),
        bytes_url=text.url("pattern", component),
        norms_url="" if choice.view is View.PLAIN else text.url("value-norms", component),
    )


def ceiling_of(choice: Choice, component: Component, texts: list[Text], shown: np.ndarray) -> float:
    """The number that gets the darkest shade: for lengths the largest on the texts that surveys kept of the head, so
    that a person's own text changes no scale (where none is kept, on this text); for shares 1 or, without the first
    token, the largest of this text. `shown` is what the view shows of the chosen text."""
    first = 1 if choice.sink_hidden else 0
    if choice.view is View.VALUE:
        on = [text for text in texts if text.is_kept] or [choice.text]
        lengths = (shown if text is choice.text else text.weights(component, choice.view) for text in on)
        return float(max(of_text[:, first:].max() for of_text in lengths)) or 1.0
    return (float(shown[:, 1:].max()) or 1.0) if choice.sink_hidden else 1.0
