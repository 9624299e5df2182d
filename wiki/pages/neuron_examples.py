"""Texts on which a neuron's activation is extreme or in between, token by token."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.urls import reverse
from django.utils.safestring import SafeString

from analysis.families import typed_text
from analysis.schema import Component
from analysis.windows import N_IN_INTERVAL, N_INTERVALS, N_STRONGEST
from wiki.components.models import LanguageModel
from wiki.experiments.results import SurveyResult, Vocabulary

from .errors import NotFound
from .markup import join_markup
from .numbers import short
from .shading import visible
from .token_buttons import token_buttons


@dataclasses.dataclass(frozen=True)
class Group:
    """Some of a neuron's examples: what the URL calls them, a name, and where they are among all."""

    key: str
    label: str
    meaning: str
    slots: slice


def _interval(number: int) -> Group:
    low, high = (100 * edge // N_INTERVALS for edge in (number - 1, number))
    start = 2 * N_STRONGEST + (number - 1) * N_IN_INTERVAL
    return Group(
        str(number),
        f"{low}–{high} %",
        f"The first texts whose maximum is between those of {low} % and {high} % of the texts that the survey began "
        "with, one a document.",
        slice(start, start + N_IN_INTERVAL),
    )


GROUPS: tuple[Group, ...] = (
    Group(
        "top",
        "most positive",
        "The texts with the highest activations, one a document.",
        slice(0, N_STRONGEST),
    ),
    Group(
        "bottom",
        "most negative",
        "The texts with the lowest activations, one a document.",
        slice(N_STRONGEST, 2 * N_STRONGEST),
    ),
    *(_interval(number) for number in range(N_INTERVALS, 0, -1)),
)


@dataclasses.dataclass(frozen=True)
class Example:
    """A window of a text with the neuron's activation on each token."""

    row: int  # of the dataset
    title: str
    score: float  # the extreme activation
    position: int  # of the extreme in the row
    first: int  # position of the window's first token
    texts: tuple[str, ...]
    activations: np.ndarray  # float32, of each token; to a 127th of the largest, apart from the extreme
    largest: float  # magnitude with the darkest shade
    row_url: str
    own_text_url: str
    note_url: str  # where a note on the extreme token can be written

    @property
    def figure(self) -> str:
        return short(self.score)

    @property
    def token(self) -> str:
        return self.texts[self.position - self.first]

    @property
    def markup(self) -> SafeString:
        """The tokens as buttons that say their value under pointer or focus, the extreme one the first tab stop."""
        framed = (self.position - self.first,)
        return token_buttons(self.texts, self.activations, largest=self.largest, framed=framed, first=self.first)

    def to_json(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "title": self.title,
            "activation": self.score,
            "position": self.position,
            "first": self.first,
            "tokens": list(self.texts),
            "activations": [round(value, 6) for value in self.activations.tolist()],
            "full_text": self.row_url,
        }


# An item of the list of examples; the tokens say their values in the line of class `said`.
_ITEM = """
<li>
  <p class="about">
    <span><span class="mono">{figure}</span> on “<span class="mono">{token}</span>”</span>
    <span class="soft">{title}</span>
  </p>
  <colored-tokens class="text">{tokens}</colored-tokens>
  <p class="about">
    <a href="{row}" data-hx-get="{row}"
       data-hx-target="closest li" data-hx-swap="beforeend" data-hx-trigger="click once">full text</a>
    <a href="{own}">run as own text</a>
    <a href="{note}" rel="nofollow">note on “{token}”</a>
    <span class="said mono" role="status"></span>
  </p>
</li>"""


def examples_html(examples: list[Example]) -> SafeString:
    return join_markup(
        _ITEM,
        (
            {
                "figure": example.figure,
                "token": visible(example.token),
                "title": example.title,
                "tokens": example.markup,
                "row": example.row_url,
                "own": example.own_text_url,
                "note": example.note_url,
            }
            for example in examples
        ),
    )


def find_group(key: str) -> Group | None:
    return next((group for group in GROUPS if group.key == key), None)


def require_group(key: str, *, doing: str, slug: str) -> Group:
    """The group that the URL names; 404 with a sentence where there is none."""
    group = find_group(key)
    if group is None:
        known = ", ".join(group.key for group in GROUPS)
        raise NotFound(f"{doing}: expected examples among {known}, got “{key[:80]}”.", slug=slug)
    return group


def examples_of(
    result: SurveyResult,
    vocabulary: Vocabulary,
    component: Component,
    *,
    model: LanguageModel,
    group: Group,
    largest: float,
    query: str = "",
) -> list[Example]:
    """A group of a neuron's examples, best first. `query` goes on in their addresses."""
    rows, positions, starts, scores, scales, windows = (
        result.of_component(f"example_{name}", component)[group.slots]
        for name in ("row", "position", "start", "score", "scale", "window")
    )
    slots = [slot for slot in range(len(rows)) if rows[slot] >= 0]
    found = result.rows_of(int(rows[slot]) for slot in slots)
    tokens, titles = [tokens for tokens, _ in found], [title for _, title in found]
    firsts = [int(starts[slot]) for slot in slots]
    cut = [row[first : first + windows.shape[1]] for row, first in zip(tokens, firsts, strict=True)]
    texts = vocabulary.texts(np.concatenate(cut) if cut else [])
    examples, start = [], 0
    before_row = reverse("neuron-row", args=[model.slug, component, 0]).removesuffix("0/")
    own_text = f"{reverse('model', args=[model.slug])}text/"
    note = {"about": f"{model.slug}/{component}", "anchor": "token", "examples": group.key}
    noting = f"{reverse('new-note')}?{urlencode(note)}"
    for slot, first, window, title in zip(slots, firsts, cut, titles, strict=True):
        words = tuple(texts[start : start + len(window)])
        start += len(window)
        activations = windows[slot, : len(window)] * (scales[slot] / 127)
        activations[int(positions[slot]) - first] = scores[slot]
        row = int(rows[slot])
        examples.append(
            Example(
                row=row,
                title=title,
                score=float(scores[slot]),
                position=int(positions[slot]),
                first=first,
                texts=words,
                activations=activations,
                largest=largest,
                row_url=f"{before_row}{row}/{query}",
                own_text_url=f"{own_text}?{urlencode({'text': _plain(words, first, model=model)})}",
                note_url=f"{noting}&row={row}&position={int(positions[slot])}{query.replace('?', '&')}",
            )
        )
    return examples


def _plain(texts: tuple[str, ...], first: int, *, model: LanguageModel) -> str:
    """The text of a window as it stands there, white space included, without the token that begins every row."""
    return typed_text(model.family, texts[1:] if first == 0 else texts)


@dataclasses.dataclass(frozen=True)
class FullText:
    """A whole row of the survey, with the neuron's activation where an example has it."""

    row: int
    title: str
    texts: list[str]
    activations: np.ndarray  # float32; not a number where no example has it
    extremes: set[int]
    largest: float
    own_text_url: str

    @property
    def markup(self) -> SafeString:
        """The tokens as buttons that say their value under pointer or focus, the first extreme the tab stop."""
        return token_buttons(self.texts, self.activations, largest=self.largest, framed=self.extremes)


def full_text_of(
    result: SurveyResult,
    vocabulary: Vocabulary,
    component: Component,
    *,
    model: LanguageModel,
    row: int,
    largest: float,
) -> FullText:
    """The row of one of a neuron's examples; 404 with a sentence where it is of none."""
    rows, positions, starts, scores, scales = (
        result.of_component(f"example_{name}", component) for name in ("row", "position", "start", "score", "scale")
    )
    slots = np.flatnonzero(rows == row)
    if row < 0 or not slots.size:
        raise NotFound(
            f"Looking for row {row} among the examples of {component}: expected one of "
            f"{', '.join(map(str, sorted(set(rows[rows >= 0].tolist()))[:5]))}, …",
            slug=model.slug,
        )
    ((tokens, title),) = result.rows_of([row])
    windows = result.of_component("example_window", component)
    activations = np.full(len(tokens), np.nan, np.float32)
    for slot in slots.tolist():
        first = int(starts[slot])
        window = windows[slot, : len(tokens) - first] * (scales[slot] / 127)
        activations[first : first + len(window)] = window
        activations[positions[slot]] = scores[slot]
    texts = vocabulary.texts(tokens)
    typed = urlencode({"text": _plain(tuple(texts), 0, model=model)})
    return FullText(
        row=row,
        title=title,
        texts=texts,
        activations=activations,
        extremes={int(positions[slot]) for slot in slots.tolist()},
        largest=largest,
        own_text_url=f"{reverse('model', args=[model.slug])}text/?{typed}",
    )
