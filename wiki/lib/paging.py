"""Lists a page at a time, without counting what is on no page: that takes as long as the list is."""

from __future__ import annotations

import dataclasses
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


def part_of(found: QuerySet[_Row], per_page: int, asked: str | None) -> Part[_Row]:
    """The page that an address asks for, in one query; the first where what it says is no number of a page."""
    asked = asked or "1"
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 6 and 1 <= int(asked) <= MAX_PAGE
    number = int(asked) if is_number else 1
    start = (number - 1) * per_page
    rows = list(found[start : start + per_page + 1])
    return Part(rows[:per_page], number, len(rows) > per_page and number < MAX_PAGE)
