"""A component in a few words, for who points at a link to it."""

from __future__ import annotations

import dataclasses

from analysis.metrics import METRICS, Metric
from analysis.schema import Component, ComponentKind
from wiki.components.models import LanguageModel
from wiki.texts.access import Person, links_visible_to, pages_visible_to
from wiki.texts.models import Kind, Visibility
from wiki.texts.rendering import first_sentence_of

from .layer_metrics import layer_metrics
from .lead import extremes
from .measurements import Measurements, measurements_of
from .neuron_values import values_of
from .numbers import with_small_error
from .ranks import ordinal
from .reading import reading_once

LONGEST = 220  # characters of a summary


@dataclasses.dataclass(frozen=True)
class Standing:
    """A number and its place among all components of its kind."""

    metric: Metric
    figure: str  # with standard error and unit
    rank: int  # from the highest
    of: int

    @property
    def place(self) -> str:
        """`1st of 270`; in the lower half counted from below, as `2nd lowest of 270`."""
        from_below = self.of + 1 - self.rank
        if self.rank <= from_below:
            return f"{ordinal(self.rank)} of {self.of:,}"
        return f"{'' if from_below == 1 else f'{ordinal(from_below)} '}lowest of {self.of:,}"

    @property
    def distance(self) -> int:
        """How many lie between it and the nearer end."""
        return min(self.rank - 1, self.of - self.rank)


@dataclasses.dataclass(frozen=True)
class Card:
    component: Component
    model: LanguageModel
    sentence: str  # of its summary; empty where nobody has written one
    standing: Standing | None  # its most extreme metric
    absent: str  # why there is none
    n_notes: int
    n_links: int  # of pages


def card_of(model: LanguageModel, component: Component, *, user: Person) -> Card:
    """What is said and measured of a component, as `user` may see it."""
    about, visible = {"model_slug": model.slug, "component": str(component)}, pages_visible_to(user)
    shown = visible.filter(**about).exclude(visibility=Visibility.RETRACTED)
    summary = shown.filter(kind=Kind.SUMMARY).select_related("current").first()
    with reading_once():
        measurements = measurements_of(model)
        standing, absent = _standing(measurements, component)
        text = summary.current.text if summary and summary.current else ""
        sentence = first_sentence_of(text, at_most=LONGEST, user=user, model_slug=model.slug)
    # what is about the component links to it without saying more
    own = {f"source__{name}": value for name, value in about.items()}
    links = links_visible_to(user).filter(target=f"{model.slug}/{component}").exclude(**own)
    return Card(
        component,
        model,
        sentence,
        standing,
        absent,
        n_notes=shown.filter(kind=Kind.NOTE).count(),
        n_links=links.values("source").distinct().count(),
    )


def _standing(measurements: Measurements, component: Component) -> tuple[Standing | None, str]:
    """What a component stands out for: a head as its page says it, others by the nearest rank to an end."""
    if component.kind is ComponentKind.HEAD:
        values, absent = measurements.of_head(component)
        named = [extreme.value for extreme in extremes(values, measurements.metrics)][:1] or values.values()
        found = [
            Standing(each.metric, with_small_error(each.metric, each.value, each.error), each.rank, each.of)
            for each in named
        ]
    elif component.kind is ComponentKind.NEURON:
        of_neuron, absent = values_of(measurements, component)
        found = [Standing(each.metric, each.figures, each.rank, each.of) for each in of_neuron]
    elif component.kind is ComponentKind.LAYER:
        layers = layer_metrics(measurements)
        absent, found = layers.absent, []
        for metric in layers.metrics.values():
            value, error = metric.at(component.layer)
            rank = 1 + int((metric.values > value).sum())
            found.append(
                Standing(metric.metric, with_small_error(metric.metric, value, error), rank, len(metric.values))
            )
    else:
        return None, "Nothing is measured of KV heads themselves; their heads have pages."
    reason = next((absent[metric.key] for metric in METRICS if metric.key in absent), "not measured.")
    return min(found, key=lambda each: each.distance, default=None), "" if found else reason
