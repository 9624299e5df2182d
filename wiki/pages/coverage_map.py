"""The map of a model on which one sees what nobody has written about."""

from __future__ import annotations

import dataclasses
from html import escape

from django.utils.safestring import SafeString, mark_safe

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.coverage.counting import Coverage, State

from .measurements import Measurements

# What stands in a cell, so that colour alone says nothing.
SIGNS = {State.NOTHING: "·", State.NOTES: "n", State.SUMMARY: "S"}
# Shades of the maps' scale.
CLASSES = {State.NOTHING: "a0", State.NOTES: "a6", State.SUMMARY: "a18"}


@dataclasses.dataclass(frozen=True)
class CoverageCell:
    """A layer or one of its heads."""

    component: Component
    state: State
    n_notes: int
    workers: list[str]

    @property
    def sign(self) -> str:
        """`S`, how many notes, or a dot; a star where somebody works."""
        shown = str(self.n_notes) if self.state is State.NOTES else SIGNS[self.state]
        return f"{shown}{'*' if self.workers else ''}"

    @property
    def words(self) -> str:
        notes = f"{self.n_notes} note{'' if self.n_notes == 1 else 's'}" if self.n_notes else ""
        said = " and ".join(filter(None, ["a summary" if self.state is State.SUMMARY else "", notes])) or "nothing yet"
        return f"{self.component}: {said}{self.worked}"

    @property
    def worked(self) -> str:
        return f"; {', '.join(self.workers)} working on it" if self.workers else ""


@dataclasses.dataclass(frozen=True)
class CoverageRow:
    layer: CoverageCell
    heads: list[CoverageCell]
    n_neurons: int  # that anything is written about


@dataclasses.dataclass(frozen=True)
class CoverageMap:
    """Layers × heads, and how many neurons and KV heads are written about."""

    rows: list[CoverageRow]
    n_heads: int  # of each layer
    n_neurons: int  # of the model
    n_neurons_written: int
    n_kv_heads_written: int

    @property
    def cells(self) -> list[CoverageCell]:
        return [cell for row in self.rows for cell in row.heads]

    def n_in(self, state: State) -> int:
        return sum(cell.state is state for cell in self.cells)

    @property
    def sentence(self) -> str:
        summaries, notes = self.n_in(State.SUMMARY), self.n_in(State.NOTES)
        worked = sum(bool(cell.workers) for cell in self.cells)
        return (
            f"Of {len(self.cells):,} heads {summaries:,} have a summary, {notes:,} notes alone, and of "
            f"{self.n_in(State.NOTHING):,} nothing is said; somebody works on {worked:,}. Of {self.n_neurons:,} "
            f"neurons {self.n_neurons_written:,} are written about."
        )


def coverage_map_of(model: LanguageModel, coverage: Coverage) -> CoverageMap:
    def cell(component: Component) -> CoverageCell:
        name = str(component)
        state, n_notes = coverage.state_of(name), coverage.notes.get(name, 0)
        return CoverageCell(component, state, n_notes, coverage.workers_on(name))

    neurons = coverage.neurons
    n_kv_heads = sum(Component.parse(name).kv_head is not None for name in {*coverage.summaries, *coverage.notes})
    rows = [
        CoverageRow(cell(Component(layer)), [cell(head) for head in model.heads(layer)], neurons.get(layer, 0))
        for layer in range(model.n_layers)
    ]
    return CoverageMap(rows, model.n_heads, model.n_all_neurons, sum(neurons.values()), n_kv_heads)


def coverage_rows(measurements: Measurements, drawn: CoverageMap) -> SafeString:
    """The rows of the map's table: a layer, its heads, and its neurons, all as links."""
    base, end = escape(measurements.model_url), escape(measurements.survey_query)
    parts = []
    for row in drawn.rows:
        layer = str(row.layer.component)
        words = escape(row.layer.words)
        parts.append(
            f'<tr><th scope="row"><a class="{CLASSES[row.layer.state]}" href="{base}{layer}/{end}" title="{words}" '
            f'aria-label="{words}">{layer}{"*" if row.layer.workers else ""}</a></th>'
        )
        for cell in row.heads:
            words = escape(cell.words)
            working = " working" if cell.workers else ""
            parts.append(
                f'<td><a class="{CLASSES[cell.state]}{working}" href="{base}{cell.component}/{end}" title="{words}" '
                f'aria-label="{words}">{cell.sign}</a></td>'
            )
        words = f"neurons of {layer}: {row.n_neurons} written about"
        state = CLASSES[State.NOTES if row.n_neurons else State.NOTHING]
        parts.append(
            f'<td><a class="{state}" href="{base}{layer}/{end}#neurons" title="{words}" aria-label="{words}">'
            f"{row.n_neurons or '·'}</a></td></tr>\n"
        )
    return mark_safe("".join(parts))  # noqa: S308 (names of people are escaped above)
