"""All heads of a model ranked by how much they attend from one token of a text to another."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.http import HttpRequest
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString, mark_safe

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError

from .attention import Text
from .downloads import Figure, figure
from .errors import NotFound
from .levels import attention_levels
from .numbers import short
from .own_text import OwnText, kept_texts, own_text
from .ranks import ranks_from_top
from .shading import token_name, visible

N_ROWS = 20
N_KEYS = 6


@dataclasses.dataclass(frozen=True)
class Pair:
    """A query and a key as the URL names them, or less."""

    query: int | None = None
    key: int | None = None
    missing: str = ""  # what the URL names and this text does not have

    @property
    def is_whole(self) -> bool:
        return self.key is not None

    def url(self, **changes: int | str | None) -> str:
        """The address of the same page with other positions; without any the page's own, which ends with a slash."""
        parts = {"q": self.query, "k": self.key} | changes
        query = urlencode({name: value for name, value in parts.items() if value is not None})
        return f"?{query}#pair" if query else "./"


def read_pair(text: Text, *, query: str, key: str) -> Pair:
    """The pair that `?q=` and `?k=` name; in most models a key comes at or before its query."""
    n = len(text.row.tokens)
    if not query:
        return Pair(missing="a key (k=) without its query (q=)" if key else "")
    if query not in map(str, range(n)):
        return Pair(missing=f"position “{query[:80]}” of this text")
    if not key:
        return Pair(int(query))
    if key not in map(str, text.keys_of(int(query))):
        return Pair(int(query), missing=f"position “{key[:80]}” {text.where_keys_are}")
    return Pair(int(query), int(key))


@dataclasses.dataclass(frozen=True)
class Token:
    """A token of the text, as a link that makes it the query or, once there is one, the key."""

    position: int
    text: str
    level: int
    url: str  # empty where it comes after the query
    role: str  # "query", "key", "both" or ""
    words: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A head in the ranking."""

    rank: int
    component: Component
    url: str
    figure: str


@dataclasses.dataclass(frozen=True)
class Likely:
    """A key that some head attends to from the query."""

    position: int
    name: str
    url: str
    figure: str
    component: Component


@dataclasses.dataclass(frozen=True)
class WhoAttends:
    """Everything that the page shows of one text and a pair of its tokens."""

    text: Text
    pair: Pair
    tokens: list[Token]
    likely: list[Likely]  # where only the query is chosen
    rows: list[Row]
    map: list[tuple[int, SafeString]]  # by layer, the cells of its heads; empty without a pair
    summary: str
    n_heads: int  # of the model

    @property
    def query_name(self) -> str:
        assert self.pair.query is not None
        return token_name(self.text.row.tokens[self.pair.query])

    @property
    def key_name(self) -> str:
        assert self.pair.key is not None
        return token_name(self.text.row.tokens[self.pair.key])

    @property
    def heads(self) -> range:
        """The heads of a layer."""
        return range(self.n_heads // max(1, len(self.map)))

    @property
    def other_query_url(self) -> str:
        return self.pair.url(q=None, k=None)

    @property
    def other_key_url(self) -> str:
        return self.pair.url(k=None)

    @property
    def all_url(self) -> str:
        return self.pair.url(all="1")

    @property
    def fewer_url(self) -> str:
        return self.pair.url()

    @property
    def figure_query(self) -> str:
        """What the addresses of the figure's files need."""
        return urlencode({"text": self.text.key, "q": self.pair.query, "k": self.pair.key})


def who_attends(model: LanguageModel, text: Text, pair: Pair, *, all_rows: bool = False) -> WhoAttends:
    """Read what every head attends to from the query; `StoreError` where the patterns cannot be read."""
    if pair.query is None:
        return WhoAttends(text, pair, _tokens(text, pair, None), [], [], [], "", model.n_all_heads)
    attention = text.result.attention_from(text.row.index, pair.query)  # uint8 [layer, head, src]
    most = attention.max((0, 1)) / 255
    tokens = _tokens(text, pair, most)
    if pair.key is None:
        likely = _likely(text, pair, attention)
        return WhoAttends(text, pair, tokens, likely, [], [], "", model.n_all_heads)
    weights = attention[:, :, pair.key] / 255
    return WhoAttends(
        text,
        pair,
        tokens,
        [],
        _rows(model, text, pair, weights, n=model.n_all_heads if all_rows else N_ROWS),
        _map(model, text, pair, weights),
        _summary(weights),
        model.n_all_heads,
    )


