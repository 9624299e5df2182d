"""Lists a page at a time, without counting what is on no page: that takes as long as the list is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from django.db import models
from django.db.models import QuerySet

_Row = TypeVar("_Row", bound=models.Model)
# Behind it nobody turns pages by hand, and whoever reads everything has the export.
MAX_PAGE = 1_000


@dataclasses.dataclass(frozen=True)
class Part(Generic[_Row]):
    """One page of a list."""

    object_list: list[_Row]
    number: int  # counted from 1
    has_next: bool

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def has_other_pages(self) -> bool:
        return self.has_previous or self.has_next

    @property
    def previous_page_number(self) -> int:
        return self.number - 1

    @property
    def next_page_number(self) -> int:
        return self.number + 1


def part_of(rows: Callable[[int, int], Sequence[_Row]], per_page: int, asked: str | None) -> Part[_Row]:
    """The page that an address asks for, of a list whose rows from one place to another `rows` gives; the first where
    what it says is no number of a page."""
    asked = asked or "1"
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 6 and 1 <= int(asked) <= MAX_PAGE
    number = int(asked) if is_number else 1
    start = (number - 1) * per_page
    found = list(rows(start, start + per_page + 1))
    return Part(found[:per_page], number, len(found) > per_page and number < MAX_PAGE)


def rows_of(found: QuerySet[_Row]) -> Callable[[int, int], Sequence[_Row]]:
    """The rows of a queryset, for `part_of`: one query."""
    return lambda start, end: list(found[start:end])
