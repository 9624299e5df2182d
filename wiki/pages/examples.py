"""A head's examples: rows of the survey on which it picks something out, from most to least."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from analysis.families import typed_text
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, SurveyResult

from .attention import Tab
from .errors import NotFound
from .levels import attention_levels
from .measurements import Measurements
from .numbers import short
from .promoted import TokenTexts
from .shading import shaded_tokens, table_rows, token_name
from .state import State

# By the word in the URL: the label, and which of a head's examples they are (as `analysis.statistics.head_examples`
# chooses them: ten of the highest fifth of rows, then three of each lower fifth).
INTERVALS = {
    "top": ("top", slice(0, 10)),
    "80": ("60–80 %", slice(10, 13)),
    "60": ("40–60 %", slice(13, 16)),
    "40": ("20–40 %", slice(16, 19)),
    "20": ("0–20 %", slice(19, 22)),
}
FIRST = "top"

N_KEYS = 3  # strongest keys that an excerpt shows
AROUND_QUERY = (8, 3)  # tokens before and after
AROUND_KEY = (2, 2)

_ARRAYS = ("example_row", "example_score", "example_query", "example_weights")


@dataclasses.dataclass(frozen=True)
class RawExample:
    """One row of a survey and a head's attention at the query where it is largest outside the first token."""

    row: int
    title: str
    score: float
    query: int
    tokens: list[str]
    weights: np.ndarray  # float64 [src] in [0, 1], 0 for the first token

    @property
    def strongest(self) -> int:
        return int(np.argmax(self.weights))

    def to_json(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "title": self.title,
            "score": self.score,
            "query": self.query,
            "tokens": self.tokens,
            "attention": [[key, round(float(self.weights[key]), 4)] for key in np.flatnonzero(self.weights).tolist()],
        }


@dataclasses.dataclass(frozen=True)
class Example:
    """An example as it is shown."""

    raw: RawExample
    tokens: SafeString
    is_full: bool
    toggle_url: str  # to the full text, or back to the excerpt
    own_text_url: str
    note_url: str  # where a note on the query's token can be written

    @property
    def item(self) -> SafeString:
        """The example as an item of a list."""
        title, token = escape(self.raw.title), escape(token_name(self.raw.tokens[self.raw.query]))
        return mark_safe(  # noqa: S308 (everything from outside is escaped)
            f'<li id="row-{self.raw.row}"><p class="text">{self.tokens}</p><p class="soft about">'
            f'<strong class="mono">{short(self.raw.score)}</strong> {escape(self.sentence)} · {title} · '
            f'<a data-keeps-query href="{escape(self.toggle_url)}">{"excerpt" if self.is_full else "full text"}'
            f'<span class="hidden"> of {title}</span></a> · '
            f'<a href="{escape(self.own_text_url)}">run as own text<span class="hidden">: {title}</span></a> · '
            f'<a href="{escape(self.note_url)}" rel="nofollow">note on “{token}”'
            f'<span class="hidden"> in {title}</span></a></p></li>'
        )

    @property
    def sentence(self) -> str:
        """The same without shades."""
        raw = self.raw
        query, key = token_name(raw.tokens[raw.query]), token_name(raw.tokens[raw.strongest])
        return f"“{query}”, position {raw.query}, attends to “{key}”, position {raw.strongest}"


@dataclasses.dataclass(frozen=True)
class Histogram:
    """In how many rows a head's largest attention outside the first token lies in each of equal bins of [0, 1]."""

    counts: list[int]

    @property
    def highest(self) -> int:
        return max(self.counts) or 1

    @property
    def edges(self) -> list[tuple[float, float]]:
        n = len(self.counts)
        return [(i / n, (i + 1) / n) for i in range(n)]

    @property
    def rows(self) -> SafeString:
        """The rows of a table: lower edge, upper edge and count of the bins that are not empty."""
        pairs = zip(self.edges, self.counts, strict=True)
        return table_rows([f"{low:.2f}", f"{high:.2f}", f"{count:,}"] for (low, high), count in pairs if count)

    @property
    def path(self) -> str:
        """All bars in a drawing 400 wide and 80 high, as one SVG path."""
        step = 400 / len(self.counts)
        heights = [round(76 * count / self.highest, 1) for count in self.counts]
        return "".join(f"M{i * step:g} 80v-{height:g}h19v{height:g}z" for i, height in enumerate(heights) if height)


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples that the URL asks for, and the histogram; or why there are none."""

    tabs: list[Tab]
    interval: str
    shown: list[Example]
    histogram: Histogram | None
    n_rows: int
    dataset: str
    missing: str = ""  # what the URL names and is not here
    absent: str = ""


def depth_of(measurements: Measurements) -> tuple[SurveyResult | None, str]:
    """The survey that has examples and tokens, or why there is none."""
    result = measurements.natural
    if result is None:
        return None, measurements.why_not_natural
    if "rows.safetensors" not in result.artifact.files:
        return None, f"not kept: the pinned survey of {result.spec.dataset} is not one in depth."
    return result, ""


def read_examples(
    result: SurveyResult, component: Component, texts: TokenTexts, chosen: slice = slice(None)
) -> list[RawExample]:
    """A head's examples in the order in which they are kept; what is not there (row −1) is left out."""
    rows, scores, queries, weights = (result.of_component(name, component)[chosen] for name in _ARRAYS)
    found = [i for i, row in enumerate(rows.tolist()) if row >= 0]
    of_rows = result.rows_of(int(rows[i]) for i in found)
    if texts.vocabulary is None:
        raise StoreError(texts.absent)
    names = iter(texts.vocabulary.texts(np.concatenate([tokens for tokens, _ in of_rows]))) if found else iter(())
    return [
        RawExample(
            row=int(rows[i]),
            title=title,
            score=float(scores[i]),
            query=int(queries[i]),
            tokens=[next(names) for _ in ids],
            weights=weights[i, : len(ids)] / 255,
        )
        for i, (ids, title) in zip(found, of_rows, strict=True)
    ]