def _tokens(text: Text, pair: Pair, most: np.ndarray | None) -> list[Token]:
    levels = attention_levels(most) if most is not None else None
    tokens = []
    for position, token in enumerate(text.row.tokens):
        is_query, is_key = position == pair.query, position == pair.key
        words = f"position {position}"
        if pair.query is None:
            url = pair.url(q=position)
        elif position not in text.keys_of(pair.query):
            url, words = "", f"{words}, after the query"
        else:
            assert most is not None
            url, words = pair.url(k=position), f"{words}, at most {short(float(most[position]))}"
        tokens.append(
            Token(
                position,
                visible(token),
                0 if levels is None else int(levels[position]),
                url,
                "both" if is_query and is_key else "query" if is_query else "key" if is_key else "",
                f"{words}{', the query' if is_query else ''}{', the key' if is_key else ''}",
            )
        )
    return tokens


def _likely(text: Text, pair: Pair, attention: np.ndarray) -> list[Likely]:
    """The keys that some head attends to most, with that head."""
    flat = attention.reshape(-1, attention.shape[-1])
    most, heads = flat.max(0), flat.argmax(0)
    order = np.argsort(-most.astype(int), kind="stable")[:N_KEYS]
    return [
        Likely(
            int(key),
            token_name(text.row.tokens[key]),
            pair.url(k=int(key)),
            short(float(most[key] / 255)),
            Component(*divmod(int(heads[key]), attention.shape[1])),
        )
        for key in order
        if most[key] > 0
    ]


def head_url(model: LanguageModel, text: Text, pair: Pair) -> tuple[str, str]:
    """What stands before and after a head's name in the address of its page with this text and query."""
    query = urlencode({"text": text.key, "q": pair.query})
    return model.get_absolute_url(), f"/?{query}#attends"


def _rows(model: LanguageModel, text: Text, pair: Pair, weights: np.ndarray, *, n: int) -> list[Row]:
    before, after = head_url(model, text, pair)
    ranks = ranks_from_top(weights).ravel()
    rows = []
    for component in ranked(weights)[:n]:
        at = component.layer * weights.shape[1] + (component.head or 0)
        figure_text = short(float(weights.flat[at]))
        rows.append(Row(int(ranks[at]), component, f"{before}{component}{after}", figure_text))
    return rows


