"""What the benchmark of the wiki writes in bulk is what the services leave."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import connection, transaction

from tests.benchmarks.bulk import REASON, Writing, fields_of_planned, make_people
from tests.benchmarks.crowd import MODERATOR, Crowd
from wiki.coverage.models import Said
from wiki.following.models import Notification
from wiki.texts.models import Alias, AuditEntry, Kind, Link, Page, Revision, Watch
from wiki.texts.moderation import hide, retract, tag_page
from wiki.texts.targets import normalise
from wiki.texts.watching import watch
from wiki.texts.writing import create_page, save_revision

N_TEXTS, N_PEOPLE = 200, 12


def rows() -> dict[str, list[Any]]:
    """All that texts leave in the database, without times and without ids of rows that nothing names."""
    asked = {
        "pages": Page.objects.order_by("pk").values_list(
            *("pk", "kind", "title", "key", "model_slug", "component", "parent", "author__username"),
            *("current__n", "version", "visibility", "visibility_reason", "protection", "is_anchored"),
        ),
        "revisions": Revision.objects.order_by("page", "n").values_list(
            *("page", "n", "author__username", "text", "digest", "fields", "summary", "survey", "base__n", "submission")
        ),
        "links": Link.objects.order_by("source", "pk").values_list("source", "kind", "form", "target", "words"),
        "aliases": Alias.objects.order_by("key").values_list("key", "page"),
        "tags": Page.tags.through.objects.order_by("page", "tag__name").values_list("page", "tag__name"),
        "watches": Watch.objects.order_by("user__username", "target").values_list("user__username", "target"),
        "audit": AuditEntry.objects.order_by("page", "action").values_list(
            "page", "actor__username", "action", "before", "after", "reason"
        ),
        "notifications": Notification.objects.order_by("page", "revision__n", "receiver__username").values_list(
            "page", "revision__n", "receiver__username", "reason", "target"
        ),
    }
    # of what was hidden the services leave a row with zeros
    asked["said"] = (
        Said.objects.exclude(n_summaries=0, n_notes=0)
        .order_by("component")
        .values_list("component", "part", "layer", "n_summaries", "n_notes")
    )
    found = {name: list(query) for name, query in asked.items()}
    with connection.cursor() as cursor:
        columns = "rowid, search_entry::text" if connection.vendor == "postgresql" else "rowid, title, body, facets"
        cursor.execute(f"SELECT {columns} FROM search_entry ORDER BY rowid")  # noqa: S608 (one of two constants)
        found["words"] = cursor.fetchall()
    return found


def write_by_services(crowd: Crowd, people: list[Any]) -> None:
    """What the crowd does, one by one."""
    for person, words in crowd.watches():
        target = normalise(words)
        assert target is not None
        watch(people[person], target)
    for save in crowd.saves():
        planned, author = save.page, people[save.author]
        text = crowd.passage(planned, save.n).text
        if save.n > 1:
            save_revision(Page.objects.get(pk=planned.pk), author, text, base_version=save.n - 1)
            continue
        page = create_page(
            author,
            Kind(planned.kind),
            text,
            title=planned.title,
            about=planned.about,
            parent=Page.objects.get(pk=planned.parent) if planned.parent else None,
            fields=fields_of_planned(planned),
        )
        assert page.pk == planned.pk
        if planned.tags:
            tag_page(page, author, planned.tags)
    for planned in crowd.pages:
        page = Page.objects.get(pk=planned.pk)
        if planned.visibility == "hidden":
            hide(page, people[MODERATOR], reason=REASON)
        elif planned.visibility == "retracted":
            retract(page, people[planned.author], reason=REASON)


class _UndoneError(Exception):
    """Nothing stays of what was written."""


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_what_is_written_in_bulk_is_what_the_services_leave() -> None:
    crowd = Crowd(N_TEXTS, N_PEOPLE)
    people = make_people(N_PEOPLE)
    with contextlib.suppress(_UndoneError), transaction.atomic():
        write_by_services(crowd, people)
        by_services = rows()
        raise _UndoneError
    assert not Page.objects.exists()
    Writing(crowd, people).write()
    in_bulk = rows()
    assert all(len(found) > 10 for found in in_bulk.values())
    assert {page[10] for page in in_bulk["pages"]} == {"published", "hidden", "retracted"}
    for name, found in in_bulk.items():
        assert found == by_services[name], name
