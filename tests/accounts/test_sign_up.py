"""From an invitation in a mailbox to the first sign-in, and each way in which that is refused."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from wiki.accounts.invitations import InvitationError, hash_of, invite, use_invitation
from wiki.accounts.models import Invitation, Role, User

from .conftest import PASSWORD, make_person

NEW = {"username": "bob", "email": "bob@example.org", "password1": PASSWORD, "password2": PASSWORD}


def link_in(message: EmailMessage) -> str:
    """The one address of a message, without scheme and host."""
    (path,) = re.findall(r"^http://testserver(/\S+)$", message.body, re.MULTILINE)
    return str(path)


def text_of(response: HttpResponse) -> str:
    return response.content.decode()


def signed_in(client: Client) -> str:
    """Who is signed in, by what home shows; empty for nobody."""
    found = re.search(r'href="/people/([^/"]+)/"', text_of(client.get("/")))
    return found[1] if found else ""


@pytest.fixture
def moderator(db: None) -> Client:
    client = Client()
    client.force_login(make_person("alice", Role.MODERATOR))
    return client


def link_of(moderator: Client, **typed: str) -> str:
    page = moderator.post("/accounts/invitations/", {"email": "", "role": str(Role.RESEARCHER.value)} | typed)
    assert page.status_code == 200
    (path,) = re.findall(r"http://testserver(/accounts/invitation/[^<\s]+)", text_of(page))
    return str(path)


def test_who_is_invited_by_e_mail_signs_up_verifies_the_address_and_signs_in(
    moderator: Client, mailoutbox: list[EmailMessage]
) -> None:
    link_of(moderator, email="Bob@example.org")
    (sent,) = mailoutbox
    assert sent.to == ["bob@example.org"]
    assert "alice invites you to Loupe" in sent.body
    bob = Client()
    form = bob.get(link_in(sent), follow=True)
    assert form.redirect_chain == [("/accounts/signup/?email=bob%40example.org", 302)]
    assert 'value="bob@example.org"' in text_of(form)
    other = bob.post("/accounts/signup/", NEW | {"email": "charlie@example.org"})
    assert "expected the invited address, bob@example.org, got charlie@example.org." in text_of(other)
    assert not User.objects.filter(username="bob").exists()
    page = bob.post("/accounts/signup/", NEW, follow=True)
    assert page.redirect_chain == [("/accounts/confirm-email/", 302)]
    assert "Verify your e-mail address" in text_of(page)
    assert signed_in(bob) == ""
    # with the password alone nobody is let in
    refused = bob.post("/accounts/login/", {"login": "bob", "password": PASSWORD}, follow=True)
    assert refused.redirect_chain == [("/accounts/confirm-email/", 302)]
    assert signed_in(bob) == ""
    verification = mailoutbox[1]
    assert (verification.to, verification.subject) == (["bob@example.org"], "[Loupe] Please Confirm Your Email Address")
    confirm = link_in(verification)
    assert "Confirm" in text_of(bob.get(confirm))
    bob.post(confirm)
    bob.post("/accounts/login/", {"login": "bob@example.org", "password": PASSWORD})
    assert signed_in(bob) == "bob"
    person = User.objects.get(username="bob")
    assert person.role == Role.RESEARCHER
    assert not person.is_staff
    invitation = Invitation.objects.get()
    assert (invitation.used_by, invitation.state) == (person, "used")
    assert "used by" in text_of(moderator.get("/accounts/invitations/"))


def test_of_a_token_only_its_hash_is_kept_and_the_link_is_shown_once(moderator: Client) -> None:
    token = link_of(moderator).split("/")[-2]
    kept = Invitation.objects.get()
    assert kept.token_sha256 == hash_of(token)
    assert token not in str(Invitation.objects.values())
    assert token not in text_of(moderator.get("/accounts/invitations/"))


def test_an_invitation_without_address_is_for_whoever_has_the_link_once(moderator: Client) -> None:
    link = link_of(moderator, role=str(Role.READER.value))
    bob, charlie = Client(), Client()
    for client in (bob, charlie):
        assert client.get(link).headers["Location"] == "/accounts/signup/"
    assert bob.post("/accounts/signup/", NEW).status_code == 302
    assert User.objects.get(username="bob").role == Role.READER
    late = charlie.post("/accounts/signup/", NEW | {"username": "charlie", "email": "charlie@example.org"})
    assert "Signing up here needs an invitation" in text_of(late)
    again = Client().get(link)
    assert (again.status_code, "Somebody has signed up by this invitation already" in text_of(again)) == (410, True)
    assert User.objects.count() == 2


def test_expired_unknown_and_ones_own_links_answer_with_a_sentence(moderator: Client) -> None:
    link = link_of(moderator)
    own = moderator.get(link)
    assert "for somebody without an account; you are signed in as alice." in text_of(own)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    client = Client()
    expired = client.get(link)
    assert (expired.status_code, "This invitation expired on " in text_of(expired)) == (410, True)
    unknown = client.get("/accounts/invitation/guessed/")
    assert (unknown.status_code, "This is the link of no invitation" in text_of(unknown)) == (410, True)
    assert "Signing up here needs an invitation" in text_of(client.get("/accounts/signup/"))


def test_an_invitation_that_expires_while_somebody_types_makes_no_account(moderator: Client) -> None:
    bob = Client()
    bob.get(link_of(moderator))
    Invitation.objects.update(expires_at=timezone.now())
    assert "Signing up here needs an invitation" in text_of(bob.post("/accounts/signup/", NEW))
    assert not User.objects.filter(username="bob").exists()


def test_only_moderators_invite_and_never_above_researcher(moderator: Client) -> None:
    reviewer = Client()
    reviewer.force_login(make_person("charlie", Role.REVIEWER))
    page = reviewer.get("/accounts/invitations/")
    assert page.status_code == 403
    assert "Inviting: expected a moderator of this site, got charlie." in text_of(page)
    assert reviewer.post("/accounts/invitations/", {"role": "1"}).status_code == 403
    assert Client().get("/accounts/invitations/").headers["Location"].startswith("/accounts/login/")
    assert moderator.post("/accounts/invitations/", {"role": str(Role.ADMIN.value)}).status_code == 400
    assert not Invitation.objects.exists()
    with pytest.raises(InvitationError, match="expected reader or researcher, got admin"):
        invite(User.objects.get(username="alice"), email="", role=Role.ADMIN)


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_of_many_who_sign_up_by_one_invitation_at_once_one_does() -> None:
    _, token = invite(make_person("alice", Role.MODERATOR), email="", role=Role.RESEARCHER)
    people = [make_person(f"charlie{number}") for number in range(4)]
    start, errors = threading.Barrier(4), []

    def sign_up(person: User) -> None:
        start.wait()
        try:
            use_invitation(hash_of(token), person)
        except InvitationError as error:
            errors.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=sign_up, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
    assert list(User.objects.filter(role=Role.RESEARCHER)) == [Invitation.objects.get().used_by]


def test_open_sign_up_is_off_until_it_is_set(client: Client, db: None, settings: Settings) -> None:
    assert "needs an invitation" in text_of(client.get("/accounts/signup/"))
    client.post("/accounts/signup/", NEW)
    assert not User.objects.exists()
    settings.SIGN_UP = "open"
    assert client.post("/accounts/signup/", NEW).headers["Location"] == "/accounts/confirm-email/"
    assert User.objects.get().role == Role.READER


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"username": "a/b"}, "expected letters, digits, - and _ between them"),
        ({"username": "-bob"}, "expected letters, digits, - and _ between them"),
        ({"username": "ALICE"}, "A user with that username already exists."),
        ({"password1": "short", "password2": "short"}, "at least 10 characters"),
        ({"email": "nothing"}, "Enter a valid email address."),
    ],
)
def test_what_cannot_be_an_account_is_said(
    client: Client, db: None, settings: Settings, typed: dict[str, str], sentence: str
) -> None:
    settings.SIGN_UP = "open"
    make_person("alice")
    page = client.post("/accounts/signup/", NEW | typed)
    assert sentence in text_of(page).replace("&#x27;", "'")
    assert User.objects.count() == 1


def test_an_address_that_has_an_account_is_told_so_by_e_mail_alone(
    client: Client, db: None, settings: Settings, mailoutbox: list[EmailMessage]
) -> None:
    settings.SIGN_UP = "open"
    make_person("alice")
    page = client.post("/accounts/signup/", NEW | {"email": "alice@example.org"})
    assert page.headers["Location"] == "/accounts/confirm-email/"
    assert "already exists" in mailoutbox[0].body
    assert User.objects.count() == 1


def test_a_forgotten_password_is_reset_by_e_mail(client: Client, db: None, mailoutbox: list[EmailMessage]) -> None:
    make_person("alice")
    page = client.post("/accounts/password/reset/", {"email": "alice@example.org"}, follow=True)
    assert "A message is on its way to that address." in text_of(page)
    link = link_in(mailoutbox[0])
    form = client.get(link, follow=True)
    ((address, _),) = form.redirect_chain
    assert client.post(address, {"password1": "Sei es wie es sei", "password2": "Sei es wie es sei"}).status_code == 302
    assert "Bad Token" in text_of(Client().get(link))
    client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert signed_in(client) == ""
    client.post("/accounts/login/", {"login": "alice", "password": "Sei es wie es sei"})
    assert signed_in(client) == "alice"


def test_attempts_to_sign_in_are_limited(client: Client, db: None) -> None:
    make_person("alice")
    for _ in range(5):
        client.post("/accounts/login/", {"login": "alice", "password": "guessed it"})
    page = client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert "Too many failed login attempts." in text_of(page)
    assert signed_in(client) == ""


def test_messages_that_are_written_to_files_are_said_to_be(client: Client, settings: Settings) -> None:
    assert "it writes its messages to files" in text_of(client.get("/accounts/password/reset/done/"))
    settings.EMAIL_URL = "smtp://mail.example.org"
    assert "it writes its messages to files" not in text_of(client.get("/accounts/password/reset/done/"))
