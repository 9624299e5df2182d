"""The attention patterns of all heads of a layer on one text, small."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from analysis.schema import Component

from .attention import Text
from .levels import attention_levels
from .measurements import Measurements
from .numbers import short
from .shading import token_name
from .state import State


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    """One head on the chosen text, in words; its drawing is made of bytes that the page's element fetches."""

    component: Component
    url: str  # of the head's page with the same text
    weight: float  # the strongest attention to a key other than the first token
    query: int
    key: int
    query_name: str
    key_name: str

    @property
    def sentence(self) -> str:
        if not self.weight:
            return "all on the first token"
        return f"{short(self.weight)} from “{self.query_name}” {self.query} to “{self.key_name}” {self.key}"

    def to_json(self) -> dict[str, Any]:
        return {"weight": self.weight, "query": self.query, "key": self.key}


def bytes_url(text: Text, layer: int) -> str:
    """Where the patterns of all heads of a layer on a text are, as bytes [head, dest, src]."""
    return text.layer_url(layer)


def thumbnails_of(text: Text, measurements: Measurements, layer: int) -> list[Thumbnail]:
    """Each head's strongest attention off the first token on a text."""
    patterns = text.result.layer_patterns(text.row.index, layer)
    tokens, page = text.row.tokens, measurements.model_url
    query = State.of({"survey": measurements.survey, "text": text.key}).query
    n = len(tokens)
    strongest = patterns[:, :, 1:].reshape(len(patterns), -1).argmax(1).tolist()
    found = []
    for head, place in zip(measurements.model.heads(layer), strongest, strict=True):
        dest, src = place // (n - 1), place % (n - 1) + 1
        found.append(
            Thumbnail(
                component=head,
                url=f"{page}{head}/?{query}",
                weight=float(patterns[head.head, dest, src]) / 255,
                query=dest,
                key=src,
                query_name=token_name(tokens[dest]),
                key_name=token_name(tokens[src]),
            )
        )
    return found


def pattern_paths(pattern: np.ndarray) -> list[tuple[int, str]]:
    """A pattern as path data by shade: squares of side 1, row = query, column = key."""
    levels = attention_levels(pattern / 255)
    paths = []
    for level in range(1, int(levels.max()) + 1):
        queries, keys = np.nonzero(levels == level)
        if queries.size:
            squares = zip(queries.tolist(), keys.tolist(), strict=True)
            paths.append((level, "".join(f"M{key} {query}h1v1h-1z" for query, key in squares)))
    return paths
