"""Feature expressions: checked as data before anything runs, then evaluated on the rows of a task. No torch.

The grammar is in `analysis.datasets.task`. A place in an expression is written as a path, `all[1].offset[0]`; offsets
are in positions, edges of `bin` in the feature's own unit.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import reprlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Int

from .task import ABSENT, Feature, FeatureError, TaskRows

Vocabulary = Mapping[str, Feature]

# What an expression from outside may be at most: far more than anybody can interpret.
MOST_DEPTH = 20
MOST_FEATURES = 32
MOST_EDGES = 100
FARTHEST = 1000
LARGEST = 1e300

COMBINATORS = {
    "all": "All of the features agree.",
    "equal": "1 where two features are equal, else 0.",
    "offset": "A feature by position, read so many positions to the right (to the left below 0); outside the row a "
    "value of its own.",
    "bin": "How many of these ascending edges a feature has reached: 0 below the first.",
}

# shortens what is long or deep without reading all of it
_REPR = reprlib.Repr()

_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What is known of an expression without rows."""

    by_position: bool
    scale: int | None = 1  # of its integers; None: codes of tuples, which can only be agreed on
    continuous: bool = False
    n_features: int = 1


def validate(expression: Any, vocabulary: Vocabulary) -> None:
    """Refuse what cannot be evaluated on rows of the vocabulary's task: a `FeatureError` that names the place."""
    _agreeable(expression, vocabulary, place="", depth=1)


def is_by_position(expression: Any, vocabulary: Vocabulary) -> bool:
    """Whether the (valid) expression has a value for each position, and not one for the whole row."""
    return _agreeable(expression, vocabulary, place="", depth=1).by_position


def evaluate(expression: Any, rows: TaskRows, vocabulary: Vocabulary) -> Int[np.ndarray, "*shape"]:
    """The value of each row, int64 [rows], or of each position, [rows, pos]; rows agree where values are equal.

    `ABSENT` is a value like others. Codes that `all` gives are ranks among these rows: compare them with no others.
    Raises `FeatureError` where the expression is invalid or a registered feature gives something else than it says.
    """
    validate(expression, vocabulary)
    return _values(expression, rows, vocabulary)


def register(vocabulary: Vocabulary, feature: Feature) -> dict[str, Feature]:
    """The vocabulary with one's own feature too, for use in a notebook. The given vocabulary stays as it is, so what
    a server reads, which is always a task's own, never has it."""
    doing = f"Registering the feature “{feature.key[:60]}”"
    if not _KEY.fullmatch(feature.key):
        raise FeatureError(f"{doing}: expected a key of small letters, digits and underscores, a letter first.")
    if feature.key in vocabulary:
        raise FeatureError(f"{doing}: expected a key that is not in the vocabulary, got one that is.")
    if feature.scale < 1:
        raise FeatureError(f"{doing}: expected a scale of 1 or more, got {feature.scale}.")
    return {**vocabulary, feature.key: feature}


def _doing(place: str) -> str:
    return f"Reading the feature at {place}" if place else "Reading the feature"


def _short(value: Any) -> str:
    text = _REPR.repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _agreeable(expression: Any, vocabulary: Vocabulary, *, place: str, depth: int) -> _Kind:
    """What the expression is, where rows can agree on it."""
    kind = _kind(expression, vocabulary, place=place, depth=depth)
    if kind.continuous:
        raise FeatureError(
            f"{_doing(place)}: expected integers, on which rows can agree, got a continuous feature outside of “bin”."
        )
    if kind.n_features > MOST_FEATURES:
        raise FeatureError(f"{_doing(place)}: expected at most {MOST_FEATURES} features, got {kind.n_features}.")
    return kind


