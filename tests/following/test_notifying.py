"""Who is told of what, in the transaction that saves it, and of nothing that they may not see."""

from __future__ import annotations

import html
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.following.access import notifications_visible_to
from wiki.following.models import Notification, Preferences
from wiki.following.notifying import MAX_MENTIONED
from wiki.texts.errors import TextError
from wiki.texts.models import Kind, Page, Watch
from wiki.texts.moderation import hide, retract, unhide
from wiki.texts.targets import normalise
from wiki.texts.watching import watch
from wiki.texts.writing import create_page, rename_article, save_revision

pytestmark = pytest.mark.both_databases


def watches(user: User, *targets: str) -> None:
    for words in targets:
        target = normalise(words)
        assert target is not None
        watch(user, target)


def told(user: User) -> list[tuple[str, str, int]]:
    """Reason, page and number of revision of all revisions that somebody is told of, oldest first."""
    rows = notifications_visible_to(user).exclude(revision=None).select_related("revision").order_by("pk")
    return [(row.reason, str(row.page), row.revision.n) for row in rows if row.revision]


@pytest.fixture
def article(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, "What it is.", title="IOI")


def test_who_watches_is_told_of_edits_and_the_author_is_not(alice: User, bob: User, article: Page) -> None:
    watches(bob, "IOI")
    save_revision(article, alice, "What it was.", base_version=1)
    assert told(bob) == [("edit", "IOI", 2)]
    assert told(alice) == []
    save_revision(article, bob, "What it will be.", base_version=2)
    assert told(bob) == [("edit", "IOI", 2)]
    assert told(alice) == [("edit", "IOI", 3)]  # she watches what she writes


def test_a_renamed_article_is_still_watched_by_its_earlier_title(alice: User, bob: User, article: Page) -> None:
    watches(bob, "IOI")
    page = rename_article(article, alice, "Indirect objects")
    save_revision(page, alice, "What it was.", base_version=1)
    assert told(bob) == [("edit", "Indirect objects", 2)]


@pytest.mark.parametrize("target", ["gpt2/L5H1", "gpt2", "@alice"])
def test_watching_a_component_a_model_or_a_person(alice: User, bob: User, gpt2: LanguageModel, target: str) -> None:
    watches(bob, target)
    create_page(alice, Kind.NOTE, "It copies.", about="gpt2/5.1")
    assert [reason for reason, _, _ in told(bob)] == ["edit"]


def test_watching_something_else_tells_nothing(alice: User, bob: User, gpt2: LanguageModel) -> None:
    watches(bob, "gpt2/L5H2", "gpt3", "@bob", "gpt2/L5")
    create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    assert told(bob) == []


def test_mentions_are_told_once_however_often_the_text_is_edited(alice: User, bob: User, article: Page) -> None:
    save_revision(article, alice, "Ask @bob, @nobody and @alice.", base_version=1)
    save_revision(article, alice, "Ask @bob again.", base_version=2)
    assert told(bob) == [("mention", "IOI", 2)]
    assert told(alice) == []


def test_no_text_calls_everybody(alice: User, article: Page) -> None:
    crowd = " ".join(f"@person{n}" for n in range(MAX_MENTIONED + 1))
    with pytest.raises(TextError, match="at most 50 people named in one text, got 51"):
        save_revision(article, alice, crowd, base_version=1)
    article.refresh_from_db()
    assert article.version == 1


def test_who_watches_and_is_named_is_told_of_later_edits(alice: User, bob: User, article: Page) -> None:
    watches(bob, "ioi")
    save_revision(article, alice, "Ask @bob.", base_version=1)
    save_revision(article, alice, "Do ask @bob.", base_version=2)
    assert sorted(told(bob)) == [("edit", "IOI", 3), ("mention", "IOI", 2)]


def test_what_one_watches_being_named_is_told_once(alice: User, bob: User, article: Page, gpt2: LanguageModel) -> None:
    watches(bob, "gpt2/L5H1")
    save_revision(article, alice, "See [[gpt2/L5H1]].", base_version=1)
    save_revision(article, alice, "Do see [[gpt2/L5H1]].", base_version=2)
    assert told(bob) == [("naming", "IOI", 2)]


