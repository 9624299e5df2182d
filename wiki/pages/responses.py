"""Answers that are data."""

from __future__ import annotations

import math
from typing import Any

from django.http import JsonResponse


def data_response(data: dict[str, Any]) -> JsonResponse:
    """Readable JSON in which what is not a number is null."""
    return JsonResponse(_finite(data), json_dumps_params={"ensure_ascii": False, "indent": 1, "allow_nan": False})


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