def _kind(expression: Any, vocabulary: Vocabulary, *, place: str, depth: int) -> _Kind:
    doing = _doing(place)
    if depth > MOST_DEPTH:
        raise FeatureError(f"{doing}: expected at most {MOST_DEPTH} levels of one in another, got more.")
    if isinstance(expression, str):
        if expression not in vocabulary:
            raise FeatureError(f"{doing}: expected one of {', '.join(sorted(vocabulary))}, got {_short(expression)}.")
        feature = vocabulary[expression]
        return _Kind(feature.by_position, feature.scale, feature.continuous)
    if not isinstance(expression, dict) or len(expression) != 1:
        raise FeatureError(
            f"{doing}: expected the name of a feature or one of {', '.join(COMBINATORS)} with a list, "
            f"got {_short(expression)}."
        )
    ((name, arguments),) = expression.items()
    if name not in COMBINATORS:
        raise FeatureError(f"{doing}: expected one of {', '.join(COMBINATORS)}, got {_short(name)}.")
    at = f"{place}.{name}" if place else name
    if not isinstance(arguments, list):
        raise FeatureError(f"{_doing(at)}: expected a list, got {_short(arguments)}.")
    return _KINDS[name](arguments, vocabulary, at, depth + 1)


def _kind_of_all(arguments: list[Any], vocabulary: Vocabulary, at: str, depth: int) -> _Kind:
    if not 1 <= len(arguments) <= MOST_FEATURES:
        raise FeatureError(f"{_doing(at)}: expected 1 to {MOST_FEATURES} features, got {len(arguments)}.")
    kinds = [_agreeable(a, vocabulary, place=f"{at}[{i}]", depth=depth) for i, a in enumerate(arguments)]
    return _Kind(any(kind.by_position for kind in kinds), None, n_features=sum(kind.n_features for kind in kinds))


def _kind_of_equal(arguments: list[Any], vocabulary: Vocabulary, at: str, depth: int) -> _Kind:
    if len(arguments) != 2:
        raise FeatureError(f"{_doing(at)}: expected two features, got {len(arguments)}.")
    kinds = [_agreeable(a, vocabulary, place=f"{at}[{i}]", depth=depth) for i, a in enumerate(arguments)]
    if kinds[0].scale != kinds[1].scale or kinds[0].scale is None:
        raise FeatureError(
            f"{_doing(at)}: expected two features that count in the same unit, and no “all”, got {_short(arguments)}."
        )
    return _Kind(any(kind.by_position for kind in kinds), n_features=sum(kind.n_features for kind in kinds))


def _kind_of_offset(arguments: list[Any], vocabulary: Vocabulary, at: str, depth: int) -> _Kind:
    if len(arguments) != 2:
        raise FeatureError(f"{_doing(at)}: expected a feature and a number of positions, got {_short(arguments)}.")
    kind = _kind(arguments[0], vocabulary, place=f"{at}[0]", depth=depth)
    if not kind.by_position:
        raise FeatureError(f"{_doing(f'{at}[0]')}: expected a feature by position, got one of the whole row.")
    distance = arguments[1]
    if isinstance(distance, bool) or not isinstance(distance, int) or abs(distance) > FARTHEST:
        raise FeatureError(
            f"{_doing(f'{at}[1]')}: expected a whole number from −{FARTHEST} to {FARTHEST}, got {_short(distance)}."
        )
    return kind


def _kind_of_bin(arguments: list[Any], vocabulary: Vocabulary, at: str, depth: int) -> _Kind:
    if len(arguments) != 2:
        raise FeatureError(f"{_doing(at)}: expected a feature and a list of edges, got {_short(arguments)}.")
    kind = _kind(arguments[0], vocabulary, place=f"{at}[0]", depth=depth)
    if kind.scale is None:
        raise FeatureError(f"{_doing(f'{at}[0]')}: expected a feature that is a number, got an “all”.")
    edges = arguments[1]
    if not _are_edges(edges):
        raise FeatureError(
            f"{_doing(f'{at}[1]')}: expected 1 to {MOST_EDGES} numbers in ascending order, got {_short(edges)}."
        )
    return _Kind(kind.by_position, n_features=kind.n_features)


def _are_edges(edges: Any) -> bool:
    if not isinstance(edges, list) or not 1 <= len(edges) <= MOST_EDGES:
        return False
    if any(isinstance(edge, bool) or not isinstance(edge, int | float) for edge in edges):
        return False
    return all(-LARGEST <= edge <= LARGEST for edge in edges) and all(a < b for a, b in itertools.pairwise(edges))


