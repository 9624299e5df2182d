"""Pages and revisions: what is saved, what is refused, and that nothing that was saved changes."""

from __future__ import annotations

import hashlib

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.db.models import F, ProtectedError

from wiki.accounts.models import User
from wiki.texts.append_only import AppendOnlyError
from wiki.texts.drafts import discard_draft, draft_target, find_draft, keep_draft, new_draft_target
from wiki.texts.errors import AlreadyThere, EditConflict, TextError
from wiki.texts.merging import merge
from wiki.texts.models import Alias, AuditEntry, Draft, Kind, Page
from wiki.texts.moderation import hide, protect, retract, unretract
from wiki.texts.targets import normalise, resolve
from wiki.texts.writing import create_page, name_article, rename_article, revert_to, save_revision

pytestmark = pytest.mark.both_databases


@pytest.fixture
def ioi(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, "one\ntwo\nthree\n", title="IOI")


def texts(page: Page) -> list[str]:
    return list(page.revisions.order_by("n").values_list("text", flat=True))


def test_a_new_page_has_one_revision_with_its_digest(alice: User) -> None:
    page = create_page(alice, Kind.NOTE, "Copies.\r\nOften.", about="gpt2/5.1", survey="ab" * 32, fields={"quote": "é"})
    page.refresh_from_db()
    assert (page.model_slug, page.component, page.version, page.about) == ("gpt2", "L5H1", 1, "gpt2/L5H1")
    revision = page.revisions.get()
    assert page.current == revision
    assert (revision.n, revision.text, revision.author, revision.base) == (1, "Copies.\nOften.", alice, None)
    assert revision.digest == hashlib.sha256(b"Copies.\nOften.").hexdigest()
    assert (revision.survey, revision.fields) == ("ab" * 32, {"quote": "é"})


def test_saving_adds_a_revision_on_the_one_that_was_seen(ioi: Page, alice: User, bob: User) -> None:
    revision = save_revision(ioi, bob, "one\n2\nthree\n", base_version=1, summary="Shorter")
    ioi.refresh_from_db()
    assert (revision.n, revision.author, revision.summary) == (2, bob, "Shorter")
    assert revision.base == ioi.revisions.get(n=1)
    assert (ioi.current, ioi.version, ioi.author) == (revision, 2, alice)
    assert texts(ioi) == ["one\ntwo\nthree\n", "one\n2\nthree\n"]


def test_saving_on_an_older_revision_is_a_conflict_that_carries_what_merging_needs(
    ioi: Page, alice: User, bob: User
) -> None:
    save_revision(ioi, bob, "one\ntwo\nTHREE\n", base_version=1)
    with pytest.raises(EditConflict) as caught:
        save_revision(ioi, alice, "ONE\ntwo\nthree\n", base_version=1)
    conflict = caught.value
    assert str(conflict) == "Saving IOI: expected revision 1 to be the newest, got revision 2 by bob."
    assert (conflict.base.n, conflict.theirs.n) == (1, 2)
    merged = merge(conflict.base.text, conflict.yours, conflict.theirs.text).text
    assert merged == "ONE\ntwo\nTHREE\n"
    assert len(texts(ioi)) == 2
    save_revision(ioi, alice, merged, base_version=2)
    assert texts(ioi)[-1] == merged


def test_a_text_that_says_the_same_saves_nothing(ioi: Page, bob: User) -> None:
    assert save_revision(ioi, bob, "one\r\ntwo\r\nthree\r\n", base_version=1).n == 1
    assert len(texts(ioi)) == 1
    assert save_revision(ioi, bob, "one\ntwo\nthree\n", base_version=1, fields={"scope": "x"}).n == 2
    assert save_revision(ioi, bob, "four", base_version=2).fields == {"scope": "x"}, "kept unless they are given"


def test_a_base_that_never_was_is_refused(ioi: Page, bob: User) -> None:
    for base_version in (0, 2):
        with pytest.raises(TextError, match="expected a revision from 1 to 1"):
            save_revision(ioi, bob, "x", base_version=base_version)


def test_a_form_that_is_sent_twice_is_one_revision_and_with_other_words_another(
    ioi: Page, alice: User, bob: User
) -> None:
    first = save_revision(ioi, bob, "x", base_version=1, submission="k")
    save_revision(ioi, alice, "y", base_version=2)
    assert save_revision(ioi, bob, "x", base_version=1, submission="k") == first
    with pytest.raises(EditConflict):
        save_revision(ioi, bob, "x and more", base_version=1, submission="k")
    with pytest.raises(EditConflict):
        save_revision(ioi, alice, "x", base_version=1, submission="k")
    note = create_page(bob, Kind.NOTE, "x", about="gpt2/L5H1", submission="k")
    assert create_page(bob, Kind.NOTE, "x", about="gpt2/L5H1", submission="k") == note
    assert create_page(bob, Kind.NOTE, "z", about="gpt2/L5H1", submission="k") != note
    assert create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", submission="k") != note
    assert texts(ioi) == ["one\ntwo\nthree\n", "x", "y"]


