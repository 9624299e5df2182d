"""Many at once: of what was acknowledged nothing is lost, and what belongs together stays so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from wiki.accounts.models import Role, User
from wiki.texts.access import pages_visible_to
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.errors import AlreadyThere, EditConflict
from wiki.texts.links import what_links_here
from wiki.texts.models import Alias, Draft, Kind, Link, Page, Revision, Visibility
from wiki.texts.moderation import hide
from wiki.texts.targets import targets_of
from wiki.texts.writing import create_page, rename_article, save_revision

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned or raised, all begun together, each on a connection of its own."""
    barrier, outcomes = threading.Barrier(len(calls)), [None] * len(calls)

    def run(index: int) -> None:
        try:
            barrier.wait(30)
            outcomes[index] = calls[index]()
        except Exception as error:  # noqa: BLE001 (handed to the test)
            outcomes[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return outcomes


def test_of_96_edits_by_8_people_at_once_none_that_was_acknowledged_is_lost() -> None:
    people = [User.objects.create_user(f"writer-{n}", role=Role.RESEARCHER) for n in range(8)]
    page = create_page(people[0], Kind.ARTICLE, "begin\n", title="Race")
    acknowledged: list[tuple[int, str]] = []
    conflicts: list[EditConflict] = []

    def write(person: User) -> None:
        for n in range(12):
            line = f"{person.username} {n}\n"
            while True:
                seen = Page.objects.select_related("current").get(pk=page.pk)
                assert seen.current
                try:
                    text = seen.current.text + line
                    revision = save_revision(page, person, text, base_version=seen.current.n)
                except EditConflict as conflict:
                    conflicts.append(conflict)
                    continue
                acknowledged.append((revision.n, line))
                break

    assert at_once(*[lambda person=person: write(person) for person in people]) == [None] * 8
    assert conflicts, "they did meet"
    revisions = list(Revision.objects.filter(page=page).order_by("n"))
    assert [revision.n for revision in revisions] == list(range(1, 98))
    assert [revision.base and revision.base.n for revision in revisions] == [None, *range(1, 97)]
    page.refresh_from_db()
    assert (page.version, page.current) == (97, revisions[-1])
    assert len(acknowledged) == len({line for _, line in acknowledged}) == 96
    for n, line in acknowledged:
        assert revisions[n - 1].text == revisions[n - 2].text + line
        assert line in revisions[-1].text


def test_of_many_who_save_on_one_revision_one_does_and_the_others_are_told_of_it(alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "begin\n", title="Race")
    outcomes = at_once(*[lambda n=n: save_revision(page, alice, f"{n}", base_version=1) for n in range(8)])
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Revision)]
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, EditConflict)]
    assert len(conflicts) == 7
    assert {conflict.theirs for conflict in conflicts} == {winner}
    assert page.revisions.count() == 2


