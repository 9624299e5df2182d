"""What an evaluator needs of a graph: its parts' values on rows, and one part anew from values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from analysis.scrubbing.parts import Parts

# An input of a part, and from how far on it is read: None, or an offset at which keys or values are others.
Slot = tuple[str, int | None]


class ScrubError(Exception):
    """A scrub that cannot be computed; the message is one sentence."""


@runtime_checkable
class Graph(Protocol):
    """A graph that can be run on rows of a dataset, part by part. An *item* is one run on one row; values have items
    first."""

    @property
    def parts(self) -> Parts:
        """The parts and what each reads."""

    @property
    def batch(self) -> int:
        """How many rows are run at once."""

    @property
    def layers(self) -> int:
        """How many layers one run computes."""

    def layer(self, part: str) -> int | None:
        """The layer that is computed when a part is; None: none."""

    def run(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> Mapping[str, Tensor]:
        """The values of parts on rows, nothing replaced."""

    def cost(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> int:
        """How many layers are computed on how many rows when these parts are run."""

    def compute(self, part: str, inputs: Mapping[Slot, Tensor], *, mask_rows: Int[np.ndarray, " items"]) -> Tensor:
        """A part's value from its inputs' values, with the padding masks of these rows."""

    def replace(
        self, value: Tensor, *, part: str, old: Tensor, new: Tensor, at: Bool[np.ndarray, "items pos"] | None
    ) -> Tensor:
        """An input's value (`old`: that of the share `part` of it) with the share's value replaced by `new`, at some
        positions or all."""
