"""Who sees and may do what: anonymous, reader, author, other and moderator × published, hidden, retracted and draft."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import Role, User
from wiki.texts import access
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.errors import TextError
from wiki.texts.models import AuditEntry, Kind, Page, Protection, Visibility
from wiki.texts.moderation import hide, protect, retract, tag_page, unhide, unretract
from wiki.texts.writing import create_page

pytestmark = pytest.mark.both_databases

Everybody = dict[str, Any]


@pytest.fixture
def everybody(anonymous: AnonymousUser, alice: User, bob: User, moderator: User) -> Everybody:
    reader = User.objects.create_user("reader", role=Role.READER)
    return {"anonymous": anonymous, "reader": reader, "author": alice, "other": bob, "moderator": moderator}


def put(page: Page, state: str, *, author: User, moderator: User) -> None:
    if state == "hidden":
        hide(page, moderator, reason="Spam")
    if state == "retracted":
        retract(page, author, reason="Wrong")


# who sees, who may edit, reply, retract and hide a note of alice's
MATRIX = {
    "published": (
        "anonymous reader author other moderator",
        "author moderator",
        "author other moderator",
        "author moderator",
    ),
    "hidden": ("author moderator", "moderator", "", ""),
    "retracted": ("anonymous reader author other moderator", "", "", "author moderator"),
}


@pytest.mark.parametrize("state", MATRIX)
def test_who_sees_and_may_do_what_with_a_note(everybody: Everybody, state: str) -> None:
    author, moderator = everybody["author"], everybody["moderator"]
    page = create_page(author, Kind.NOTE, "See [[IOI]].", about="gpt2/L5H1")
    keep_draft(author, draft_target(page), "Not yet", page=page)
    put(page, state, author=author, moderator=moderator)
    page.refresh_from_db()
    sees, edits, replies, retracts = (set(names.split()) for names in MATRIX[state])
    for name, user in everybody.items():
        seen = name in sees
        assert access.pages_visible_to(user).filter(pk=page.pk).exists() == seen, name
        assert access.revisions_visible_to(user).filter(page=page).exists() == seen, name
        assert access.links_visible_to(user).filter(source=page).exists() == seen, name
        assert access.audit_entries_visible_to(user).filter(page=page).exists() == (seen and state != "published")
        assert access.may_read(user, page) == seen, name
        assert access.may_edit(user, page) == (name in edits), name
        assert access.may_reply(user, page) == (name in replies), name
        assert access.may_retract(user, page) == (name in retracts), name
        assert access.may_hide(user, page) == access.may_protect(user, page) == (name == "moderator"), name
        assert access.drafts_visible_to(user).exists() == (name == "author"), name


def test_what_hangs_on_something_hidden_is_hidden_with_it(everybody: Everybody) -> None:
    article = create_page(everybody["author"], Kind.ARTICLE, "x", title="IOI")
    thread = create_page(everybody["other"], Kind.TALK, "[[a]]", parent=article, title="Doubts")
    reply = create_page(everybody["author"], Kind.TALK, "[[b]]", parent=thread)
    for hidden in (article, thread):
        hide(hidden, everybody["moderator"], reason="Spam")
        thread, reply = Page.objects.get(pk=thread.pk), Page.objects.get(pk=reply.pk)
        for name, user in everybody.items():
            # whose author one is oneself, one still sees
            seen = name == "moderator" or hidden.author == user
            assert access.pages_visible_to(user).filter(pk=reply.pk).exists() == seen, (hidden, name)
            assert access.revisions_visible_to(user).filter(page=reply).exists() == seen
            assert access.links_visible_to(user).filter(source=reply).exists() == seen
            assert access.may_read(user, reply) == seen
            assert not access.may_reply(user, thread)
            assert access.may_edit(user, reply) == (name == "moderator")
        unhide(hidden, everybody["moderator"], reason="It was none")


@pytest.mark.parametrize("protection", Protection)
def test_who_may_edit_what_is_everybodys(everybody: Everybody, protection: Protection) -> None:
    page = create_page(everybody["author"], Kind.SUMMARY, "x", about="gpt2/L5H1")
    page = protect(page, everybody["moderator"], protection, reason="An edit war")
    may = {name for name, user in everybody.items() if access.may_edit(user, page)}
    assert may == ({"author", "other", "moderator"} if protection == Protection.WRITERS else {"moderator"})


def test_moderation_needs_a_reason_and_leaves_an_entry(everybody: Everybody) -> None:
    author, moderator = everybody["author"], everybody["moderator"]
    page = create_page(author, Kind.NOTE, "x", about="gpt2/L5H1")
    with pytest.raises(TextError, match="expected a reason"):
        hide(page, moderator, reason=" ")
    for user in (author, everybody["other"]):
        with pytest.raises(PermissionDenied):
            hide(page, user, reason="Mine")
        with pytest.raises(PermissionDenied):
            protect(page, user, Protection.MODERATORS, reason="Mine")
    with pytest.raises(PermissionDenied):
        retract(page, everybody["other"], reason="Not mine")
    retract(page, author, reason="Wrong")
    hide(page, moderator, reason="Spam")
    hide(page, moderator, reason="Twice")
    page = unhide(page, moderator, reason="It was none")
    assert (page.visibility, page.visibility_reason) == (Visibility.RETRACTED, "Wrong"), "as before it was hidden"
    page = unretract(page, author, reason="Right after all")
    assert (page.visibility, page.visibility_reason) == (Visibility.PUBLISHED, "")
    log = AuditEntry.objects.order_by("id").values_list("actor", "action", "before", "after", "reason")
    assert list(log) == [
        (author.pk, "retract", "published", "retracted", "Wrong"),
        (moderator.pk, "hide", "retracted", "hidden", "Spam"),
        (moderator.pk, "unhide", "hidden", "retracted", "It was none"),
        (author.pk, "unretract", "retracted", "published", "Right after all"),
    ]


def test_tags_are_words_in_one_spelling(everybody: Everybody) -> None:
    page = create_page(everybody["author"], Kind.ARTICLE, "x", title="IOI")
    tag_page(page, everybody["other"], ["Induction heads", "gpt2", "induction  heads", " "])
    tag_page(page, everybody["author"], ["gpt2", "Induction Heads"])
    assert [tag.name for tag in page.tags.all()] == ["gpt2", "induction-heads"]
    assert AuditEntry.objects.get().after == "gpt2, induction-heads"
    with pytest.raises(PermissionDenied):
        tag_page(page, everybody["anonymous"], [])
    with pytest.raises(TextError):
        tag_page(page, everybody["author"], ["x" * 61])


def test_asking_what_is_visible_is_one_query_however_much_there_is(
    everybody: Everybody, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(1, 9):
        thread = create_page(everybody["author"], Kind.TALK, f"[[a {n}]]", about="gpt2/L5H1")
        create_page(everybody["other"], Kind.TALK, "Yes", parent=thread)
        for user in everybody.values():
            with django_assert_num_queries(3):
                assert len(access.pages_visible_to(user).select_related("current", "author", "parent")) == 2 * n
                assert len(access.revisions_visible_to(user).select_related("page", "author")) == 2 * n
                assert len(access.links_visible_to(user).select_related("source")) == n