def test_a_form_that_is_sent_many_times_at_once_is_one_revision(alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "begin\n", title="Race")
    saved = at_once(*[lambda: save_revision(page, alice, "x", base_version=1, submission="k") for _ in range(8)])
    assert {revision.n for revision in saved} == {2}
    made = at_once(*[lambda: create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", submission="k") for _ in range(8)])
    assert len({note.pk for note in made}) == 1
    assert Page.objects.filter(kind=Kind.NOTE).count() == 1
    assert Revision.objects.count() == 3


@pytest.mark.parametrize("what", [{"kind": Kind.ARTICLE, "title": "T"}, {"kind": Kind.SUMMARY, "about": "gpt2/L1"}])
def test_of_many_who_make_the_same_page_one_does_and_the_others_are_told_of_it(alice: User, what: Any) -> None:
    outcomes = at_once(*[lambda n=n: create_page(alice, text=f"{n}", **what) for n in range(8)])
    (made,) = [outcome for outcome in outcomes if isinstance(outcome, Page)]
    assert [outcome.page for outcome in outcomes if isinstance(outcome, AlreadyThere)] == [made] * 7
    assert Page.objects.count() == 1


def test_a_reply_to_a_thread_that_is_being_hidden_is_refused_or_hidden_with_it(
    alice: User, bob: User, moderator: User, anonymous: Any
) -> None:
    for n in range(12):
        thread = create_page(alice, Kind.TALK, f"{n}", about="gpt2/L5H1")
        hidden, *replies = at_once(
            lambda thread=thread: hide(thread, moderator, reason="Spam"),
            *[lambda thread=thread, n=n: create_page(bob, Kind.TALK, f"{n}", parent=thread) for n in range(3)],
        )
        assert isinstance(hidden, Page)
        kept = [reply for reply in replies if isinstance(reply, Page)]
        assert all(isinstance(reply, PermissionDenied) for reply in replies if reply not in kept)
        assert set(thread.talk.all()) == set(kept), "what was acknowledged is there"
    assert not pages_visible_to(anonymous).exists()
    assert Page.objects.filter(parent=None, visibility=Visibility.HIDDEN).count() == 12


def test_an_edit_of_what_is_being_hidden_is_refused_or_kept(alice: User, moderator: User) -> None:
    for n in range(12):
        page = create_page(alice, Kind.ARTICLE, "x", title=f"Page {n}")
        _, saved = at_once(
            lambda page=page: hide(page, moderator, reason="Spam"),
            lambda page=page: save_revision(page, alice, "y", base_version=1),
        )
        page.refresh_from_db()
        assert page.visibility == Visibility.HIDDEN
        assert page.version == page.revisions.count() == (2 if isinstance(saved, Revision) else 1)
        assert isinstance(saved, Revision | PermissionDenied)


def test_links_lead_to_an_article_that_is_renamed_while_they_are_written(alice: User, bob: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "x", title="Old")
    titles = [f"New {n}" for n in range(6)]
    outcomes = at_once(
        lambda: [rename_article(page, alice, title) for title in titles],
        *[
            lambda title=title: create_page(bob, Kind.NOTE, f"See [[{title}]].", about="gpt2/L5H1")
            for title in ("Old", *titles)
        ],
    )
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    page.refresh_from_db()
    assert page.title == "New 5"
    assert set(Alias.objects.values_list("key", flat=True)) == {"old", *(f"new-{n}" for n in range(6))}
    assert what_links_here(targets_of(page), user=alice).count() == Link.objects.count() == 7


def test_one_title_never_leads_to_two_articles(alice: User) -> None:
    for n in range(8):
        page = create_page(alice, Kind.ARTICLE, "x", title=f"Before {n}")
        renamed, made = at_once(
            lambda page=page, n=n: rename_article(page, alice, f"After {n}"),
            lambda n=n: create_page(alice, Kind.ARTICLE, "y", title=f"After {n}"),
        )
        assert isinstance(renamed, AlreadyThere) != isinstance(made, AlreadyThere)
        owner = Alias.objects.get(key=f"after-{n}").page
        assert owner.key == f"after-{n}"
        assert Page.objects.filter(key=f"after-{n}").count() == 1


def test_a_draft_that_is_kept_many_times_at_once_is_one(alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "x", title="T")
    kept = at_once(*[lambda n=n: keep_draft(alice, draft_target(page), f"{n}", page=page) for n in range(8)])
    assert all(isinstance(draft, Draft) for draft in kept)
    assert Draft.objects.count() == 1


def test_saving_and_keeping_drafts_of_one_person_do_not_wait_for_each_other(alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "x", title="T")
    for n in range(20):
        saved, *kept = at_once(
            lambda n=n: save_revision(page, alice, f"{n}", base_version=n + 1),
            *[lambda m=m: keep_draft(alice, draft_target(page), f"{m}", page=page) for m in range(3)],
        )
        assert isinstance(saved, Revision)
        assert all(isinstance(draft, Draft) for draft in kept)
