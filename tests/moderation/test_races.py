"""Moderators and writers at once: what was acknowledged is there, and what was refused is not."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.texts.test_races import at_once
from wiki.accounts.models import Role, User
from wiki.moderation.blocking import block
from wiki.moderation.models import Report
from wiki.moderation.reports import report_text, resolve_report, take_report
from wiki.texts.access import revisions_visible_to
from wiki.texts.errors import EditConflict, TextError, TooManyWrites, WriterBlocked
from wiki.texts.exporting import export_wiki
from wiki.texts.models import AuditEntry, Kind, Page, Revision
from wiki.texts.moderation import withhold_revision
from wiki.texts.writing import create_page, revert_to, save_revision

from .conftest import make_person

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_a_save_while_its_author_is_blocked_is_kept_or_refused_and_none_follows(charlie: User) -> None:
    for n in range(12):
        person = make_person(f"writer-{n}", Role.RESEARCHER)
        page = create_page(person, Kind.ARTICLE, "x", title=f"Page {n}")
        blocked, saved, made = at_once(
            lambda person=person: block(person, charlie, until=timezone.now() + timedelta(days=1), reason="Spam"),
            lambda person=person, page=page: save_revision(page, person, "y", base_version=1),
            lambda person=person: create_page(person, Kind.NOTE, "z", about="gpt2/L5H1"),
        )
        assert isinstance(blocked, User)
        assert isinstance(saved, Revision | WriterBlocked)
        assert isinstance(made, Page | WriterBlocked)
        acknowledged = 1 + isinstance(saved, Revision) + isinstance(made, Page)
        assert Revision.objects.filter(author=person).count() == acknowledged
        with pytest.raises(WriterBlocked):
            save_revision(page, person, "later", base_version=acknowledged)
    assert AuditEntry.objects.filter(action="block").count() == 12


def test_of_many_reports_at_once_by_one_person_one_is_kept(page: Page, bob: User, charlie: User) -> None:
    made = at_once(*[lambda: report_text(page, bob, reason="Spam") for _ in range(8)])
    assert len({report.pk for report in made}) == Report.objects.count() == 1
    others = [make_person(f"moderator-{n}", Role.MODERATOR) for n in range(6)]
    taken = at_once(*[lambda other=other: take_report(made[0], other) for other in others])
    (first,) = [each for each in taken if isinstance(each, Report)]
    assert all(isinstance(each, TextError) for each in taken if each is not first)
    resolved = at_once(
        *[lambda other=other: resolve_report(made[0], other, Report.Outcome.OTHER, answer="Done") for other in others]
    )
    (last,) = [each for each in resolved if isinstance(each, Report)]
    made[0].refresh_from_db()
    assert made[0].moderator == last.moderator
    assert AuditEntry.objects.filter(action="resolve").count() == 1


def test_a_revision_that_is_withheld_while_pages_go_back_is_never_the_current_one(
    alice: User, bob: User, charlie: User
) -> None:
    for n in range(8):
        page = create_page(alice, Kind.ARTICLE, "a", title=f"Page {n}")
        save_revision(page, alice, "b", base_version=1)
        withheld, *reverted = at_once(
            lambda page=page: withhold_revision(page, charlie, 2, reason="Private"),
            lambda page=page: revert_to(page, alice, 1, base_version=2),
        )
        page = Page.objects.select_related("current").get(pk=page.pk)
        assert isinstance(reverted[0], Revision)
        assert page.current
        assert page.current.n == 3
        assert revisions_visible_to(bob).filter(page=page, n=3).exists()
        is_withheld = not revisions_visible_to(bob).filter(page=page, n=2).exists()
        assert is_withheld != isinstance(withheld, TextError)


@pytest.mark.throttled
def test_many_saves_at_once_are_counted_right(alice: User) -> None:
    pages = [create_page(alice, Kind.NOTE, f"{n}", about="gpt2/L5H1") for n in range(24)]
    outcomes = at_once(*[lambda page=page: save_revision(page, alice, "x", base_version=1) for page in pages[:12]])
    assert sum(isinstance(each, Revision) for each in outcomes) == 6
    assert sum(isinstance(each, TooManyWrites) for each in outcomes) == 6
    assert Revision.objects.filter(author=alice).count() == 30


def test_an_export_is_of_one_moment_while_people_write(alice: User, tmp_path: Path) -> None:
    page, other = create_page(alice, Kind.ARTICLE, "0", title="T"), make_person("dave", Role.RESEARCHER)

    def write(person: User) -> None:
        for n in range(20):
            while True:
                seen = Page.objects.get(pk=page.pk)
                try:
                    save_revision(seen, person, f"{person} {n}", base_version=seen.version)
                    break
                except EditConflict:
                    continue

    outcomes = at_once(
        lambda: write(alice), lambda: write(other), *[lambda n=n: export_wiki(tmp_path / f"a{n}") for n in range(3)]
    )
    assert outcomes[:2] == [None, None]
    for n in range(3):
        pages, revisions = (_rows(tmp_path / f"a{n}" / f"{table}.jsonl") for table in ("pages", "revisions"))
        assert [row["n"] for row in revisions] == list(range(1, pages[0]["version"] + 1))


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
