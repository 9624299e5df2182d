"""Compiled questions are answered as the querysets that they are compiled from."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.test.utils import CaptureQueriesContext

from wiki.accounts.models import Role, User
from wiki.lib.prepared import objects, padded, rows
from wiki.texts.access import pages_visible_to, person_of, sight_of
from wiki.texts.models import Kind, Page
from wiki.texts.moderation import hide, tag_page
from wiki.texts.writing import create_page

pytestmark = pytest.mark.both_databases


@pytest.fixture
def people(db: None) -> dict[str, User]:
    return {
        name: User.objects.create_user(name, role=role)
        for name, role in (("alice", Role.RESEARCHER), ("bob", Role.RESEARCHER), ("charlie", Role.MODERATOR))
    }


@pytest.fixture
def notes(people: dict[str, User]) -> list[Page]:
    texts = ["It copies.", "?0?", "It copies what is 100 % before."]
    return [
        create_page(people[name], Kind.NOTE, text, about=f"gpt2/L{n}H1")
        for n, (name, text) in enumerate(zip(("alice", "bob", "alice"), texts, strict=True))
    ]


def _by(name: str, kind: str, not_about: str) -> QuerySet[Page]:
    pages = Page.objects.filter(author__username=name, kind=kind).exclude(component=not_about)
    return pages.select_related("current", "author").annotate(n=Count("revisions")).order_by("-id")


def _pages_with(text: str, is_among: tuple[str, ...] | None, key: int) -> QuerySet[Page, tuple[int, str]]:
    among = Q() if is_among is None else Q(component__in=is_among)
    return Page.objects.filter(among, Q(current__text=text) | Q(pk=key)).order_by("id").values_list("pk", "component")


def _visible(moderates: bool | None, key: int) -> QuerySet[Page]:
    return pages_visible_to(person_of(moderates, key)).order_by("id").prefetch_related("tags")


@pytest.mark.parametrize(("name", "not_about"), [("alice", ""), ("alice", "L2H1"), ("bob", "L0H1"), ("nobody", "")])
def test_objects_are_those_of_the_queryset(notes: list[Page], name: str, not_about: str) -> None:
    expected = list(_by(name, Kind.NOTE.value, not_about))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = objects(_by, name, Kind.NOTE.value, not_about)
        said = [(page.pk, page.author.username, page.current and page.current.text, page.n) for page in found]  # type: ignore[attr-defined]
    assert len(queries) == 1  # what stands beside them too
    assert said == [(page.pk, page.author.username, page.current.text, page.n) for page in expected]


def test_rows_are_those_of_the_queryset_whatever_is_asked(notes: list[Page]) -> None:
    keys = [page.pk for page in notes]
    for text in ("It copies.", "?0?", "?1?", "It copies what is 100 % before.", "'; DROP TABLE texts_page"):
        for among in (None, ("L0H1", "L1H1"), ("L2H1",)):
            for key in (0, keys[0], keys[2]):
                found = rows(_pages_with, text, among, key)
                assert found == list(_pages_with(text, among, key)), (text, among, key)


def test_a_question_that_nothing_answers_asks_nothing(notes: list[Page]) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert rows(_pages_with_none, "x") == []
        assert objects(_pages_with_none, "x") == []
    assert len(queries) == 0


def _pages_with_none(text: str) -> QuerySet[Page]:
    return Page.objects.filter(current__text=text, pk__in=[])


def test_any_of_many_is_asked_with_what_stands_for_nothing(notes: list[Page]) -> None:
    names = [f"L{n}H1" for n in range(20)]
    assert padded(names[:3] * 2, "") == ("L0H1", "L1H1", "L2H1", "")
    assert padded([], "") == ()
    for n in (0, 1, 2, 3, 5, 17, 20):
        assert rows(_among, *padded(names[:n], "")) == [(page.pk,) for page in notes if page.component in names[:n]]


def _among(*names: str) -> QuerySet[Page, tuple[int]]:
    return Page.objects.filter(component__in=names).order_by("id").values_list("pk")


def test_times_are_asked_as_the_database_has_them(notes: list[Page]) -> None:
    for page in notes:
        assert rows(_made_since, page.created_at, 0) == list(_made_since(page.created_at, 0))
        assert (page.pk,) not in rows(_made_since, page.created_at + datetime.timedelta(microseconds=1), 0)
    assert rows(_made_since, notes[0].created_at, notes[1].pk) == [(notes[2].pk,)]


def _made_since(at: datetime.datetime, after: int) -> QuerySet[Page, tuple[int]]:
    return Page.objects.filter(created_at__gte=at, pk__gt=after).order_by("id").values_list("pk")


def test_what_would_become_a_part_of_a_parameter_is_refused(notes: list[Page]) -> None:
    with pytest.raises(ValueError, match="Compiling a question: expected what is asked as a whole parameter"):
        rows(_containing, "copies")


def _containing(text: str) -> QuerySet[Page, tuple[int]]:
    return Page.objects.filter(current__text__contains=text).values_list("pk")


def test_everybody_is_answered_with_what_they_may_see(notes: list[Page], people: dict[str, User]) -> None:
    tag_page(notes[2], people["alice"], ["circuit"])
    hide(notes[1], people["charlie"], reason="Spam")
    seen = {name: objects(_visible, *sight_of(person)) for name, person in people.items()}
    assert {name: [page.pk for page in pages] for name, pages in seen.items()} == {
        "alice": [notes[0].pk, notes[2].pk],
        "bob": [page.pk for page in notes],
        "charlie": [page.pk for page in notes],
    }
    assert objects(_visible, None, 0) == seen["alice"]
    with CaptureQueriesContext(connection) as queries:
        assert [tag.name for tag in seen["alice"][1].tags.all()] == ["circuit"]
    assert len(queries) == 0  # they were fetched with the pages
