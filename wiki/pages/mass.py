"""Where a head's attention goes, class by class."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from analysis.families import mass_classes
from analysis.metrics import Mass
from analysis.schema import Component
from wiki.experiments.results import StoreError

from .measurements import Measurements
from .numbers import figure_and_error

WIDTH, GAP, NUMBERED = 600, 2, 18  # of the bar; a part as wide as `NUMBERED` has room for its number

DEFINITIONS = {
    Mass.SINK: "key 0, the BOS token",
    Mass.SELF: "the query’s own position",
    Mass.PREVIOUS: "the position just before",
    Mass.DUPLICATE: "an earlier position with the same token",
    Mass.INDUCTION: "just after an earlier position with the same token",
    Mass.NEXT: "the position just after",
    Mass.LATER: "positions after that",
    Mass.OTHER: "all other keys",
}


@dataclasses.dataclass(frozen=True)
class Part:
    """One class of keys."""

    number: int  # from 1: the name of its colour, for who cannot tell colours apart
    mass: Mass
    share: float
    error: float
    x: float
    width: float

    @property
    def figure(self) -> str:
        return figure_and_error(self.share, self.error)[0]

    @property
    def error_figure(self) -> str:
        return figure_and_error(self.share, self.error)[1]

    @property
    def definition(self) -> str:
        return DEFINITIONS[self.mass]

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bar(self) -> str:
        """The part in the bar, with its number where there is room."""
        rect = f'<rect class="m{self.number}" x="{self.x}" y="0" width="{self.width}" height="30"/>'
        if not self.has_room:
            return rect
        number = f'<text x="{self.middle:g}" y="20" text-anchor="middle">{self.number}</text>'
        return f'{rect}<circle cx="{self.middle:g}" cy="15" r="9.5"/>{number}'

    @property
    def row(self) -> str:
        """The part in the table beside the bar."""
        rect = f'<rect class="m{self.number}" width="14" height="14"/>'
        swatch = f'<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">{rect}</svg>'
        return (
            f'<tr><th scope="row">{swatch} {self.number} {self.mass.value}</th><td class="mono">{escape(self.figure)} '
            f'<span class="soft">± {escape(self.error_figure)}</span></td><td class="soft">{self.definition}</td></tr>'
        )

    @property
    def has_room(self) -> bool:
        return self.width >= NUMBERED


@dataclasses.dataclass(frozen=True)
class MassBar:
    """The six parts of a head's attention, or why they are not known."""

    parts: list[Part]
    dataset: str
    absent: str = ""

    @property
    def bar(self) -> SafeString:
        return mark_safe("".join(part.bar for part in self.parts))  # noqa: S308 (numbers)

    @property
    def rows(self) -> SafeString:
        return mark_safe("".join(part.row for part in self.parts))  # noqa: S308 (numbers and our own words)

    @property
    def sentence(self) -> str:
        return ", ".join(f"{part.number} {part.mass.value} {part.figure}" for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        if self.absent:
            return {"absent": self.absent}
        shares = {part.mass.value: {"value": part.share, "error": part.error} for part in self.parts}
        return {"dataset": self.dataset, "shares": shares}


def mass_of(measurements: Measurements, component: Component) -> MassBar:
    dataset, classes = measurements.natural_dataset, mass_classes(measurements.model.family)
    result = measurements.natural
    if result is None:
        return MassBar([], dataset, measurements.why_not_natural)
    try:
        if "head.mass" not in result.names(file="summary"):
            return MassBar([], dataset, f"the pinned survey of {dataset} did not measure it.")
        at = (component.layer, component.head)
        shares, errors = (result.read(name, at, file="summary").tolist() for name in ("head.mass", "head.mass.error"))
    except StoreError as error:
        return MassBar([], dataset, str(error))
    parts, x = [], 0.0
    for number, (mass, share, error_of_share) in enumerate(zip(classes, shares, errors, strict=True), start=1):
        width = share * WIDTH
        parts.append(Part(number, mass, share, error_of_share, round(x, 1), round(max(0.0, width - GAP), 1)))
        x += width
    return MassBar(parts, dataset)
