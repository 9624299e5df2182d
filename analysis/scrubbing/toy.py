"""Graphs of plain functions over rows of numbers, on which the outcome of a scrub is known in closed form."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from analysis.scrubbing.graph import Slot
from analysis.scrubbing.parts import ROOT, ToyParts

Values = Float[torch.Tensor, " items"]


@dataclasses.dataclass(frozen=True)
class ToyGraph:
    """Inputs `x0`, `x1`, … are the columns of the rows; a function reads what its arguments are named after; `out` is
    the output."""

    rows: Float[np.ndarray, "rows inputs"]
    functions: Mapping[str, Callable[..., Values]]  # those that are read first

    @property
    def parts(self) -> ToyParts:
        reads: dict[str, tuple[str, ...]] = {f"x{column}": () for column in range(self.rows.shape[1])}
        for name, function in self.functions.items():
            reads[name] = tuple(inspect.signature(function).parameters)
        assert list(reads)[-1] == ROOT
        return ToyParts(reads)

    @property
    def batch(self) -> int:
        return 1_000

    @property
    def layers(self) -> int:
        return len(self.functions)

    def layer(self, part: str) -> int | None:
        return list(self.functions).index(part)

    def run(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> Mapping[str, Values]:
        values = {f"x{column}": torch.from_numpy(self.rows[rows, column]) for column in range(self.rows.shape[1])}
        for name, function in self.functions.items():
            values[name] = function(*(values[read] for read in inspect.signature(function).parameters))
        return {part: values[part] for part in parts}

    def cost(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> int:
        return self.layers * len(rows)

    def compute(self, part: str, inputs: Mapping[Slot, Values], *, mask_rows: Int[np.ndarray, " items"]) -> Values:
        function = self.functions[part]
        return function(*(inputs[read, None] for read in inspect.signature(function).parameters))

    def replace(
        self, value: Values, *, part: str, old: Values, new: Values, at: Bool[np.ndarray, "items pos"] | None
    ) -> Values:
        assert at is None
        return new