_KINDS = {"all": _kind_of_all, "equal": _kind_of_equal, "offset": _kind_of_offset, "bin": _kind_of_bin}


def _values(expression: Any, rows: TaskRows, vocabulary: Vocabulary) -> np.ndarray:
    """Values of a valid expression; floats where it is a continuous feature within `bin`."""
    if isinstance(expression, str):
        return _feature_values(vocabulary[expression], rows)
    ((name, arguments),) = expression.items()
    if name == "all":
        return _tuple_codes(_alike([_values(argument, rows, vocabulary) for argument in arguments]))
    if name == "equal":
        left, right = _alike([_values(argument, rows, vocabulary) for argument in arguments])
        return (left == right).astype(np.int64)
    values = _values(arguments[0], rows, vocabulary)
    if name == "offset":
        return _shifted(values, arguments[1])
    return _interval(values, arguments[1], scale=_kind(arguments[0], vocabulary, place="", depth=0).scale)


def _feature_values(feature: Feature, rows: TaskRows) -> np.ndarray:
    values = np.asarray(feature.values(rows))
    shape = rows.tokens.shape if feature.by_position else (len(rows),)
    doing = f"Evaluating the feature {feature.key}"
    if values.shape != shape:
        raise FeatureError(f"{doing}: expected values of shape {list(shape)}, got {list(values.shape)}.")
    if feature.continuous:
        if not np.issubdtype(values.dtype, np.floating) or np.isnan(values).any():
            raise FeatureError(f"{doing}: expected floats without NaN, got {_what(values)}.")
        return values
    if not (np.issubdtype(values.dtype, np.integer) or values.dtype == np.bool_) or values.dtype == np.uint64:
        raise FeatureError(f"{doing}: expected integers, got {_what(values)}.")
    return values.astype(np.int64)


def _what(values: np.ndarray) -> str:
    return "NaN" if np.issubdtype(values.dtype, np.floating) and np.isnan(values).any() else str(values.dtype)


def _alike(values: list[np.ndarray]) -> list[np.ndarray]:
    """All by position if one is: a row's value holds at each of its positions."""
    shape = max((array.shape for array in values), key=len)
    return [array if array.shape == shape else np.broadcast_to(array[:, None], shape) for array in values]


def _tuple_codes(values: list[np.ndarray]) -> np.ndarray:
    """Each tuple's rank among all distinct ones, int64, in the order of the first, then the second, …"""
    codes = np.zeros(values[0].size, dtype=np.int64)
    for array in values:
        distinct, inverse = np.unique(array, return_inverse=True)
        # below rows × pos squared, so within int64 whatever the features are
        _, codes = np.unique(codes * len(distinct) + inverse.ravel(), return_inverse=True)
    return codes.reshape(values[0].shape).astype(np.int64)


def _shifted(values: np.ndarray, distance: int) -> np.ndarray:
    """values[:, pos + distance] at each pos; outside `ABSENT`, of floats NaN."""
    outside = np.nan if np.issubdtype(values.dtype, np.floating) else ABSENT
    shifted = np.full_like(values, outside)
    n = values.shape[1]
    if abs(distance) < n:
        shifted[:, max(0, -distance) : n - max(0, distance)] = values[:, max(0, distance) : n + min(0, distance)]
    return shifted


def _interval(values: np.ndarray, edges: list[int | float], *, scale: int | None) -> np.ndarray:
    """The number of edges that a value has reached; what is absent stays `ABSENT`."""
    if np.issubdtype(values.dtype, np.floating):
        absent = np.isnan(values)
        reached = np.searchsorted(np.asarray(edges, dtype=np.float64), values.astype(np.float64), side="right")
    else:
        assert scale is not None
        absent = values == ABSENT
        # exact: value / scale ≥ edge where value ≥ ⌈edge · scale⌉; all reach an edge below int64, none one above
        least = [math.ceil(Fraction(edge) * scale) for edge in edges]
        within = np.asarray([bound for bound in least if ABSENT < bound < 2**63], dtype=np.int64)
        reached = np.searchsorted(within, values, side="right") + sum(bound <= ABSENT for bound in least)
    return np.where(absent, ABSENT, reached).astype(np.int64)