def read_histogram(result: SurveyResult, component: Component) -> Histogram:
    return Histogram(result.of_component("histogram", component).tolist())


def excerpt(raw: RawExample) -> list[range]:
    """The tokens around the query and around its strongest keys, as runs."""
    keys = [int(key) for key in np.argsort(-raw.weights, kind="stable")[:N_KEYS] if raw.weights[key] > 0]
    wanted: set[int] = set()
    for position, (before, after) in [(raw.query, AROUND_QUERY), *((key, AROUND_KEY) for key in keys)]:
        wanted |= set(range(max(0, position - before), min(len(raw.tokens), position + after + 1)))
    return _runs(sorted(wanted))


def _runs(positions: Sequence[int]) -> list[range]:
    runs: list[range] = []
    for position in positions:
        if runs and runs[-1].stop == position:
            runs[-1] = range(runs[-1].start, position + 1)
        else:
            runs.append(range(position, position + 1))
    return runs


def require_interval(asked: str, component: Component, model: LanguageModel) -> str:
    """The interval that the URL names, without one the first; 404 with a sentence where it names another."""
    if asked and asked not in INTERVALS:
        raise NotFound(
            f"Looking for examples of {component}: expected one of {', '.join(INTERVALS)}, got “{asked[:80]}”.",
            slug=model.slug,
        )
    return asked or FIRST


def examples_of(
    measurements: Measurements, model: LanguageModel, component: Component, state: State, texts: TokenTexts
) -> Examples:
    """The examples of the interval that the URL names, one of them in full where it says so."""
    dataset = measurements.natural_dataset
    asked = state.parts.get("examples", FIRST)
    interval = asked if asked in INTERVALS else FIRST
    tabs = [
        Tab(
            label, state.having(examples="" if name == FIRST else name, example="").url(at="examples"), name == interval
        )
        for name, (label, _) in INTERVALS.items()
    ]
    full = state.parts.get("example", "")
    missing = "" if asked in INTERVALS else f"the examples “{asked[:80]}”"
    result, absent = depth_of(measurements)
    if result is None:
        missing = missing or (f"the example of row “{full[:80]}”" if full else "")
        return Examples(tabs, interval, [], None, 0, dataset, absent=absent, missing=missing)
    try:
        histogram = read_histogram(result, component)
        raw = read_examples(result, component, texts, INTERVALS[interval][1])
    except StoreError as error:
        return Examples(tabs, interval, [], None, 0, dataset, absent=str(error), missing=missing)
    if full and full not in [str(example.row) for example in raw]:
        missing = missing or f"the example of row “{full[:80]}”"
    own_text = f"{reverse('model', args=[model.slug])}text/"
    note = {"about": f"{model.slug}/{component}", "anchor": "token", "examples": interval}
    note |= {"survey": state.parts["survey"]} if "survey" in state.parts else {}
    noting = f"{reverse('new-note')}?{urlencode(note)}"
    shown = [
        _shown(example, state, family=model.family, own_text=own_text, noting=noting, is_full=str(example.row) == full)
        for example in raw
    ]
    return Examples(tabs, interval, shown, histogram, result.spec.rows, dataset, missing=missing)


def _shown(raw: RawExample, state: State, *, family: str, own_text: str, noting: str, is_full: bool) -> Example:
    levels = attention_levels(raw.weights).tolist()
    runs = [range(len(raw.tokens))] if is_full else excerpt(raw)
    # the site's reading of a text puts BOS before it
    text = urlencode({"text": typed_text(family, raw.tokens[1:])}, quote_via=quote)
    return Example(
        raw=raw,
        tokens=shaded_tokens(raw.tokens, levels, runs=runs, query=raw.query),
        is_full=is_full,
        toggle_url=state.having(example="" if is_full else str(raw.row)).url(at=f"row-{raw.row}"),
        own_text_url=f"{own_text}?{text}",
        note_url=f"{noting}&row={raw.row}&position={raw.query}",
    )
