"""Reading data from outside field by field: what does not fit is one sentence. No torch."""

from __future__ import annotations

import json
from typing import Any

import yaml


class HypothesisError(Exception):
    """A hypothesis that cannot be read or is not legal; the message is one sentence and names the node."""


def load_data(text: str) -> Any:
    """What YAML or JSON says; a `HypothesisError` where it is neither."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place is not None else ""
        raise HypothesisError(f"Reading a hypothesis: expected YAML or JSON, got something else{line}.") from error
    except RecursionError as error:
        raise HypothesisError("Reading a hypothesis: expected a flat list of nodes, got deeply nested data.") from error


def is_count(value: Any, *, least: int) -> bool:
    """Whether this is a whole number, and large enough."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def named_fields(data: Any, *, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    """Named fields; a `HypothesisError` where some are missing, or unknown."""
    if not isinstance(data, dict):
        raise HypothesisError(f"{where}: expected named fields, got {json.dumps(data, default=str)[:100]}.")
    if unknown := sorted(str(name) for name in set(data) - required - optional):
        known = ", ".join(sorted(required | optional))
        raise HypothesisError(f"{where}: expected fields among {known}, got {unknown[0]}.")
    if missing := sorted(required - set(data)):
        raise HypothesisError(f"{where}: expected the field {missing[0]}, which is not there.")
    return data


def read_text(data: Any, *, where: str) -> str:
    """A text of 1 to 200 characters."""
    if not isinstance(data, str) or not data or len(data) > 200:
        raise HypothesisError(f"{where}: expected a text, got {json.dumps(data, default=str)[:100]}.")
    return data


def read_texts(data: Any, *, where: str) -> tuple[str, ...]:
    """A list of such texts."""
    if not isinstance(data, list):
        raise HypothesisError(f"{where}: expected a list, got {json.dumps(data, default=str)[:100]}.")
    return tuple(read_text(item, where=where) for item in data)


def read_whole(data: Any, *, where: str, least: int, most: int) -> int:
    """A whole number within bounds; a `HypothesisError` where it is none."""
    if not is_count(data, least=least) or data > most:
        raise HypothesisError(
            f"{where}: expected a whole number from {least} to {most}, got {json.dumps(data, default=str)[:100]}."
        )
    return int(data)
