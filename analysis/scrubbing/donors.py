"""Unscrubbed runs depend on the row alone: each distinct row is run once, and only what is read of it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from analysis.scrubbing.graph import Graph

# Where this share of all rows is to be run, all are.
NEARLY_ALL = 0.85


def kept_name(part: str, at: Sequence[int] | None) -> str:
    """What a part's value is called where it is kept at some positions alone."""
    return part if at is None else f"{part} at {' '.join(str(position) for position in at)}"


def distinct(pieces: Iterable[Int[np.ndarray, " _"]], n_rows: int) -> Int[np.ndarray, " fewer"]:
    """The rows that are in any of these, each once and in order: marks, which are much faster than sorting."""
    return np.flatnonzero(marked(pieces, n_rows))


def marked(pieces: Iterable[Int[np.ndarray, " _"]], n_rows: int) -> Bool[np.ndarray, " rows"]:
    """Whether a row is in any of these."""
    marks = np.zeros(n_rows, dtype=bool)
    for rows in pieces:
        marks[rows] = True
    return marks


def _part_of(name: str) -> tuple[str, list[int] | None]:
    part, is_some, positions = name.partition(" at ")
    return part, [int(position) for position in positions.split()] if is_some else None


class Donors:
    """Values of parts on rows of one dataset, kept between hypotheses on the same graph."""

    def __init__(self, graph: Graph, n_rows: int) -> None:
        self.graph, self.n_rows = graph, n_rows
        self.rows_run = 0
        self.layer_rows = 0  # layers that were computed on rows
        self._kept: dict[str, Tensor] = {}
        self._where: dict[str, Int[np.ndarray, " rows"]] = {}  # −1: not kept
        self._whole: set[str] = set()  # kept of every row

    @property
    def bytes(self) -> int:
        """The memory that is taken."""
        return sum(value.element_size() * value.numel() for value in self._kept.values())

    def clear(self) -> None:
        """Forget all that is kept."""
        self._kept, self._where, self._whole = {}, {}, set()

    def has_all(self, names: Iterable[str]) -> bool:
        """Whether each of these is kept of every row, so that nothing need be looked for."""
        return all(name in self._whole for name in names)

    def missing(self, wanted: Mapping[str, Int[np.ndarray, " some"]]) -> dict[str, Int[np.ndarray, " fewer"]]:
        """The distinct rows that are not kept yet, by part."""
        nowhere = np.full(self.n_rows, -1)
        found = {
            name: np.flatnonzero(marked([rows], self.n_rows) & (self._where.get(name, nowhere) < 0))
            for name, rows in wanted.items()
        }
        return {name: rows for name, rows in found.items() if len(rows)}

    def ensure(self, wanted: Mapping[str, Int[np.ndarray, " some"]], *, may_keep_all: bool = False) -> None:
        """Run what is missing, each row once, in batches; nearly all rows become all, where they may."""
        missing = self.missing(wanted)
        if not missing:
            return
        n_missing = len(distinct(missing.values(), self.n_rows))
        if may_keep_all and n_missing >= NEARLY_ALL * self.n_rows:
            # the others cost little now, and nothing is run for whatever the next hypothesis draws
            missing = self.missing(dict.fromkeys(missing, np.arange(self.n_rows)))
        starts = {name: len(self._kept.get(name, ())) for name in missing}
        for name, rows in missing.items():
            where = self._where.setdefault(name, np.full(self.n_rows, -1))
            where[rows] = starts[name] + np.arange(len(rows))
        all_rows = distinct(missing.values(), self.n_rows)
        marks = {name: marked([rows], self.n_rows) for name, rows in missing.items()}
        size = self.graph.batch
        for batch in np.split(all_rows, range(size, len(all_rows), size)):
            of_batch = {name: of[batch] for name, of in marks.items()}
            of_batch = {name: chosen for name, chosen in of_batch.items() if chosen.any()}
            parts = sorted({_part_of(name)[0] for name in of_batch})
            self.layer_rows += self.graph.cost(batch, parts)
            values = self.graph.run(batch, parts)
            for name, chosen in of_batch.items():
                part, at = _part_of(name)
                value = values[part] if at is None else values[part][:, at]
                value = value if chosen.all() else value[torch.from_numpy(chosen).to(value.device)]
                self._keep(name, batch[chosen], value, of_all=missing[name])
        self.rows_run += len(all_rows)
        self._whole |= {name for name in missing if (self._where[name] >= 0).all()}

    def _keep(self, name: str, rows: np.ndarray, values: Tensor, *, of_all: np.ndarray) -> None:
        kept, end = self._kept.get(name), int(self._where[name][of_all[-1]]) + 1
        if kept is None or len(kept) < end:
            grown = values.new_empty(end, *values.shape[1:])
            if kept is not None:
                grown[: len(kept)] = kept
            kept = self._kept[name] = grown
        # places were given in the order of rows, so those of a batch follow one another
        first = int(self._where[name][rows[0]])
        kept[first : first + len(rows)] = values

    def values(self, name: str, rows: Int[np.ndarray, " items"], *, at: Sequence[int] | None = None) -> Tensor:
        """A part's values on rows that are kept, at some positions or all."""
        alone = kept_name(name, at)
        if alone in self._kept and (self._where[alone][rows] >= 0).all():
            kept, places = self._kept[alone], self._where[alone][rows]
            return kept.index_select(0, torch.from_numpy(places).to(kept.device))
        kept, places = self._kept[name], self._where[name][rows]
        assert at is not None, "what is read was run"
        assert (places >= 0).all(), "what is read was run"
        return _at_positions(kept, places[:, None], np.asarray(at, dtype=np.int64)[None])

    def diagonal(self, name: str, rows: Int[np.ndarray, "samples pos"], *, at: Sequence[int] | None = None) -> Tensor:
        """At each position, of some or all, a part's value there, on the row that was drawn for it."""
        columns = np.arange(rows.shape[1]) if at is None else np.asarray(at, dtype=np.int64)
        return _at_positions(self._kept[name], self._where[name][rows[:, columns]], columns[None])


def _at_positions(kept: Tensor, places: np.ndarray, columns: np.ndarray) -> Tensor:
    """kept[places, columns], of arrays of two axes that are broadcast: rows of memory, which is much faster."""
    index = places * kept.shape[1] + columns
    flat = kept.flatten(0, 1).index_select(0, torch.from_numpy(index.ravel()).to(kept.device))
    return flat.view(*index.shape, *kept.shape[2:])
