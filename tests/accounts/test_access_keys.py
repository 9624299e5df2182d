"""Access keys: shown once, kept as a hash, taken back; they open for their owner alone, and for a time."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from tests.texts.test_races import at_once
from wiki.accounts.access_keys import MOST_KEYS, AccessKeyError, make_key, owner_of, sender_of
from wiki.accounts.models import AccessKey, User

from .conftest import PASSWORD, make_person

pytestmark = pytest.mark.both_databases

KEYS = "/accounts/keys/"


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob")


def test_a_key_is_shown_once_and_kept_as_a_hash(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.post(KEYS, {"name": "My <notebook>", "days": "30"}).content.decode()
    (secret,) = re.findall(r'id="secret">(loupe_[\w-]{43})<', page)
    assert owner_of(secret) == alice
    assert secret not in client.get(KEYS).content.decode()
    assert "My <notebook>" in unescape(client.get(KEYS).content.decode())
    key = AccessKey.objects.get()
    assert timedelta(days=29) < key.expires_at - timezone.now() < timedelta(days=30)
    kept = [str(getattr(key, field.attname)) for field in AccessKey._meta.concrete_fields]
    assert not any(secret in value or secret.removeprefix("loupe_") in value for value in kept)


def test_no_two_keys_are_alike(alice: User) -> None:
    assert len({make_key(alice, name="One", days=30)[1] for _ in range(MOST_KEYS)}) == MOST_KEYS


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"name": "", "days": "30"}, "This field is required"),
        ({"name": "x" * 101, "days": "30"}, "at most 100 characters"),
        ({"name": "Mine", "days": "3650"}, "3650 is not one of the available choices"),
    ],
)
def test_what_cannot_be_made_is_refused_and_comes_back(
    client: Client, alice: User, sent: dict[str, str], why: str
) -> None:
    client.force_login(alice)
    page = client.post(KEYS, sent)
    assert page.status_code == 400
    assert why in page.content.decode()
    assert f'value="{sent["name"]}"' in page.content.decode() or not sent["name"]
    assert not AccessKey.objects.exists()


def test_one_more_than_a_person_needs_is_refused(client: Client, alice: User) -> None:
    for n in range(MOST_KEYS):
        make_key(alice, name=f"Number {n}", days=30)
    client.force_login(alice)
    page = client.post(KEYS, {"name": "Another", "days": "30"})
    assert page.status_code == 400
    assert f"expected at most {MOST_KEYS} of yours" in page.content.decode()
    assert 'value="Another"' in page.content.decode()


def test_a_key_that_was_taken_back_opens_nothing_and_others_take_none_back(
    client: Client, alice: User, bob: User
) -> None:
    key, secret = make_key(alice, name="Mine", days=30)
    client.force_login(bob)
    assert client.post(f"{KEYS}{key.pk}/remove/").status_code == 404
    assert "Mine" not in client.get(KEYS).content.decode()
    assert owner_of(secret) == alice
    client.force_login(alice)
    assert client.get(f"{KEYS}{key.pk}/remove/").status_code == 405
    assert client.post(f"{KEYS}{key.pk}/remove/")["Location"] == KEYS
    with pytest.raises(AccessKeyError, match="expected one that somebody here has made"):
        owner_of(secret)


def test_a_key_that_expired_or_whose_owner_left_opens_nothing(alice: User, bob: User) -> None:
    (old, of_alice), (_, of_bob) = (make_key(user, name="Mine", days=30) for user in (alice, bob))
    AccessKey.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=2))
    with pytest.raises(AccessKeyError, match=r"got one that expired on \d+ \w+ \d{4}; make another"):
        owner_of(of_alice)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(AccessKeyError, match="expected one that somebody here has made"):
        owner_of(of_bob)


@pytest.mark.parametrize("secret", ["", "loupe_", "loupe_" + "a" * 43, "ü", "\0"])
def test_what_is_no_key_opens_nothing(db: None, secret: str) -> None:
    with pytest.raises(AccessKeyError):
        owner_of(secret)


def test_a_demo_account_s_key_opens_where_the_account_may_sign_in_alone(alice: User, settings: Settings) -> None:
    User.objects.filter(pk=alice.pk).update(is_demo=True)
    _, secret = make_key(alice, name="Mine", days=30)

    def sent_from(address: str) -> User:
        return sender_of(RequestFactory(headers={"Authorization": f"Bearer {secret}"}).post("/", REMOTE_ADDR=address))

    settings.DEMO = True
    assert sent_from("127.0.0.1") == alice
    for demo, address in ((True, "10.0.0.7"), (False, "127.0.0.1")):
        settings.DEMO = demo
        with pytest.raises(AccessKeyError, match="somebody who may sign in here, got a demo's"):
            sent_from(address)


def test_a_session_without_a_password_asks_for_it_and_then_goes_on(client: Client, db: None) -> None:
    client.force_login(make_person("charlie"))
    asked = client.post(KEYS, {"name": "Mine", "days": "30"})["Location"]
    assert asked.startswith("/accounts/reauthenticate/")
    client.post(asked, {"password": "of another"})
    assert not AccessKey.objects.exists()
    assert 'id="secret"' in client.post(asked, {"password": PASSWORD}).content.decode()
    assert AccessKey.objects.get().name == "Mine"


@pytest.mark.django_db(transaction=True)
def test_of_keys_that_are_made_at_once_none_is_one_too_many() -> None:
    alice = User.objects.create_user("alice")
    for n in range(MOST_KEYS - 2):
        make_key(alice, name=f"Number {n}", days=30)
    made = at_once(*[lambda: make_key(alice, name="Mine", days=30) for _ in range(6)])
    assert sum(isinstance(each, AccessKeyError) for each in made) == 4, made
    assert AccessKey.objects.count() == MOST_KEYS


def test_when_a_key_was_used_is_noted_and_not_each_time(alice: User) -> None:
    key, secret = make_key(alice, name="Mine", days=30)
    owner_of(secret)
    key.refresh_from_db()
    assert key.used_at is not None
    owner_of(secret)
    assert AccessKey.objects.get().used_at == key.used_at
    AccessKey.objects.update(used_at=timezone.now() - timedelta(hours=1))
    owner_of(secret)
    assert AccessKey.objects.get().used_at >= key.used_at


def test_who_is_not_signed_in_is_sent_to_sign_in(client: Client, db: None) -> None:
    assert client.get(KEYS)["Location"] == f"/accounts/login/?next={KEYS}"