def ranked(weights: np.ndarray) -> list[Component]:
    """Heads from the most attention to the least, equals in order of address; `weights` is [layer, head]."""
    order = np.argsort(-weights.ravel(), kind="stable")
    return [Component(int(i) // weights.shape[1], head=int(i) % weights.shape[1]) for i in order]


def _map(model: LanguageModel, text: Text, pair: Pair, weights: np.ndarray) -> list[tuple[int, SafeString]]:
    """Each layer with the cells of its heads: whole, because a template takes 40 µs a cell."""
    before, after = map(escape, head_url(model, text, pair))
    levels, ranks = attention_levels(weights).tolist(), ranks_from_top(weights).tolist()
    cell = "<td><a class='a{}' href='{}{}{}' title='{}' aria-label='{}'>{}</a></td>".replace("'", '"')
    rows = []
    for layer, values in enumerate(weights.tolist()):
        cells = []
        for head, value in enumerate(values):
            name, figure_text = f"L{layer}H{head}", escape(short(value))
            words = mark_safe(f"{name}: attention {figure_text}, rank {ranks[layer][head]:,} of {weights.size:,}")  # noqa: S308
            cells.append((levels[layer][head], before, name, after, words, words, figure_text))
        rows.append((layer, format_html_join("", cell, cells)))
    return rows


def _summary(weights: np.ndarray) -> str:
    best = ranked(weights)[0]
    most = float(weights.max())
    if most == 0:
        return f"None of the {weights.size:,} heads gives it a 255th of its attention."
    half, tenth = (int((weights > share).sum()) for share in (0.5, 0.1))
    return (
        f"The most is {short(most)}, by {best}. {half:,} of {weights.size:,} heads give it more than .50, {tenth:,} "
        f"more than .10; the mean over all heads is {short(float(weights.mean()))}."
    )


def who_attends_json(model: LanguageModel, text: Text, pair: Pair) -> dict[str, Any]:
    """What the page shows, every head of it: `most` is the most that any head attends from the query to each key."""
    data: dict[str, Any] = {
        "model": {"slug": model.slug, "hash": model.hash},
        "text": text.key,
        "title": text.row.title,
        "tokens": text.row.tokens,
        "query": pair.query,
        "key": pair.key,
    }
    if pair.query is not None:
        attention = text.result.attention_from(text.row.index, pair.query)
        data["most"] = [round(value, 4) for value in (attention.max((0, 1)) / 255).tolist()]
        if pair.key is not None:
            weights = attention[:, :, pair.key] / 255
            data["heads"] = {str(head): round(float(weights[head.layer, head.head]), 4) for head in ranked(weights)}
    return data


@figure("model", "who-attends")
def who_attends_figure(request: HttpRequest, model: LanguageModel, component: Component | None) -> Figure:
    """The map of `?text=`, `?q=` and `?k=`."""
    name = request.GET.get("text", "")
    text = own_text(model, name) or next((text for text in kept_texts(model) if text.key == name), None)
    if text is None:
        raise NotFound(f"Drawing who attends: expected a text of {model.slug}, got “{name[:80]}”.", slug=model.slug)
    pair = read_pair(text, query=request.GET.get("q", ""), key=request.GET.get("k", ""))
    if pair.query is None or pair.key is None:
        raise NotFound("Drawing who attends: expected positions of a query and a key (q=, k=).", slug=model.slug)
    try:
        weights = text.result.attention_from(text.row.index, pair.query)[:, :, pair.key] / 255
    except StoreError as error:
        raise NotFound(str(error), slug=model.slug) from error
    query, key = (token_name(text.row.tokens[position]) for position in (pair.query, pair.key))
    title = (
        f"Attention from “{query}”, position {pair.query}, to “{key}”, position {pair.key}, of “{text.row.title}” "
        f"by every head of {model.title}"
    )
    levels = attention_levels(weights)
    n_layers, n_heads = weights.shape
    return Figure(
        title=title,
        columns=("head", "attention", "rank"),
        rows=[
            (str(head), round(float(weights[head.layer, head.head]), 4), rank)
            for head in ranked(weights)
            for rank in [int(ranks_from_top(weights)[head.layer, head.head])]
        ],
        template="pages/figures/who_attends.svg",
        context={
            "cells": [
                {
                    "x": 44 + 30 * head,
                    "y": 66 + 20 * layer,
                    "opacity": f"{levels[layer, head] / 20:.2f}",
                    "title": f"L{layer}H{head}: {short(float(weights[layer, head]))}",
                }
                for layer in range(n_layers)
                for head in range(n_heads)
            ],
            "layers": [(layer, 80 + 20 * layer) for layer in range(n_layers)],
            "heads": [(head, 58 + 30 * head) for head in range(n_heads)],
            "shades": [(44 + 12 * shade, f"{shade / 20:.2f}") for shade in range(21)],
            "width": max(800, 60 + 30 * n_heads),
            "height": 126 + 20 * n_layers,
            "legend_y": 78 + 20 * n_layers,
            "lines": _lines(title),
        },
        source=source_of(text),
    )


def _lines(title: str) -> list[str]:
    """A title in two lines."""
    before, by, after = title.partition(" by every head")
    return [before if len(before) < 100 else f"{before[:99]}…", f"{by}{after}".strip()]


def source_of(text: Text, *, digits: int = 64) -> str:
    """Where the patterns of a text come from, in one line, with so many digits of each hash."""
    if isinstance(text, OwnText):
        spec = text.prompt.spec
        return f"text {text.prompt.hash[:digits]}, model {spec['model_hash'][:digits]}, code {spec['code']}"
    survey = text.result.spec
    hashes = {"survey": survey.hash, "model": survey.model_hash, "dataset": survey.dataset_hash}
    return f"{', '.join(f'{name} {value[:digits]}' for name, value in hashes.items())}, code {survey.code}"
