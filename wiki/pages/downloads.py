"""Every figure of a page as SVG and as CSV, from the same data that the page shows.

A page kind registers its figures by name with `figure`; `views.downloads` serves them at
`/m/<slug>/<component>/figures/<name>.svg` and `.csv` (a model's own at `/m/<slug>/figures/…`).
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string

from analysis.schema import Component
from wiki.components.models import LanguageModel

Cell = str | int | float

# What a spreadsheet takes for the beginning of a formula; and our own mark, so that it can be taken off again.
_FORMULA = ("=", "+", "-", "@", "'")
_MARKED = "text that would begin with = + - @ or ' has one more ' before it"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure: a table, and how it is drawn."""

    title: str  # says what it shows and of what
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    template: str  # of a whole SVG document, with its own colours: it is looked at outside the site
    context: dict[str, Any]
    source: str  # survey, model hash and dataset hash, in one line

    def as_csv(self) -> str:
        """Two comment lines with title and source, the names of the columns, and the rows. Texts are what people typed
        and wrote: none is left to begin like a formula, which a spreadsheet would carry out."""
        out = io.StringIO()
        out.write(f"# {self.title}\n# {self.source}; {_MARKED}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_inert(cell) for cell in row] for row in self.rows)
        return out.getvalue()

    def as_svg(self) -> str:
        return render_to_string(self.template, {"figure": self, **self.context})


def _inert(cell: Cell) -> Cell:
    """A cell that no spreadsheet carries out: numbers as they are, texts marked where they begin like a formula, white
    space that spreadsheets drop apart."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip("\t\r\n").startswith(_FORMULA) else cell


# The component is None for a figure of the whole model.
MakeFigure = Callable[[HttpRequest, LanguageModel, Component | None], Figure]

# By page kind (`model`, `layer`, `head`, `neuron`) and name.
FIGURES: dict[tuple[str, str], MakeFigure] = {}


def figure(kind: str, name: str) -> Callable[[MakeFigure], MakeFigure]:
    """Register what makes a figure of a kind of page."""

    def register(make: MakeFigure) -> MakeFigure:
        FIGURES[kind, name] = make
        return make

    return register