def test_of_several_reasons_there_is_one(alice: User, bob: User, gpt2: LanguageModel) -> None:
    note = create_page(bob, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    watches(bob, "gpt2", "gpt2/L5H1", "@alice")
    create_page(alice, Kind.TALK, "Does it, @bob? See [[gpt2/L5H1]]", parent=note)
    assert [reason for reason, _, _ in told(bob)] == ["mention"]
    create_page(alice, Kind.TALK, "Does it? See [[gpt2/L5H1]]", parent=note)
    assert [reason for reason, _, _ in told(bob)] == ["mention", "reply"]


def test_replies_are_told_to_whom_they_answer_and_to_the_whole_thread(
    alice: User, bob: User, moderator: User, article: Page
) -> None:
    thread = create_page(bob, Kind.TALK, "Is that so?", parent=article, title="A question")
    assert told(alice) == [("reply", "A question", 1)]
    create_page(moderator, Kind.TALK, "No.", parent=thread)
    reply = create_page(alice, Kind.TALK, "Yes.", parent=thread)
    assert [reason for reason, _, _ in told(bob)] == ["reply", "reply"]
    assert [reason for reason, _, _ in told(moderator)] == ["edit"]
    save_revision(reply, alice, "Yes, it is.", base_version=1)
    assert [reason for reason, _, _ in told(bob)] == ["reply", "reply", "edit"]


def test_what_is_not_saved_tells_nobody(alice: User, bob: User, article: Page) -> None:
    with transaction.atomic():
        save_revision(article, alice, "Ask @bob.", base_version=1)
        transaction.set_rollback(True)
    assert told(bob) == []


def test_a_form_sent_twice_tells_once(alice: User, bob: User, gpt2: LanguageModel) -> None:
    for _ in range(2):
        create_page(alice, Kind.NOTE, "Ask @bob.", about="gpt2/L5H1", submission="one")
    assert len(told(bob)) == 1


def test_what_was_hidden_since_is_told_no_more(
    client: Client, alice: User, bob: User, moderator: User, article: Page
) -> None:
    save_revision(article, alice, "Ask @bob.", base_version=1)
    client.force_login(bob)
    assert b"alice mentions you in IOI" in client.get("/notifications/").content
    assert b'class="unread-count">1' in client.get("/").content
    hide(article, moderator, reason="spam")
    assert told(bob) == []
    assert client.get("/notifications.json").json() == {"notifications": []}
    assert b"IOI" not in client.get("/notifications/").content
    assert b"unread-count" not in client.get("/").content
    pk = Notification.objects.get(receiver=bob).pk
    assert client.get(f"/notifications/{pk}/").status_code == 404
    unhide(article, moderator, reason="not spam")
    assert len(told(bob)) == 1


def test_notifications_are_nobody_elses(client: Client, alice: User, bob: User, moderator: User, article: Page) -> None:
    save_revision(article, alice, "Ask @bob.", base_version=1)
    pk = Notification.objects.get(receiver=bob).pk
    for person in (alice, moderator):
        client.force_login(person)
        assert client.get(f"/notifications/{pk}/").status_code == 404
        assert client.post("/notifications/read/", {"one": pk}).status_code == 404
        client.post("/notifications/read/", {"newest": pk})
        assert client.get("/notifications.json").json() == {"notifications": []}
    assert notifications_visible_to(AnonymousUser()).count() == 0
    assert Notification.objects.get(pk=pk).read_at is None
    client.logout()
    assert client.get("/notifications.json").status_code == 401
    assert client.get(f"/notifications/{pk}/").headers["Location"].startswith("/accounts/login/")


def test_reading_one_and_all(client: Client, alice: User, bob: User, article: Page) -> None:
    watches(bob, "IOI")
    for n in range(1, 4):
        save_revision(article, alice, f"Text {n}", base_version=n)
    client.force_login(bob)
    first, second, third = Notification.objects.order_by("pk").values_list("pk", flat=True)
    assert client.get(f"/notifications/{first}/").headers["Location"] == "/w/ioi/"
    client.post("/notifications/read/", {"one": second})
    assert [each["read"] for each in client.get("/notifications.json").json()["notifications"]] == [False, True, True]
    save_revision(article, alice, "And more", base_version=4)
    client.post("/notifications/read/", {"newest": third})  # the page did not show the fourth yet
    assert [each["read"] for each in client.get("/notifications.json").json()["notifications"]] == [False, *[True] * 3]
    for number in ("", "x", "9" * 30, "٣", "-1"):
        assert client.post("/notifications/read/", {"one": number}).status_code == 404
    assert client.get("/notifications/?page=99999999999999999999").status_code == 200


def test_a_closed_account_is_told_nothing(alice: User, bob: User, article: Page) -> None:
    watches(bob, "IOI")
    bob.is_active = False
    bob.save()
    save_revision(article, alice, "Ask @bob.", base_version=1)
    assert not Notification.objects.exists()


def test_what_one_writes_is_watched_unless_one_does_not_want_it(
    client: Client, alice: User, bob: User, article: Page, gpt2: LanguageModel
) -> None:
    note = create_page(bob, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    create_page(bob, Kind.SUMMARY, "Copies.", about="gpt2/L5H1")
    save_revision(article, bob, "More.", base_version=1)
    assert set(Watch.objects.filter(user=bob).values_list("target", flat=True)) == {f"a/{note.pk}", "gpt2/L5H1", "ioi"}
    client.force_login(alice)
    assert client.post("/accounts/notifications/", {"digest": "off"}).status_code == 302
    assert Preferences.objects.get(user=alice).watches_own is False
    create_page(alice, Kind.NOTE, "It does.", about="gpt2/L5H2")
    assert list(Watch.objects.filter(user=alice).values_list("target", flat=True)) == ["ioi"]


def test_more_watchers_and_mentions_mean_no_more_queries(
    alice: User, gpt2: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def write(n: int) -> list[str]:
        people = [User(username=f"p{n}-{i}", role=Role.RESEARCHER) for i in range(n)]
        User.objects.bulk_create(people)
        people = list(User.objects.filter(username__startswith=f"p{n}-"))
        targets = (f"gpt2/L{n}H1", "gpt2", "@alice")
        Watch.objects.bulk_create(Watch(user=person, target=target) for person in people for target in targets)
        return [person.username for person in people]

    names = write(2)
    with django_assert_num_queries(60, exact=False) as few:
        create_page(alice, Kind.NOTE, " ".join(f"@{name}" for name in names), about="gpt2/L2H1")
    names = write(40)
    with django_assert_num_queries(len(few.captured_queries)):
        create_page(alice, Kind.NOTE, " ".join(f"@{name}" for name in names), about="gpt2/L11H1")
    assert Notification.objects.filter(reason="mention").count() == 42


def test_more_notifications_mean_no_more_queries(
    client: Client, alice: User, bob: User, gpt2: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def write(n: int) -> None:
        for _ in range(n):
            note = create_page(bob, Kind.NOTE, "It copies.", about="gpt2/L5H1")
            thread = create_page(alice, Kind.TALK, "Ask @bob.", parent=note)
            create_page(alice, Kind.TALK, "Ask @bob.", parent=thread)

    write(2)
    client.force_login(bob)
    client.get("/notifications/")
    with django_assert_num_queries(8, exact=False) as few:
        client.get("/notifications/")
    write(12)
    with django_assert_num_queries(len(few.captured_queries)):
        client.get("/notifications/")


def lines(user: User) -> list[tuple[str, str]]:
    """What somebody is told of what was done, and why, oldest first; the same on the page and as data."""
    client = Client()
    client.force_login(user)
    page = client.get("/notifications/").text
    rows = notifications_visible_to(user).filter(revision=None).select_related("entry").order_by("pk")
    data = {each["id"]: each["line"] for each in client.get("/notifications.json").json()["notifications"]}
    for row in rows:
        assert html.escape(row.remark) in page
        assert html.escape(data[row.pk]) in page
    return [(data[row.pk], row.remark) for row in rows]


def test_its_author_is_told_that_a_text_is_hidden_and_why_and_nobody_who_does_not_see_it(
    alice: User, bob: User, moderator: User, article: Page
) -> None:
    watches(bob, "IOI")
    hide(article, moderator, reason="It is an insult & spam")
    assert lines(alice) == [("charlie hid IOI", "It is an insult & spam")]
    assert lines(bob) == lines(moderator) == []
    unhide(article, moderator, reason="It was none")
    assert lines(alice) == [
        ("charlie hid IOI", "It is an insult & spam"),
        ("charlie showed IOI again", "It was none"),
    ]
    assert lines(bob) == [("charlie showed IOI again", "It was none")]
    hide(article, moderator, reason="It is one")
    assert lines(bob) == []
    assert lines(moderator) == []


def test_what_a_moderator_takes_back_its_author_and_watchers_are_told_of(
    alice: User, bob: User, moderator: User, gpt2: LanguageModel
) -> None:
    note = create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    watches(bob, f"a/{note.pk}")
    retract(note, moderator, reason="Wrong")
    assert lines(alice) == lines(bob) == [("charlie took back note on gpt2/L5H1 by alice", "Wrong")]


def test_who_watches_an_article_by_any_title_is_told_of_another(alice: User, bob: User, article: Page) -> None:
    watches(bob, "IOI")
    rename_article(article, alice, "Indirect objects")
    assert lines(bob) == [("alice renamed “IOI” to “Indirect objects”", "")]
    assert lines(alice) == []
    rename_article(article, alice, "Objects")
    assert [line for line, _ in lines(bob)][1:] == ["alice renamed “Indirect objects” to “Objects”"]


def test_more_watchers_mean_no_more_queries_where_something_is_done(
    alice: User, moderator: User, article: Page, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def watched_by(n: int) -> None:
        User.objects.bulk_create(User(username=f"p{n}-{i}", role=Role.RESEARCHER) for i in range(n))
        people = User.objects.filter(username__startswith=f"p{n}-")
        Watch.objects.bulk_create(Watch(user=person, target=t) for person in people for t in ("ioi", f"a/{article.pk}"))

    def act(title: str) -> None:
        rename_article(article, alice, title)
        hide(article, moderator, reason="Spam")
        unhide(article, moderator, reason="No spam")

    watched_by(2)
    with django_assert_num_queries(60, exact=False) as few:
        act("Objects")
    watched_by(40)
    with django_assert_num_queries(len(few.captured_queries)):
        act("Indirect objects")
    assert Notification.objects.filter(reason="rename").count() == 2 + 42


def test_a_notification_of_a_reply_leads_into_its_thread_and_says_when(
    client: Client, alice: User, bob: User, moderator: User, article: Page
) -> None:
    thread = create_page(bob, Kind.TALK, "Is that so?", parent=article, title="A question")
    hidden, *replies = (create_page(alice, Kind.TALK, f"Yes, {n}.", parent=thread) for n in range(53))
    hide(hidden, moderator, reason="Spam")
    Notification.objects.filter(revision__page=replies[51]).update(created_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    client.force_login(bob)
    # he sees 52 replies, 50 on a page
    for reply, place in ((replies[0], 1), (replies[49], 1), (replies[50], 2), (replies[51], 2)):
        told = Notification.objects.get(receiver=bob, page=reply)
        address = client.get(f"/notifications/{told.pk}/").headers["Location"]
        assert address == f"/a/{thread.pk}/?page={place}#text-{reply.pk}"
        assert f'id="text-{reply.pk}"' in client.get(address).text
    told = Notification.objects.get(receiver=alice, page=thread)
    client.force_login(alice)
    assert client.get(f"/notifications/{told.pk}/").headers["Location"] == f"/a/{thread.pk}/"
    client.force_login(bob)
    assert ">4 Mar, 05:06<" in client.get("/notifications/?page=2").text
