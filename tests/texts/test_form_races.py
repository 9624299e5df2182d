"""Forms that are sent twice at once, and what is done to a text while another hangs something on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import Client
from pytest_django import Settings

from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.coverage.models import Work
from wiki.moderation.models import Report
from wiki.texts.access import pages_visible_to
from wiki.texts.errors import AlreadyThere, EditConflict
from wiki.texts.links import what_links_here
from wiki.texts.models import Alias, AuditEntry, Draft, Kind, Link, Page, Revision, Visibility, Watch
from wiki.texts.moderation import hide, retract
from wiki.texts.targets import targets_of
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

from .test_races import at_once

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]
N = 6


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def article(alice: User, gpt2: LanguageModel) -> Page:
    page = create_page(alice, Kind.ARTICLE, "one", title="Pills")
    save_revision(page, alice, "two", base_version=1)
    return Page.objects.get(pk=page.pk)


# What is sent where, and the rows of which there is one more however often it is sent; `talk` of a page, and a reply.
FORMS: dict[str, tuple[str, dict[str, str], Callable[[], int]]] = {
    "new article": ("/write/article/", {"title": "New", "text": "x"}, Page.objects.count),
    "new summary": ("/write/summary/?about=gpt2/L5H1", {"text": "x"}, Page.objects.count),
    "new note": ("/write/note/?about=gpt2/L5H1", {"text": "x"}, Page.objects.count),
    "new thread": ("/write/talk/?about=gpt2/L5H1", {"title": "x", "text": "x"}, Page.objects.count),
    "talk of a page": ("/write/talk/?page={page}", {"title": "x", "text": "x"}, Page.objects.count),
    "reply": ("/write/talk/?page={thread}", {"text": "x"}, Page.objects.count),
    "edit": ("/a/{page}/edit/", {"text": "x", "base_version": "2"}, Revision.objects.count),
    "revert": ("/a/{page}/revert/", {"to": "1", "base_version": "2"}, Revision.objects.count),
    "rename": ("/a/{page}/rename/", {"title": "New"}, AuditEntry.objects.count),
    "tags": ("/a/{page}/tags/", {"tags": "a, b"}, AuditEntry.objects.count),
    "retract": ("/a/{thread}/retract/", {"reason": "x", "do": "retract"}, AuditEntry.objects.count),
    "report": ("/a/{page}/report/", {"reason": "x"}, Report.objects.count),
    "draft": ("/drafts/keep/", {"target": "page/{page}", "text": "x"}, Draft.objects.count),
    "watch": ("/watch/", {"target": "gpt2", "on": "yes"}, lambda: Watch.objects.filter(target="gpt2").count()),
    "work": ("/m/gpt2/L5H1/work/", {"action": "take up"}, Work.objects.count),
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_of_any_kind_that_is_sent_many_times_at_once_is_done_once(
    kind: str, article: Page, alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    thread = create_page(alice, Kind.TALK, "x", parent=article, title="Thread")
    address, data, count = FORMS[kind]
    words = {"page": article.pk, "thread": thread.pk}
    sent = {name: value.format_map(words) for name, value in data.items()} | {"submission": "k"}
    before = count()

    def send() -> Any:
        client = Client()
        client.force_login(alice)
        return client.post(address.format_map(words), sent)

    answers = at_once(*[send] * N)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert count() == before + 1
    # every one of them is told that it is done, or that it was: none is an error
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 302, 400, 409}, statuses
    assert statuses & {200, 302}


@pytest.mark.parametrize("how", [hide, retract])
def test_a_reply_to_what_is_taken_away_meanwhile_is_kept_or_refused(
    how: Callable[..., Page], article: Page, alice: User, bob: User, moderator: User
) -> None:
    """Of a note, of a thread, and of a thread whose article is taken away."""
    for n in range(6):
        top = create_page(alice, Kind.TALK if n % 2 else Kind.NOTE, f"{n}", about="gpt2/L5H1")
        under = create_page(bob, Kind.TALK, f"{n}", parent=top) if n % 2 == 0 else top
        taken, *replies = at_once(
            lambda top=top: how(top, moderator, reason="Spam"),
            *[lambda under=under, m=m: create_page(bob, Kind.TALK, f"r{m}", parent=under) for m in range(3)],
        )
        assert isinstance(taken, Page)
        kept = {reply for reply in replies if isinstance(reply, Page)}
        assert all(isinstance(reply, Page | PermissionDenied) for reply in replies), replies
        assert set(under.talk.all()) == kept, "what was acknowledged is there, and nothing else"
        assert Revision.objects.filter(page__in=kept).count() == len(kept)
        if how is hide:
            assert not pages_visible_to(AnonymousUser()).filter(pk__in=[top.pk, *(each.pk for each in kept)]).exists()
        else:
            assert Page.objects.get(pk=top.pk).visibility == Visibility.RETRACTED


def test_what_is_hidden_and_retracted_at_once_is_one_and_then_the_other_or_refused(
    alice: User, moderator: User, article: Page
) -> None:
    for n in range(6):
        note = create_page(alice, Kind.NOTE, f"{n}", about="gpt2/L5H1")
        entries = AuditEntry.objects.filter(page=note)
        outcomes = at_once(
            lambda note=note: hide(note, moderator, reason="Spam"), lambda note=note: retract(note, alice, reason="No")
        )
        assert isinstance(outcomes[0], Page)
        assert Page.objects.get(pk=note.pk).visibility == Visibility.HIDDEN
        assert entries.count() == sum(isinstance(outcome, Page) for outcome in outcomes)


def test_of_two_renames_to_one_title_one_is_done_and_links_lead_there(alice: User, bob: User) -> None:
    for n in range(8):
        pages = [create_page(alice, Kind.ARTICLE, "x", title=f"{name} {n}") for name in ("One", "Two")]
        note = create_page(bob, Kind.NOTE, f"[[One {n}]] [[Two {n}]] [[Both {n}]]", about="gpt2/L5H1")
        outcomes = at_once(*[lambda page=page, n=n: rename_article(page, alice, f"Both {n}") for page in pages])
        (done,) = [outcome for outcome in outcomes if isinstance(outcome, Page)]
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, AlreadyThere)]
        assert refused.page == done
        assert Alias.objects.get(key=f"both-{n}").page == done
        other = next(page for page in pages if page != done)
        assert Page.objects.get(pk=other.pk).title == other.title
        for page in pages:
            assert [link.source for link in what_links_here(targets_of(page), user=bob)][:1] == [note]


def test_a_rename_while_the_article_and_what_links_to_it_are_edited_loses_neither(alice: User, bob: User) -> None:
    for n in range(8):
        page = create_page(alice, Kind.ARTICLE, "x", title=f"Old {n}")
        note = create_page(bob, Kind.NOTE, "x", about="gpt2/L5H1")
        outcomes = at_once(
            lambda page=page, n=n: rename_article(page, alice, f"New {n}"),
            lambda page=page: save_revision(page, bob, "y", base_version=1),
            lambda note=note, n=n: save_revision(note, bob, f"[[Old {n}]] [[New {n}]]", base_version=1),
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)], outcomes
        page = Page.objects.select_related("current").get(pk=page.pk)
        assert (page.title, page.key, page.version) == (f"New {n}", f"new-{n}", 2)
        assert page.current
        assert page.current.text == "y"
        assert {link.target for link in Link.objects.filter(source=note)} == {f"old-{n}", f"new-{n}"}
        assert {link.source for link in what_links_here(targets_of(page), user=bob)} == {note}


def test_a_revert_against_an_edit_is_one_of_both_and_a_conflict(alice: User, bob: User) -> None:
    for n in range(8):
        page = create_page(alice, Kind.ARTICLE, "good", title=f"Page {n}")
        save_revision(page, bob, "bad", base_version=1)
        outcomes = at_once(
            lambda page=page: revert_to(page, alice, 1, base_version=2),
            lambda page=page: save_revision(page, bob, "worse", base_version=2),
        )
        (done,) = [outcome for outcome in outcomes if isinstance(outcome, Revision)]
        (conflict,) = [outcome for outcome in outcomes if isinstance(outcome, EditConflict)]
        assert conflict.theirs == done
        assert conflict.yours in {"good", "worse"} - {done.text}
        page = Page.objects.select_related("current").get(pk=page.pk)
        assert (page.current, page.version) == (done, 3)
        assert re.sub("3$", "", "".join(str(each.n) for each in page.revisions.order_by("n"))) == "12"
