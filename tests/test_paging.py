"""Turning pages of a list that is not counted."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from wiki.lib.paging import MAX_PAGE, part_of, rows_of
from wiki.texts.models import Tag

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def tags() -> None:
    Tag.objects.bulk_create([Tag(name=f"tag-{n}") for n in range(5)])


@pytest.mark.usefixtures("tags")
@pytest.mark.parametrize(
    ("asked", "names", "number", "has_next"),
    [
        (None, ["tag-0", "tag-1"], 1, True),
        ("2", ["tag-2", "tag-3"], 2, True),
        ("3", ["tag-4"], 3, False),
        ("4", [], 4, False),
        *((wrong, ["tag-0", "tag-1"], 1, True) for wrong in ("", "0", "-1", "x", "²", "9" * 30, str(MAX_PAGE + 1))),
    ],
)
def test_a_page_of_a_list_is_one_query(
    asked: str | None,
    names: list[str],
    number: int,
    has_next: bool,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        part = part_of(rows_of(Tag.objects.order_by("name")), 2, asked)
    assert [tag.name for tag in part.object_list] == names
    assert (part.number, part.has_next, part.has_previous) == (number, has_next, number > 1)
    assert part.has_other_pages == (has_next or number > 1)


@pytest.mark.usefixtures("tags")
def test_a_list_that_fits_on_its_page_has_no_other() -> None:
    assert not part_of(rows_of(Tag.objects.order_by("name")), 5, None).has_other_pages
