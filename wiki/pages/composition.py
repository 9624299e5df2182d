"""Which earlier heads a head reads from, by its weights, beside what weights without structure would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from django.utils.safestring import SafeString

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError

from .measurements import Measurements
from .numbers import short
from .shading import linked_heads

N_SHOWN = 5
KINDS = {"q": "Q-composition", "k": "K-composition", "v": "V-composition"}
READS = {"q": "queries", "k": "keys", "v": "values"}


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An earlier head and how much of what it writes is read."""

    component: Component
    ratio: float

    @property
    def figure(self) -> str:
        return short(self.ratio, decimals=3)


@dataclasses.dataclass(frozen=True)
class OneKind:
    """The strongest earlier heads for queries, keys or values."""

    key: str
    heads: list[Neighbour]
    url_of: Callable[[Component], str]
    offset: int | None  # how many positions the key is before the query; None where that makes no difference
    absent: str = ""

    @property
    def label(self) -> str:
        return KINDS[self.key]

    @property
    def reads(self) -> str:
        return READS[self.key]

    @property
    def links(self) -> SafeString:
        return linked_heads([(head.component, head.figure) for head in self.heads[:N_SHOWN]], url_of=self.url_of)


@dataclasses.dataclass(frozen=True)
class Compositions:
    """All three kinds of composition, or why nothing is known."""

    kinds: list[OneKind]
    mean: float = 0.0  # of the baseline
    deviation: float = 0.0
    absent: str = ""

    @property
    def offset(self) -> int | None:
        return next((kind.offset for kind in self.kinds if kind.offset is not None), None)

    @property
    def baseline(self) -> str:
        return f"{short(self.mean, decimals=4)} ± {short(self.deviation, decimals=4)}"

    def to_json(self) -> dict[str, Any]:
        if self.absent:
            return {"absent": self.absent}
        kinds = {
            kind.key: {"absent": kind.absent}
            if kind.absent
            else {"offset": kind.offset, "heads": [[str(head.component), head.ratio] for head in kind.heads]}
            for kind in self.kinds
        }
        return {"baseline": {"mean": self.mean, "standard_deviation": self.deviation}, **kinds}


def compositions_of(measurements: Measurements, model: LanguageModel, component: Component) -> Compositions:
    """The ten strongest earlier heads of each kind, at the first of the offsets that the weights were read at."""
    result = measurements.weights.result
    if result is None:
        return Compositions([], absent=measurements.weights.absent)
    meta, file = result.artifact.meta, f"layer-{component.layer}"
    url_of = measurements.url_of
    kinds = []
    try:
        for key in KINDS:
            if reason := meta["absent"].get(f"{key}_composition"):
                kinds.append(OneKind(key, [], url_of, None, reason))
                continue
            ratios, heads = (
                result.read(f"head.{key}_composition{end}", (component.head, 0), file=file).tolist()
                for end in ("", "_heads")
            )
            found = [
                Neighbour(Component(head // model.n_heads, head=head % model.n_heads), ratio)
                for head, ratio in zip(heads, ratios, strict=True)
                if head >= 0
            ]
            reason = "" if found else "no head comes before this one."
            kinds.append(OneKind(key, found, url_of, None if key == "v" else meta["offsets"][0], reason))
    except StoreError as error:
        return Compositions([], absent=str(error))
    baseline = meta["baseline"]
    return Compositions(kinds, baseline["mean"], baseline["standard_deviation"])
