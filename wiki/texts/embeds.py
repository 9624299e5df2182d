"""Where texts get what they embed from. Texts know no measurements: who does registers itself here."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from django.http import QueryDict

from analysis.schema import Component
from wiki import markdown
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment

# The first so many of a text are filled in; what comes after them is a link.
MAX_FIGURES, MAX_NUMBERS = 20, 200


@dataclasses.dataclass(frozen=True)
class EmbeddedExperiment:
    """An experiment of which a text embeds what came out."""

    experiment: Experiment
    is_number = True  # within a sentence
    is_link = False


@dataclasses.dataclass(frozen=True)
class Embed:
    """Something of a model that a text embeds."""

    model: LanguageModel
    component: Component | None  # None: of the model as a whole
    query: str  # or, where it was written with “#” for “?”, that and what follows it
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
    def is_link(self) -> bool:
        """Whether it is a link alone, if all that it asks for is known: figures need a paragraph of their own."""
        return not self.is_number and not self.alone


# What is left out of the answer is a link.
Embedded = Embed | EmbeddedExperiment
Fill = Callable[[Sequence[Embedded]], Mapping[Embedded, markdown.Filling]]

_registered: list[Fill] = []


def fills_embeds(fill: Fill) -> Fill:
    """Register what fills embeds, once a process."""
    _registered[:] = [fill]
    return fill


def filled(embeds: Iterable[Embedded]) -> Mapping[Embedded, markdown.Filling]:
    """What the first of these embeds show."""
    distinct = list(dict.fromkeys(embeds))
    numbers = [embed for embed in distinct if embed.is_number][:MAX_NUMBERS]
    of_models = [embed for embed in distinct if isinstance(embed, Embed) and not embed.is_number]
    figures = [embed for embed in of_models if embed.alone][:MAX_FIGURES]
    links = [embed for embed in of_models if embed.is_link and embed.query][:MAX_NUMBERS]
    shown = [*numbers, *figures, *links]
    return _registered[0](shown) if _registered and shown else {}
