"""Whether an expression of features means something, before any feature is computed. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_FORMS = "a feature's name, {all: […]}, {equal: [a, b]}, {offset: [a, n]} or {bin: [a, [edges]]}"
_DEEPEST = 20


class ExpressionError(Exception):
    """An expression that says nothing; the message says what was expected, without saying where."""


def is_by_position(expression: Any, by_position: Mapping[str, bool], *, depth: int = 0) -> bool:
    """Whether an expression gives each position a value (True) or each row one; `by_position` is the vocabulary. What
    is not in it, or is not an expression, raises an `ExpressionError`."""
    if isinstance(expression, str):
        if expression not in by_position:
            known = ", ".join(sorted(by_position)) or "none"
            raise ExpressionError(f"expected a feature among {known}, got {expression[:80]}")
        return by_position[expression]
    if depth > _DEEPEST or not isinstance(expression, dict) or len(expression) != 1:
        raise _unreadable(expression)
    ((form, inner),) = expression.items()
    if not isinstance(inner, list) or not inner:
        raise _unreadable(expression)
    if form == "all" or (form == "equal" and len(inner) == 2):
        inside = [is_by_position(part, by_position, depth=depth + 1) for part in inner]  # each is looked at
        return any(inside)
    if form == "offset" and len(inner) == 2 and _is_whole(inner[1]):
        if not is_by_position(inner[0], by_position, depth=depth + 1):
            raise ExpressionError(f"expected the offset of a feature by position, got {json.dumps(expression)[:100]}")
        return True
    if form == "bin" and len(inner) == 2 and _are_numbers(inner[1]):
        return is_by_position(inner[0], by_position, depth=depth + 1)
    raise _unreadable(expression)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value)
    return is_list and all(isinstance(edge, int | float) and not isinstance(edge, bool) for edge in value)


def _unreadable(expression: Any) -> ExpressionError:
    return ExpressionError(f"expected {_FORMS}, got {json.dumps(expression, default=str)[:100]}")
