"""Which bytes of a safetensors file a slice of an array is, and the slice from those bytes. No torch.

The format: eight bytes with the length of the header (little-endian), the header as JSON
(`{name: {"dtype", "shape", "data_offsets"}}`), then the arrays, row-major, at offsets counted from the header's end.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from types import EllipsisType
from typing import Any, NamedTuple

import numpy as np

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
# Read at first: enough for the header of a hundred arrays.
FIRST_BYTES = 16_384


class HeaderError(Exception):
    """A file is not a whole safetensors file; the message is what is wrong with it, without the file."""


class Place(NamedTuple):
    """Where an array is in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int  # in bytes, from the beginning of the file


Header = dict[str, Place]


def read_header(read: Callable[[int, int], bytes], size: int) -> Header:
    """The arrays of a file of `size` bytes, whose bytes `start` to `stop` are `read(start, stop)`.

    `HeaderError` where they cannot be in it.
    """
    first = read(0, min(size, FIRST_BYTES))
    data_start = 8 + int.from_bytes(first[:8], "little")
    if len(first) < 8 or data_start > size:
        raise HeaderError(f"expected a safetensors header inside its {size} bytes, got none")
    text = first[8:data_start] if data_start <= len(first) else read(8, data_start)
    try:
        entries = json.loads(bytes(text))
        entries.pop("__metadata__", None)
        header = {
            name: Place(DTYPES[entry["dtype"]], tuple(entry["shape"]), data_start + entry["data_offsets"][0])
            for name, entry in entries.items()
        }
        ends = {name: data_start + entry["data_offsets"][1] for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise HeaderError(f"its safetensors header cannot be read ({error})") from error
    for name, place in header.items():
        stop = place.start + math.prod(place.shape) * place.dtype.itemsize
        if not data_start <= place.start <= stop == ends[name] <= size:
            raise HeaderError(f"expected {name} inside its {size} bytes, got bytes {place.start} to {stop}")
    return header


def array_in(memory: Any, place: Place) -> np.ndarray:
    """The array at `place` of a whole file in memory (a buffer), not copied."""
    return np.ndarray(place.shape, place.dtype, buffer=memory, offset=place.start)


def read_slice(read: Callable[[int, int], bytes], place: Place, index: Any) -> np.ndarray:
    """The slice `index` (integers, slices and `...`) of the array at `place`, by one `read` of the shortest run of
    bytes that holds it."""
    parts = tuple(_basic(part) for part in (index if isinstance(index, tuple) else (index,)))
    if not any(part is ... for part in parts):
        parts = (*parts, ...)  # so that even a single element is a view
    # A view into memory that is not there, and is never looked at: numpy itself says where the slice would be.
    strides = np.cumprod([place.dtype.itemsize, *place.shape[:0:-1]])[::-1] if place.shape else ()
    origin = np.empty(1, place.dtype)
    view = np.lib.stride_tricks.as_strided(origin, place.shape, tuple(map(int, strides)))[parts]
    if view.size == 0:
        return np.empty(view.shape, place.dtype)
    low, high = np.lib.array_utils.byte_bounds(view)
    start = place.start + low - _address(origin)
    data = read(start, start + high - low)
    return np.ndarray(view.shape, place.dtype, buffer=data, offset=_address(view) - low, strides=view.strides).copy()


def _basic(part: Any) -> int | slice | EllipsisType:
    """Whatever else numpy accepts would read the elements themselves."""
    return part if isinstance(part, slice | EllipsisType) else operator.index(part)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
