"""Digests: when they are due, what is in them, once however many send, and how one stops them."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from wiki.accounts.models import User
from wiki.following.digests import MAX_SHOWN, due_digests, send_digest, send_digests, token_of
from wiki.following.models import Digest, Notification, Preferences
from wiki.texts.models import Kind, Page
from wiki.texts.moderation import hide
from wiki.texts.writing import create_page

pytestmark = pytest.mark.both_databases


@pytest.fixture
def article(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, "What it is.", title="IOI")


@pytest.fixture
def reader(client: Client, bob: User) -> User:
    """Bob, who asked for a digest a day in the browser."""
    bob.email = "bob@example.org"
    bob.save()
    bob.emailaddress_set.create(email=bob.email, verified=True, primary=True)
    client.force_login(bob)
    response = client.post("/accounts/notifications/", {"watches_own": "on", "digest": "daily"})
    assert response.status_code == 302
    return bob


def mention(article: Page, author: User, name: str, n: int = 1) -> None:
    create_page(author, Kind.TALK, f"Ask @{name}, {n}", parent=article, title=f"Thread {n}")


def later(days: float) -> None:
    """Let time pass since the last digests."""
    for row in Preferences.objects.exclude(digest_sent_at=None):
        Preferences.objects.filter(pk=row.pk).update(digest_sent_at=row.digest_sent_at - timedelta(days=days))


def test_what_was_not_read_is_sent_once_with_links_that_lead_here(alice: User, reader: User, article: Page) -> None:
    mention(article, alice, "bob")
    call_command("send_digests")
    call_command("send_digests")
    (message,) = mail.outbox
    assert message.to == ["bob@example.org"]
    assert message.subject == "[Loupe] 1 new notification"
    pk = Notification.objects.get(receiver=reader).pk
    assert f"- alice mentions you in Thread 1\n  http://testserver/notifications/{pk}/" in message.body
    unsubscribe = f"http://testserver/accounts/unsubscribe/{token_of(reader)}/"
    assert unsubscribe in message.body
    assert message.extra_headers == {
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_the_next_one_is_a_day_or_a_week_later_and_has_only_what_is_new(
    alice: User, reader: User, article: Page
) -> None:
    mention(article, alice, "bob")
    assert send_digests() == 1
    mention(article, alice, "bob", 2)
    assert send_digests() == 0
    later(days=1.01)
    assert send_digests() == 1
    assert "Thread 2" in mail.outbox[1].body
    assert "Thread 1" not in mail.outbox[1].body
    Preferences.objects.update(digest=Digest.WEEKLY)
    mention(article, alice, "bob", 3)
    later(days=1.01)
    assert send_digests() == 0
    later(days=6)
    assert send_digests() == 1
    later(days=30)
    assert send_digests() == 0  # there is nothing new


@pytest.mark.parametrize("why", ["off", "read", "hidden", "closed", "unverified", "not primary"])
def test_nothing_is_sent(alice: User, reader: User, moderator: User, article: Page, why: str) -> None:
    mention(article, alice, "bob")
    match why:
        case "off":
            Preferences.objects.update(digest=Digest.OFF)
        case "read":
            Notification.objects.update(read_at=timezone.now())
        case "hidden":
            hide(article, moderator, reason="spam")
        case "closed":
            User.objects.filter(pk=reader.pk).update(is_active=False)
        case "unverified":
            reader.emailaddress_set.update(verified=False)
        case "not primary":
            reader.emailaddress_set.update(primary=False)
    assert send_digests() == 0
    assert mail.outbox == []
    assert Preferences.objects.get().digest_sent_at is None


def test_what_is_hidden_is_not_in_it(alice: User, reader: User, moderator: User, article: Page) -> None:
    mention(article, alice, "bob", 1)
    mention(article, alice, "bob", 2)
    hide(Page.objects.get(title="Thread 1"), moderator, reason="spam")
    send_digests()
    assert "Thread 2" in mail.outbox[0].body
    assert "Thread 1" not in mail.outbox[0].body


def test_a_long_one_says_that_there_is_more(alice: User, reader: User, article: Page) -> None:
    for n in range(MAX_SHOWN + 3):
        mention(article, alice, "bob", n)
    send_digests()
    assert mail.outbox[0].subject == "[Loupe] more than 50 new notifications"
    assert mail.outbox[0].body.count("mentions you") == MAX_SHOWN
    assert "…and more: http://testserver/notifications/" in mail.outbox[0].body


def test_a_mail_server_that_fails_is_asked_again(
    alice: User, reader: User, article: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    mention(article, alice, "bob")

    def refuse(self: object) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", refuse)
        assert send_digests() == 0
    assert send_digests() == 1


def test_who_has_nothing_to_see_keeps_nobody_waiting(
    alice: User, reader: User, moderator: User, article: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiki.following.digests.MAX_SENT", 1)
    for n in range(5):
        person = User.objects.create_user(f"person{n}", email=f"person{n}@example.org", role=reader.role)
        person.emailaddress_set.create(email=person.email, verified=True, primary=True)
        Preferences.objects.create(user=person, digest=Digest.DAILY, site="http://testserver")
        mention(article, alice, person.username, n)
        hide(Page.objects.get(title=f"Thread {n}"), moderator, reason="spam")
    mention(article, alice, "bob", 9)
    for _ in range(6):
        send_digests()
    assert [message.to for message in mail.outbox] == [["bob@example.org"]]


def test_what_is_read_or_hidden_after_it_was_found_due_sends_nothing(alice: User, reader: User, article: Page) -> None:
    mention(article, alice, "bob")
    (due,) = due_digests()
    Notification.objects.update(read_at=timezone.now())
    assert not send_digest(due)
    assert mail.outbox == []


def test_a_process_that_read_the_row_earlier_sends_nothing(alice: User, reader: User, article: Page) -> None:
    mention(article, alice, "bob")
    (first,), (second,) = due_digests(), due_digests()
    assert (send_digest(first), send_digest(second)) == (True, False)
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_run_many_times_at_once_it_is_sent_once(alice: User, reader: User, article: Page) -> None:
    mention(article, alice, "bob")
    barrier = threading.Barrier(6)

    def together(send: Callable[[], object]) -> None:
        barrier.wait()
        send()
        connection.close()

    threads = [threading.Thread(target=together, args=(send_digests,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mail.outbox) == 1


def test_one_click_stops_them_and_looking_at_the_link_does_not(alice: User, reader: User) -> None:
    visitor = Client(enforce_csrf_checks=True)
    address = f"/accounts/unsubscribe/{token_of(reader)}/"
    assert b"bob will get no more digests" in visitor.get(address).content
    assert Preferences.objects.get().digest == Digest.DAILY
    assert visitor.post(address, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Preferences.objects.get().digest == Digest.OFF
    for token in ("x", token_of(reader)[:-1] + "~", token_of(alice).replace(":", "")):
        assert visitor.post(f"/accounts/unsubscribe/{token}/").status_code == 404


def test_the_form_refuses_what_is_no_period_and_keeps_what_was_chosen(client: Client, reader: User) -> None:
    response = client.post("/accounts/notifications/", {"digest": "hourly"})
    assert response.status_code == 400
    assert Preferences.objects.get().digest == Digest.DAILY
    assert b'value="daily" selected' in client.get("/accounts/notifications/").content
    client.logout()
    assert client.get("/accounts/notifications/").status_code == 302
