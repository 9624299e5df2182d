"""Residual streams of rows that were run: who asks for another part of a layer has that layer run, not the model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from analysis.scrubbing.parts import EMBED, ROOT, place_of

# Of models with fewer layers all is run again as quickly.
DEEP = 6
# What the streams of one dataset may take.
STREAM_BYTES = 2 * 2**30


def before(layer: int) -> str:
    """The residual stream that enters a layer: no part, but what its parts read."""
    return f"before {layer}"


def middle(layer: int) -> str:
    """The residual stream that a layer's MLP reads."""
    return f"middle {layer}"


def layer_of(part: str, layers: int) -> int:
    """The layer that must be run for a part or a stream."""
    if part in (ROOT, EMBED):
        return layers - 1 if part == ROOT else 0
    return int(part.partition(" ")[2]) if " " in part else place_of(part).layer


class Streams:
    """What entered each layer on rows of a dataset, kept as these are run; nothing where it would not fit."""

    def __init__(self, layers: int, n_rows: int) -> None:
        self.layers, self.n_rows = layers, n_rows
        self._kept: list[Float[Tensor, "rows pos d_model"]] = []
        self._known: Bool[np.ndarray, " rows"] = np.zeros(n_rows, dtype=bool)

    def has(self, rows: Int[np.ndarray, " items"]) -> bool:
        """Whether all of these rows were kept."""
        return bool(self._known[rows].all())

    def fits(self, row: Float[Tensor, "pos d_model"]) -> bool:
        """Whether the streams of all rows have room, and are worth it; `row`: one of them."""
        return self.layers >= DEEP and self.layers * self.n_rows * row.numel() * row.element_size() <= STREAM_BYTES

    def keep(self, rows: Int[np.ndarray, " items"], streams: Sequence[Float[Tensor, "items pos d_model"]]) -> None:
        """Keep what entered each layer on these rows."""
        if not self._kept:
            self._kept = [stream.new_empty(self.n_rows, *stream.shape[1:]) for stream in streams]
        index = torch.from_numpy(rows)
        for kept, stream in zip(self._kept, streams, strict=True):
            kept[index.to(kept.device)] = stream
        self._known[rows] = True

    def entering(self, layer: int, rows: Int[np.ndarray, " items"]) -> Float[Tensor, "items pos d_model"]:
        """What entered a layer on rows that were kept."""
        kept = self._kept[layer]
        return kept[torch.from_numpy(rows).to(kept.device)]


@contextlib.contextmanager
def beginning_at(blocks: Sequence[nn.Module], layer: int, stream: Float[Tensor, "items pos d_model"]) -> Iterator[None]:
    """While the block runs, layers before this one pass on what they are given, and it is given this stream. The model
    is restored afterwards."""

    def passed_on(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden

    def given(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (stream, *inputs[1:])

    handle = blocks[layer].register_forward_pre_hook(given)
    try:
        for block in blocks[:layer]:
            block.forward = passed_on  # an attribute of this one module, in the way of its class's
        yield
    finally:
        for block in blocks[:layer]:
            del block.forward
        handle.remove()


class _EndedError(Exception):
    """Not an error: what was asked for has run, and the model need not go on."""


@contextlib.contextmanager
def ending_after(last: nn.Module) -> Iterator[None]:
    """While the block runs, a model ends once this module of its has run, and whatever hooks it had before."""

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        raise _EndedError

    handle = last.register_forward_hook(end)
    try:
        yield
    except _EndedError:
        pass
    finally:
        handle.remove()