def test_reverting_is_a_new_revision_that_says_what_the_old_one_said(ioi: Page, alice: User, bob: User) -> None:
    save_revision(ioi, bob, "spam", base_version=1, fields={"a": 1})
    revision = revert_to(ioi, alice, 1, base_version=2)
    assert (revision.n, revision.text, revision.fields, revision.summary) == (
        3,
        "one\ntwo\nthree\n",
        {},
        "Back to revision 1",
    )
    assert revision.base == ioi.revisions.get(n=2)
    with pytest.raises(EditConflict):
        revert_to(ioi, alice, 2, base_version=2)
    with pytest.raises(TextError, match="revision 9"):
        revert_to(ioi, alice, 9, base_version=3)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "é" * 100_001])
def test_what_is_no_text_is_refused_with_a_sentence(ioi: Page, alice: User, text: str) -> None:
    with pytest.raises(TextError, match=r"^Saving a text: expected"):
        save_revision(ioi, alice, text, base_version=1)


@pytest.mark.parametrize("title", ["", " ", "L5H1", "5.1", "gpt2/L5H1", "a[b]", "@alice", "#", "x" * 201, "a\0", "<b>"])
def test_a_title_that_links_could_not_name_is_refused(alice: User, title: str) -> None:
    with pytest.raises(TextError, match=r"^Choosing a title"):
        create_page(alice, Kind.ARTICLE, "x", title=title)


@pytest.mark.parametrize("title", ["Replications", " replications", "REPLICATIONS"])
def test_a_page_of_the_site_is_no_title(ioi: Page, alice: User, title: str) -> None:
    for name in (
        lambda: create_page(alice, Kind.ARTICLE, "Text", title=title),
        lambda: rename_article(ioi, alice, title),
        lambda: name_article(ioi, alice, title),
    ):
        with pytest.raises(TextError, match="is a page of the site itself; choose another"):
            name()


def test_a_title_and_a_summary_are_there_once(ioi: Page, alice: User, bob: User) -> None:
    with pytest.raises(AlreadyThere) as caught:
        create_page(bob, Kind.ARTICLE, "x", title="ioi")
    assert caught.value.page == ioi
    summary = create_page(alice, Kind.SUMMARY, "x", about="gpt2/L5H1")
    with pytest.raises(AlreadyThere) as caught:
        create_page(bob, Kind.SUMMARY, "y", about="gpt2/a5.h1")
    assert caught.value.page == summary


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        (Kind.SUMMARY, ""),
        (Kind.NOTE, ""),
        (Kind.TALK, ""),
        (Kind.ARTICLE, "gpt2"),
        (Kind.NOTE, "GPT 2"),
        (Kind.NOTE, "gpt2/x"),
    ],
)
def test_each_kind_hangs_on_what_it_is_for(alice: User, kind: Kind, about: str) -> None:
    with pytest.raises(TextError):
        create_page(alice, kind, "x", about=about, title="T" if kind == Kind.ARTICLE else "")


def test_a_reply_is_in_a_thread_and_no_deeper(ioi: Page, alice: User, bob: User) -> None:
    thread = create_page(alice, Kind.TALK, "Is it?", title="Doubts", parent=ioi)
    reply = create_page(bob, Kind.TALK, "It is.", parent=thread)
    with pytest.raises(TextError, match="expected a thread, got a reply"):
        create_page(alice, Kind.TALK, "x", parent=reply)
    about_head = create_page(alice, Kind.TALK, "x", about="gpt2/L5H1")
    reply = create_page(bob, Kind.TALK, "y", parent=about_head)
    with pytest.raises(TextError, match="expected a thread, got a reply"):
        create_page(alice, Kind.TALK, "x", parent=reply)


def test_a_renamed_article_keeps_its_titles_for_itself(ioi: Page, alice: User, bob: User) -> None:
    rename_article(ioi, bob, "Indirect object identification")
    ioi.refresh_from_db()
    assert (ioi.title, ioi.key) == ("Indirect object identification", "indirect-object-identification")
    assert set(Alias.objects.values_list("key", "page")) == {
        ("ioi", ioi.pk),
        ("indirect-object-identification", ioi.pk),
    }
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.before, entry.after) == (
        bob,
        "rename",
        "IOI",
        "Indirect object identification",
    )
    with pytest.raises(AlreadyThere):
        create_page(alice, Kind.ARTICLE, "x", title="IOI")
    other = create_page(alice, Kind.ARTICLE, "x", title="Other")
    with pytest.raises(AlreadyThere):
        rename_article(other, alice, "ioi")
    rename_article(ioi, alice, "IOI")
    assert Alias.objects.filter(page=ioi).count() == 2


