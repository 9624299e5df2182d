"""Answers: pages, data, fragments."""

from __future__ import annotations

import math
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


def page_response(request: HttpRequest, template: str, context: dict[str, Any], *, missing: bool) -> HttpResponse:
    """A page; where its address names something that is not here, which the page says in a sentence, its status is that
    of its data: 404."""
    return render(request, template, context, status=404 if missing else 200)


def data_response(data: dict[str, Any]) -> JsonResponse:
    """Readable JSON in which what is not a number is null."""
    return JsonResponse(_finite(data), json_dumps_params={"ensure_ascii": False, "indent": 1, "allow_nan": False})


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def progress_response(
    request: HttpRequest, context: dict[str, Any], *, landed: bool, template: str = "pages/_progress.html"
) -> HttpResponse:
    """The progress fragment; where new numbers have landed it says so and wakes `survey-progress.js`."""
    response = render(request, template, {**context, "landed": landed})
    if landed:
        response["HX-Trigger"] = "landed"
    response["Cache-Control"] = "no-store"
    return response
