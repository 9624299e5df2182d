"""Where texts get what they embed from. Texts know no measurements: who does registers itself here."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from django.http import QueryDict

from analysis.schema import Component
from wiki import markdown
from wiki.components.models import LanguageModel

# The first so many of a text are filled in; what comes after them is a link.
MAX_FIGURES, MAX_NUMBERS = 20, 200


@dataclasses.dataclass(frozen=True)
class Embed:
    """Something of a model that a text embeds."""

    model: LanguageModel
    component: Component | None  # None: of the model as a whole
    query: str
    alone: bool  # it is all of its paragraph

    @functools.cached_property
    def asked(self) -> dict[str, str]:
        """The parameters of its query."""
        return QueryDict(self.query).dict()

    @property
    def is_number(self) -> bool:
        """Whether a metric of a part is named: a model's metric is a map of all its heads."""
        return self.component is not None and "metric" in self.asked and "figure" not in self.asked

    @property
    def is_shown(self) -> bool:
        """Whether it is anything but a link: figures need a paragraph of their own."""
        return self.is_number or self.alone


# What is left out of the answer is a link.
Fill = Callable[[Sequence[Embed]], Mapping[Embed, markdown.Filling]]

_registered: list[Fill] = []


def fills_embeds(fill: Fill) -> Fill:
    """Register what fills embeds, once a process."""
    _registered[:] = [fill]
    return fill


def filled(embeds: Iterable[Embed]) -> Mapping[Embed, markdown.Filling]:
    """What the first of these embeds show."""
    shown = [embed for embed in dict.fromkeys(embeds) if embed.is_shown]
    numbers = [embed for embed in shown if embed.is_number][:MAX_NUMBERS]
    figures = [embed for embed in shown if not embed.is_number][:MAX_FIGURES]
    return _registered[0](numbers + figures) if _registered and shown else {}
