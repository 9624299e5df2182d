"""Tokens and neurons that have to do with a neuron: by its mean activation, and by its weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from django.utils.safestring import SafeString

from analysis.schema import Component
from wiki.experiments.results import Result, SurveyResult, Vocabulary

from .markup import join_markup
from .measurements import Measurements
from .numbers import short
from .shading import visible

_DIRECT = "on the direct path from the embedding, without what positions and earlier layers add"
# Arrays of tokens and of values in the reading of weights, and what a page calls them.
_LISTS = (
    ("promoted_tokens", "promoted_logits", "promoted", "logits that one unit of activation adds, final norm at 1"),
    (
        "suppressed_tokens",
        "suppressed_logits",
        "suppressed",
        "logits that one unit of activation adds, final norm at 1",
    ),
    ("input_tokens", "input_values", "exciting", f"pre-activation {_DIRECT}"),
    ("gate_tokens", "gate_values", "exciting the gate", f"gate pre-activation {_DIRECT}"),
    ("up_tokens", "up_values", "exciting the up input", f"up input {_DIRECT}"),
    ("up_negative_tokens", "up_negative_values", "lowest up input", f"up input {_DIRECT}"),
)

_TABLE = '<table class="list"><caption title="{}">{}</caption><tbody>{}</tbody></table>'


@dataclasses.dataclass(frozen=True)
class TokenList:
    """Tokens with a value each, strongest first."""

    key: str
    label: str
    meaning: str
    texts: list[str]
    values: list[float]
    counts: list[int] | None = None  # how often each is seen

    @property
    def markup(self) -> SafeString:
        """A table: the token, its value and, where it is known, how often it is seen."""
        cells = zip(map(visible, self.texts), map(short, self.values), strict=True)
        if self.counts is None:
            rows = join_markup('<tr><td class="mono token-text">{}</td><td class="mono">{}</td></tr>', cells)
        else:
            rows = join_markup(
                '<tr><td class="mono token-text">{}</td><td class="mono">{}</td><td class="soft">{}×</td></tr>',
                ((text, value, f"{count:,}") for (text, value), count in zip(cells, self.counts, strict=True)),
            )
        return join_markup(_TABLE, [(self.meaning, self.label, rows)])

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"tokens": self.texts, "values": self.values, "meaning": self.meaning}
        return data if self.counts is None else data | {"counts": self.counts}


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The neurons of the model that are most like one, by the cosine of what they read or write."""

    key: str
    label: str
    neurons: list[tuple[Component, str, float]]  # with the address and the cosine

    @property
    def markup(self) -> SafeString:
        rows = join_markup(
            '<tr><td><a href="{}">{}</a></td><td class="mono">{}</td></tr>',
            ((url, component, short(cosine)) for component, url, cosine in self.neurons),
        )
        return join_markup(_TABLE, [("cosine of the directions", f"{self.label}, cosine", rows)])

    def to_json(self) -> list[dict[str, Any]]:
        return [{"neuron": str(component), "cosine": cosine} for component, _, cosine in self.neurons]


def mean_tokens(result: SurveyResult, vocabulary: Vocabulary, component: Component) -> list[TokenList]:
    """The tokens with the highest and with the lowest mean activation, and how often each is seen."""
    tokens, means = (result.of_component(name, component) for name in ("tokens", "token_means"))
    texts, counts = vocabulary.texts(tokens), result.token_counts(tokens).tolist()
    half = len(tokens) // 2
    return [
        TokenList(key, label, "mean activation", texts[part], means[part].tolist(), counts[part])
        for key, label, part in (
            ("highest", "highest mean", slice(0, half)),
            ("lowest", "lowest mean", slice(half, None)),
        )
    ]


def weight_tokens(result: Result, vocabulary: Vocabulary, component: Component) -> list[TokenList]:
    """What the neuron promotes and suppresses, and what excites it: of gated neurons gate and up input apart."""
    file = f"layer-{component.layer}"
    names = set(result.names(file=file))
    found = [entry for entry in _LISTS if f"neuron.{entry[0]}" in names]
    tokens = [result.read(f"neuron.{entry[0]}", component.neuron, file=file) for entry in found]
    values = [result.read(f"neuron.{entry[1]}", component.neuron, file=file) for entry in found]
    there = [some[some >= 0] for some in tokens]  # a small vocabulary has fewer than are asked for
    texts = vocabulary.texts(np.concatenate(there)) if there else []
    lists, start = [], 0
    for (key, _, label, meaning), some, numbers in zip(found, there, values, strict=True):
        stop = start + len(some)
        lists.append(TokenList(key, label, meaning, texts[start:stop], numbers[: len(some)].tolist()))
        start = stop
    return lists


def nearest_neurons(result: Result, measurements: Measurements, component: Component) -> list[Neighbours]:
    """The neurons that read, and that write, the most similar directions."""
    file = f"layer-{component.layer}"
    names = set(result.names(file=file))
    found, d_mlp = [], measurements.model.d_mlp
    for key, label in (("input", "reads alike"), ("output", "writes alike")):
        if f"neuron.nearest_{key}_neurons" not in names:
            continue
        numbers = result.read(f"neuron.nearest_{key}_neurons", component.neuron, file=file).tolist()
        cosines = result.read(f"neuron.nearest_{key}_cosines", component.neuron, file=file).tolist()
        neurons = [Component(number // d_mlp, neuron=number % d_mlp) for number in numbers if number >= 0]
        rows = [(neuron, measurements.url_of(neuron), cosine) for neuron, cosine in zip(neurons, cosines, strict=False)]
        found.append(Neighbours(key, label, rows))
    return found
