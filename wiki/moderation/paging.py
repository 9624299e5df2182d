"""Lists by the newest first, a page at a time: `?before=` names the last row of the page before."""

from __future__ import annotations

import dataclasses
from typing import Generic, TypeVar

from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

N_ROWS = 50

_Row = TypeVar("_Row", bound=models.Model)


@dataclasses.dataclass(frozen=True)
class Listed(Generic[_Row]):
    rows: list[_Row]
    next_query: str | None  # of the address of the next page; None: this is the last


def list_before(found: QuerySet[_Row], request: HttpRequest) -> Listed[_Row]:
    """Rows are counted by their ids, so what is added meanwhile moves none."""
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    rows = list(found.order_by("-pk")[: N_ROWS + 1])
    query = request.GET.copy()
    query["before"] = str(rows[N_ROWS - 1].pk) if len(rows) > N_ROWS else ""
    return Listed(rows[:N_ROWS], f"?{query.urlencode()}" if len(rows) > N_ROWS else None)
