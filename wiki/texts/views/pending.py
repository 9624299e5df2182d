"""A stand-in for pages of texts that another branch brings."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def pending(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    raise Http404("Looking for a page of texts: it is not there yet.")