def test_nothing_changes_or_removes_a_revision(ioi: Page, alice: User) -> None:
    revision = ioi.revisions.get()
    entry = AuditEntry.objects.create(actor=alice, page=ioi, action="tag")
    revision.text = entry.reason = "changed"
    for row in (revision, entry):
        for attempt in (
            row.save,
            lambda row=row: row.save(force_update=True),
            row.delete,
            lambda row=row: type(row).objects.update(id=F("id")),
            lambda row=row: type(row).objects.filter(pk=row.pk).delete(),
            lambda row=row: type(row).objects.all()._raw_delete(None),
            lambda row=row: type(row).objects.bulk_update([row], ["created_at"]),
            lambda row=row: type(row)._base_manager.update(id=F("id")),
            lambda row=row: type(row).objects.bulk_create(
                [row], update_conflicts=True, update_fields=["created_at"], unique_fields=["id"]
            ),
        ):
            with pytest.raises(AppendOnlyError):
                attempt()
    with pytest.raises(AppendOnlyError):
        ioi.revisions.update(text="")
    with pytest.raises(ProtectedError):
        ioi.delete()
    with pytest.raises(ProtectedError):
        alice.delete()
    assert texts(ioi) == ["one\ntwo\nthree\n"]


@pytest.mark.parametrize("table", ["texts_revision", "texts_auditentry"])
def test_the_database_itself_refuses_to_change_what_is_append_only(ioi: Page, alice: User, table: str) -> None:
    AuditEntry.objects.create(actor=alice, page=ioi, action="tag")
    statements = [f"UPDATE {table} SET created_at = created_at"]  # noqa: S608
    if connection.vendor == "postgresql":
        statements.append(f"DELETE FROM {table}")  # noqa: S608
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_draft_is_kept_once_a_target_and_goes_when_its_page_is_saved(ioi: Page, alice: User, bob: User) -> None:
    target = draft_target(ioi)
    keep_draft(alice, target, "o", page=ioi, base_version=1)
    keep_draft(alice, target, "on", page=ioi, base_version=1)
    keep_draft(bob, target, "bob's", page=ioi, base_version=1)
    new = new_draft_target(Kind.NOTE, "gpt2/L5H1")
    keep_draft(alice, new, "A note")
    found = find_draft(alice, target)
    assert found
    assert (found.text, found.base_version, Draft.objects.count()) == ("on", 1, 3)
    save_revision(ioi, bob, "x", base_version=1)
    assert find_draft(bob, target) is None
    assert find_draft(alice, target) == found
    assert discard_draft(alice, new)
    assert not discard_draft(alice, new)
    assert not discard_draft(bob, target)
    assert find_draft(alice, target) == found


def test_a_draft_outlives_a_conflict(ioi: Page, alice: User, bob: User) -> None:
    keep_draft(alice, draft_target(ioi), "mine", page=ioi, base_version=1)
    save_revision(ioi, bob, "x", base_version=1)
    with pytest.raises(EditConflict):
        save_revision(ioi, alice, "mine", base_version=1)
    found = find_draft(alice, draft_target(ioi))
    assert found
    assert found.text == "mine"


def test_services_refuse_who_may_not(ioi: Page, alice: User, bob: User, moderator: User) -> None:
    note = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1")
    with pytest.raises(PermissionDenied, match="got bob"):
        save_revision(note, bob, "y", base_version=1)
    protect(ioi, moderator, "moderators", reason="An edit war")
    with pytest.raises(PermissionDenied):
        save_revision(ioi, alice, "y", base_version=1)
    save_revision(ioi, moderator, "y", base_version=1)
    retract(note, alice, reason="Wrong")
    with pytest.raises(PermissionDenied):
        save_revision(note, alice, "y", base_version=1)
    with pytest.raises(PermissionDenied):
        create_page(bob, Kind.TALK, "Why?", parent=note)
    hide(ioi, moderator, reason="Spam")
    with pytest.raises(PermissionDenied):
        rename_article(ioi, alice, "New")
    alice.is_active = False
    with pytest.raises(PermissionDenied):
        create_page(alice, Kind.NOTE, "x", about="gpt2")


def test_an_article_has_as_many_names_as_it_is_given(alice: User, bob: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "Words.", title="Name movers")
    other = create_page(alice, Kind.ARTICLE, "See [[NMH]].", title="Other")
    name_article(page, bob, "NMH")
    name_article(page, bob, "NMH")
    (found,) = resolve([target for target in [normalise("NMH")] if target], user=bob).values()
    assert found.page == page
    assert Page.objects.get(pk=page.pk).title == "Name movers"
    with pytest.raises(AlreadyThere, match="“NMH” leads to another article already"):
        name_article(other, bob, "NMH")
    entry = page.audit_entries.get()
    assert (entry.action, entry.actor, entry.after) == ("name", bob, "NMH")


def test_what_a_moderator_retracted_its_author_does_not_bring_back(alice: User, moderator: User) -> None:
    note = create_page(alice, Kind.NOTE, "Copies.", about="gpt2/L5H1")
    retract(note, alice, reason="Wrong")
    assert unretract(note, alice, reason="Right").visibility == "published"
    retract(note, moderator, reason="Wrong")
    with pytest.raises(PermissionDenied, match="Unretract"):
        unretract(note, alice, reason="Right")
    assert unretract(note, moderator, reason="Right").visibility == "published"


def test_a_refusal_says_a_title_as_it_is_spelt(ioi: Page, bob: User) -> None:
    title = Page.objects.get(pk=ioi.pk).title
    assert title != title.capitalize()
    with pytest.raises(PermissionDenied, match=f"^Hide {title}: expected"):
        hide(ioi, bob, reason="x")
