"""Every field in which a person can type holds vectors, and every page that shows them is opened: none of them does
anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps
from django.core.cache import cache
from django.test import Client
from django.utils.safestring import mark_safe
from playwright.sync_api import Browser, BrowserContext
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.access.world import build_world
from tests.vectors.addresses import addresses_of
from tests.vectors.fields import EMPTY_OF_PEOPLE, FILLED, SEEN_LESS, text_columns, vectors_of
from tests.vectors.opening import Opener, sign_in
from tests.vectors.sending import find_fields, telling_vectors
from tests.vectors.world import build_hostile_world
from wiki.accounts.models import ResearchGroup, Role, User
from wiki.texts.models import Kind
from wiki.texts.writing import create_page

LEAST = 100
VECTOR = '"><img src=x onerror=window.__ran=1>'


def test_every_column_for_text_has_vectors_or_a_reason_for_none() -> None:
    known = {*FILLED, *EMPTY_OF_PEOPLE}
    missing = [label for label in text_columns() if label not in known]
    assert not missing, f"fill them in tests/vectors/world.py, or say why not: {', '.join(missing)}"
    assert known == set(text_columns()), "columns that are no more: remove them"
    assert len(known) == len(FILLED) + len(EMPTY_OF_PEOPLE)
    assert {label for label in FILLED if len(set(vectors_of(label))) < LEAST} == set()


def test_no_vector_in_any_column_does_anything_on_any_page(
    context: BrowserContext, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    world = build_hostile_world(monkeypatch)
    sign_in(context, live_server.url, world.viewer)
    opener = Opener(context, live_server.url)
    for address in dict.fromkeys(world.addresses):
        opener.open(address)
    assert not opener.wrong, "\n".join(opener.wrong)
    seen = {label: len(opener.seen.get(label, ())) for label in FILLED}
    too_few = {label: n for label, n in seen.items() if n < SEEN_LESS.get(label, LEAST)}
    assert not too_few, f"pages show fewer vectors of these columns than {LEAST}: open more pages, or say why not"


def test_no_vector_that_is_sent_and_shown_again_does_anything(
    context: BrowserContext,
    live_server: LiveServer,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a view reads by name and says again."""
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    cache.clear()
    world = build_world()
    admin, client = User.objects.create_user("admin", role=Role.ADMIN), Client(raise_request_exception=False)
    client.force_login(admin)
    vectors = telling_vectors()
    fields = find_fields(client, addresses_of(world), monkeypatch)
    sign_in(context, live_server.url, admin)
    opener = Opener(context, live_server.url)
    shown = 0
    for number, field in enumerate(fields):
        for sent in ("\n".join(vectors), vectors[number % len(vectors)]):
            answer = field.send(client, sent)
            if answer.headers.get("Content-Type", "").startswith("text/html") and b"__ran" in answer.content:
                shown += 1
                opener.send(field, sent)
                break  # only what is refused for its length is sent alone
    assert not opener.wrong, "\n".join(opener.wrong)
    assert shown > 60


@pytest.mark.parametrize(
    ("column", "address"),
    [
        ("texts.Revision.summary", "/a/{page}/history/"),
        ("texts.Page.title", "/w/x/"),
        ("accounts.User.shown_name", "/people/alice/"),
        ("accounts.ResearchGroup.name", "/groups/"),
    ],
)
def test_a_column_that_a_page_does_not_escape_is_found(
    browser: Browser, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch, column: str, address: str
) -> None:
    """With the policy what the vector made is found, without it also that it ran."""
    alice = User.objects.create_user("alice", role=Role.ADMIN, shown_name=VECTOR)
    ResearchGroup.objects.create(slug="x", name=VECTOR, lead=alice)
    page = create_page(alice, Kind.ARTICLE, "x", title="X", summary=VECTOR)
    type(page).objects.update(title=VECTOR)
    label, _, name = column.rpartition(".")
    for escapes in (True, False):
        for without_policy in (False, True):
            context = browser.new_context(bypass_csp=without_policy)
            sign_in(context, live_server.url, alice)
            opener = Opener(context, live_server.url)
            opener.open(address.format(page=page.pk))
            found = "\n".join(opener.wrong)
            assert bool(found) != escapes, found
            assert ("the attribute onerror" in found) != escapes
            assert ("a vector ran" in found) == (without_policy and not escapes)
            context.close()
        field = apps.get_model(label)._meta.get_field(name)
        safe = lambda value, expression, connection: mark_safe(value)  # noqa: E731, S308 (what is to be found)
        monkeypatch.setattr(field, "from_db_value", safe, raising=False)
        cache.clear()
