"""The pattern viewer of a head page: one kept text, one query, what it attends to."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.urls import reverse

from analysis.schema import Component, DatasetKind
from wiki.experiments.results import PatternRow, SurveyResult

from .levels import attention_levels
from .measurements import METRIC_DATASETS, Measurements
from .numbers import short

N_KEYS = 6
_SPACES = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})


def visible(token: str) -> str:
    """A token as it is shown: line breaks and tabs as signs, an empty one as ∅."""
    return token.translate(_SPACES) or "∅"


def token_name(token: str) -> str:
    """A token inside a sentence, without the space that most begin with."""
    return visible(token).strip() or "␣"


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
        bytes_url = self.bytes_url(component)
        return {"text": self.key, "title": self.row.title, "tokens": self.row.tokens, "bytes": bytes_url}

    def bytes_url(self, component: Component) -> str:
        """Where a head's pattern on this text is, as bytes."""
        return reverse("pattern", args=[self.result.spec.hash, self.row.index, component])


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the viewer shows, as the URL says it."""

    text: Text
    query: int | None
    sink_hidden: bool
    missing: str = ""  # what the URL names and is not here

    def url(self, *, query: int | None, sink_hidden: bool | None = None) -> str:
        """The address of the same view with another query, or with the first token shown or hidden."""
        hidden = self.sink_hidden if sink_hidden is None else sink_hidden
        parts = {"text": self.text.key}
        if query is not None:
            parts["q"] = str(query)
        if hidden:
            parts["sink"] = "hidden"
        return f"?{urlencode(parts)}#attends"


@dataclasses.dataclass(frozen=True)
class Token:
    """A token of the text as a link that locks it."""

    position: int
    text: str
    level: int
    url: str


@dataclasses.dataclass(frozen=True)
class Key:
    """A position that the query attends to."""

    position: int
    name: str
    weight: str


@dataclasses.dataclass(frozen=True)
class AttentionView:
    """The viewer of one head on one text: everything a template or a screen reader needs."""

    choice: Choice
    query: int
    query_name: str
    tokens: list[Token]
    keys: list[Key]
    ceiling: float  # the weight that has the darkest shade
    summary: str
    bytes_url: str

    @property
    def locked(self) -> bool:
        return self.choice.query is not None

    @property
    def unlock_url(self) -> str:
        return self.choice.url(query=None)

    @property
    def sink_url(self) -> str:
        return self.choice.url(query=self.choice.query, sink_hidden=not self.choice.sink_hidden)

    @property
    def ceiling_text(self) -> str:
        return "1" if self.ceiling == 1 else short(self.ceiling)

    @property
    def quarter_text(self) -> str:
        """The weight at the middle of the scale, whose shades follow the square root."""
        return short(self.ceiling / 4)


def texts_of(measurements: Measurements, *, own: str = "") -> list[Text]:
    """The kept texts of all pinned surveys, natural ones first; then the person's own text that `own` names."""
    from .own_text import own_text  # noqa: PLC0415 (it builds on this module's `Text`)

    texts = [Text(result, row) for result in measurements.results.values() for row in result.pattern_rows]
    named = own_text(measurements.model, own)
    return sorted(texts, key=lambda text: text.kind is DatasetKind.REPEATED) + ([named] if named else [])


def choose(texts: list[Text], *, text: str, query: str, sink: str, prefer: DatasetKind) -> Choice:
    """The view that the URL asks for. Without a text it is the first of the preferred kind; a text or query that is
    not there is said to be missing."""
    preferred = next((candidate for candidate in texts if candidate.kind is prefer), texts[0])
    chosen = next((candidate for candidate in texts if candidate.key == text), preferred)
    if text and chosen.key != text:
        return Choice(chosen, None, sink == "hidden", missing=f"the text “{text[:80]}”")
    if query and query not in map(str, range(len(chosen.row.tokens))):
        return Choice(chosen, None, sink == "hidden", missing=f"position “{query[:80]}” of this text")
    return Choice(chosen, int(query) if query else None, sink == "hidden")


def attention_view(choice: Choice, component: Component) -> AttentionView:
    """Read a head's pattern on the chosen text and say what the query attends to."""
    text, tokens = choice.text, choice.text.row.tokens
    pattern = text.result.pattern(text.row.index, component) / 255
    best_query, best_key = np.unravel_index(np.argmax(pattern[:, 1:]), (len(tokens), len(tokens) - 1))
    query = int(best_query) if choice.query is None else choice.query
    ceiling = (float(pattern[:, 1:].max()) or 1.0) if choice.sink_hidden else 1.0
    weights = pattern[query] * (np.arange(len(tokens)) > 0) if choice.sink_hidden else pattern[query]
    levels = attention_levels(weights / ceiling)
    strongest = short(float(pattern[best_query, best_key + 1]))
    return AttentionView(
        choice=choice,
        query=query,
        query_name=token_name(tokens[query]),
        tokens=[Token(i, visible(token), int(levels[i]), choice.url(query=i)) for i, token in enumerate(tokens)],
        keys=_strongest_keys(weights, tokens),
        ceiling=ceiling,
        summary=(
            f"Attention pattern of {component} on “{text.row.title}”, {len(tokens)} by {len(tokens)} tokens, "
            f"row = query, column = key. Strongest outside the first token: “{token_name(tokens[best_query])}”, "
            f"position {best_query}, to “{token_name(tokens[best_key + 1])}”, position {best_key + 1}, {strongest}."
        ),
        bytes_url=text.bytes_url(component),
    )


def _strongest_keys(weights: np.ndarray, tokens: tuple[str, ...]) -> list[Key]:
    order = np.argsort(-weights, kind="stable")[:N_KEYS]
    return [Key(int(i), token_name(tokens[i]), short(float(weights[i]))) for i in order if weights[i] > 0]
