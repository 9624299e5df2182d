"""What moderators do to texts and people, and what those notice of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import Role, User
from wiki.accounts.roles import give_role
from wiki.moderation.blocking import block
from wiki.moderation.reports import report_text
from wiki.texts.access import may_edit, may_hide, may_read, may_reply, may_write, revisions_visible_to
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.errors import TextError, WriterBlocked
from wiki.texts.models import AuditEntry, Kind, Page, Revision, WithheldRevision
from wiki.texts.moderation import hide, unwithhold_revision, withheld_revisions, withhold_revision
from wiki.texts.writing import create_page, revert_to, save_revision

from .conftest import make_person, signed_in


def in_days(n: int) -> timezone.datetime:  # type: ignore[name-defined]
    return timezone.now() + timedelta(days=n)


def test_moderators_hide_protect_and_show_again_with_a_reason(page: Page, alice: User, charlie: User) -> None:
    moderator, address = signed_in(charlie), f"/a/{page.pk}/moderate/"
    for posted, expected in (
        ({"action": "hide", "reason": "Spam"}, ("hidden", "writers")),
        ({"action": "unhide", "reason": "It was none"}, ("published", "writers")),
        ({"action": "protect", "protection": "reviewers", "reason": "A war"}, ("published", "reviewers")),
    ):
        assert moderator.post(address, posted).status_code == 302
        page.refresh_from_db()
        assert (page.visibility, page.protection) == expected
    for posted in ({"action": "hide"}, {"action": "explode", "reason": "x"}, {"action": "hide", "reason": " "}):
        assert moderator.post(address, posted).status_code == 400
    for other in (alice, make_person("dave", Role.REVIEWER)):
        assert signed_in(other).get(address).status_code == 403
        assert signed_in(other).post(address, {"action": "hide", "reason": "Mine"}).status_code == 403
    assert [entry.action for entry in AuditEntry.objects.all()] == ["protect", "unhide", "hide"]
    assert "It was none" in moderator.get(address).content.decode()


def test_buttons_are_for_who_may_press_them(page: Page, alice: User, charlie: User, client: object) -> None:
    article = signed_in(alice).get("/w/pills/").content.decode()
    assert f"/a/{page.pk}/report/" in article
    assert f"/a/{page.pk}/moderate/" not in article
    assert f"/a/{page.pk}/moderate/" in signed_in(charlie).get("/w/pills/").content.decode()


def test_one_revision_is_withheld_from_all_but_moderators(page: Page, alice: User, charlie: User) -> None:
    save_revision(page, alice, "My neighbour's number is 123", base_version=1)
    with pytest.raises(TextError, match="expected one of the revisions before the newest, 2"):
        withhold_revision(page, charlie, 2, reason="Private")
    revert_to(page, charlie, 1, base_version=2)
    with pytest.raises(PermissionDenied):
        withhold_revision(page, alice, 2, reason="Mine")
    moderator, address = signed_in(charlie), f"/a/{page.pk}/moderate/"
    assert moderator.post(address, {"action": "withhold", "n": "2", "reason": "Private"}).status_code == 302
    assert moderator.post(address, {"action": "withhold", "n": "9", "reason": "Private"}).status_code == 400
    assert [each.n for each in revisions_visible_to(alice).filter(page=page)] == [3, 1]
    assert [each.n for each in revisions_visible_to(charlie).filter(page=page)] == [3, 2, 1]
    (withheld,) = withheld_revisions(page)
    assert (withheld.revision.n, withheld.revision.author, withheld.by, withheld.reason) == (
        2,
        alice,
        charlie,
        "Private",
    )
    page.refresh_from_db()
    with pytest.raises(TextError, match="expected one of 1 to 3"):
        revert_to(page, alice, 2, base_version=3)
    assert Revision.objects.get(page=page, n=2).text == "My neighbour's number is 123", "nothing is lost"
    with pytest.raises(TextError, match="expected a reason"):
        unwithhold_revision(page, charlie, 2, reason="")
    unwithhold_revision(page, charlie, 2, reason="It was public")
    assert revisions_visible_to(alice).filter(page=page).count() == 3
    assert not WithheldRevision.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.all()] == ["unwithhold", "withhold"]


def test_a_blocked_person_reads_and_is_told_until_when_and_why(page: Page, alice: User, charlie: User) -> None:
    moderator, writer = signed_in(charlie), signed_in(alice)
    assert moderator.post("/people/alice/block/", {"days": "7", "reason": "Insults"}).status_code == 302
    alice = User.objects.get(pk=alice.pk)
    assert alice.is_blocked
    sentence = r"alice is blocked until \d+ \w+ \d{4}, \d\d:\d\d UTC and reads until then. The reason: Insults"
    with pytest.raises(WriterBlocked, match=sentence) as refused:
        create_page(alice, Kind.ARTICLE, "x", title="More pills")
    assert refused.value.status == 403
    with pytest.raises(WriterBlocked):
        save_revision(page, alice, "x", base_version=1)
    assert may_read(alice, page)
    assert not (may_write(alice))
    assert not (may_edit(alice, page))
    assert not (may_reply(alice, page))
    keep_draft(alice, draft_target(page), "What was typed is kept", page=page)
    answer = writer.get("/w/pills/")
    assert (answer.status_code, answer.wsgi_request.user) == (200, alice), "still signed in"
    assert re.search(sentence, writer.post(f"/a/{page.pk}/report/", {"reason": "x"}).content.decode())
    assert "Insults" in writer.get("/people/alice/").content.decode()
    assert "Insults" not in signed_in(make_person("dave", Role.REVIEWER)).get("/people/alice/").content.decode()
    assert moderator.post("/people/alice/block/", {"lift": "yes", "reason": "Apologised"}).status_code == 302
    save_revision(page, User.objects.get(pk=alice.pk), "x", base_version=1)
    log = AuditEntry.objects.values_list("action", "person__username", "actor__username", "reason")
    assert list(log) == [("unblock", "alice", "charlie", "Apologised"), ("block", "alice", "charlie", "Insults")]


def test_a_block_ends_by_itself(page: Page, alice: User, charlie: User) -> None:
    alice = block(alice, charlie, until=in_days(1), reason="Insults")
    User.objects.filter(pk=alice.pk).update(blocked_until=timezone.now())
    assert save_revision(page, User.objects.get(pk=alice.pk), "x", base_version=1).n == 2


def test_a_request_that_began_before_the_block_is_refused_by_what_the_database_says(
    page: Page, alice: User, charlie: User
) -> None:
    block(alice, charlie, until=in_days(1), reason="Insults")
    assert not User(pk=alice.pk, blocked_until=None).is_blocked
    with pytest.raises(WriterBlocked):
        save_revision(page, User.objects.defer("blocked_until").get(pk=alice.pk), "x", base_version=1)
    stale = User.objects.get(pk=alice.pk)
    stale.blocked_until = None
    with pytest.raises(WriterBlocked):
        save_revision(page, stale, "x", base_version=1)


def test_moderators_block_those_below_them_and_a_blocked_one_moderates_nothing(
    page: Page, alice: User, charlie: User
) -> None:
    admin, other = make_person("admin", Role.ADMIN), make_person("dave", Role.MODERATOR)
    for whom in (charlie, other, admin):
        with pytest.raises(PermissionDenied):
            block(whom, charlie, until=in_days(1), reason="x")
        assert signed_in(charlie).post(f"/people/{whom}/block/", {"days": "1", "reason": "x"}).status_code == 403
    with pytest.raises(PermissionDenied):
        block(charlie, alice, until=in_days(1), reason="x")
    charlie = block(charlie, admin, until=in_days(1), reason="Too eager")
    assert not may_hide(charlie, page)
    with pytest.raises(PermissionDenied):
        block(alice, charlie, until=in_days(1), reason="x")
    with pytest.raises(PermissionDenied):
        hide(page, charlie, reason="x")
    with pytest.raises(PermissionDenied, match="Too eager"):
        report_text(page, charlie, reason="x")


@pytest.mark.parametrize(
    ("days", "reason", "match"), [(1, " ", "expected a reason"), (-1, "Spam", "expected a time to come")]
)
def test_a_block_needs_a_reason_and_a_time_to_come(
    alice: User, charlie: User, days: int, reason: str, match: str
) -> None:
    with pytest.raises(TextError, match=match):
        block(alice, charlie, until=in_days(days), reason=reason)
    for posted in ({"days": "7", "reason": reason.strip()}, {"days": "8", "reason": "Spam"}):
        if not (posted["reason"] and posted["days"] == "7"):
            assert signed_in(charlie).post("/people/alice/block/", posted).status_code == 400
    assert not AuditEntry.objects.exists()


def test_roles_that_people_give_are_in_the_audit_log_and_those_of_commands_are_not(alice: User, charlie: User) -> None:
    signed_in(charlie).post("/people/alice/role/", {"role": str(Role.REVIEWER.value)})
    signed_in(charlie).post("/people/alice/role/", {"role": str(Role.REVIEWER.value)})
    give_role(alice, Role.READER)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.person, entry.page) == (charlie, alice, None)
    assert (entry.action, entry.before, entry.after) == ("role", "researcher", "reviewer")


def test_the_audit_log_is_filtered_by_what_its_address_says(page: Page, alice: User, charlie: User) -> None:
    other = make_person("dave", Role.MODERATOR)
    hide(page, charlie, reason="Spam")
    block(alice, other, until=in_days(1), reason="Insults")
    moderator = signed_in(charlie)

    def actions(query: str) -> list[str]:
        shown = moderator.get(f"/audit/?{query}").content.decode()
        data = moderator.get(f"/audit.json?{query}").json()["entries"]
        assert all(
            (reason in shown) == any(each["reason"] == reason for each in data) for reason in ("Spam", "Insults")
        )
        return [each["action"] for each in data]

    assert actions("") == ["block", "hide"]
    assert actions("action=hide") == actions("by=charlie") == actions(f"page={page.pk}") == ["hide"]
    assert actions("person=alice") == actions("by=dave&action=block") == ["block"]
    assert actions("page=nine") == actions("page=" + "9" * 30) == actions("by=nobody") == actions("action=x") == []
    assert signed_in(alice).get("/audit.json").status_code == 403


def test_more_entries_mean_no_more_queries_and_they_are_paged(
    alice: User, page: Page, charlie: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    moderator = signed_in(charlie)
    for n in (2, 60):
        for each in range(n):
            person = make_person(f"reader-{n}-{each}", Role.READER)
            block(person, charlie, until=in_days(1), reason="Spam")
            AuditEntry.objects.create(actor=alice, page=page, action="tag", after=str(each))
        for address in ("/audit/", "/audit.json", f"/a/{page.pk}/moderate/", "/people/alice/block/"):
            with django_assert_max_num_queries(8):
                assert moderator.get(address).status_code == 200
    query, numbers = "?", []
    while query:
        data = moderator.get(f"/audit.json{query}").json()
        numbers += [each["id"] for each in data["entries"]]
        query = data["next"]
    assert len(numbers) == len(set(numbers)) == 124
