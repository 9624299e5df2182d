"""Whatever a browser sends by name, or as a part of an address, comes back as text or not at all."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import resolve
from pytest_django import Settings

from tests.access.checking import patterns
from tests.access.world import World, build_world
from wiki.accounts.models import Role, User

from .addresses import addresses_of, patterns_of_the_site
from .sending import find_fields, problems_of, telling_vectors, undone


@pytest.fixture
def world(db: None, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.CRITICAL, "django.request")
    settings.DATA_DIR = tmp_path
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    settings.SIGN_UP = "open"
    cache.clear()
    return build_world()


@pytest.fixture
def admin(world: World) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_user("admin", password="x", role=Role.ADMIN))
    return client


def test_every_pattern_has_an_address(world: World) -> None:
    names = {resolve(urlsplit(address).path) for address in addresses_of(world)}
    missing = patterns_of_the_site() - {str(match.url_name or match.route) for match in names}
    assert not missing, f"add an address to MORE in tests/vectors/addresses.py for each of {', '.join(missing)}"


@pytest.mark.both_databases
def test_no_vector_in_any_field_that_is_sent_does_anything_or_is_an_error(
    world: World, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All in one, which is cut short in some places, and single ones, other ones for each field."""
    vectors, found = telling_vectors(), []
    fields = find_fields(admin, addresses_of(world), monkeypatch)
    assert len(fields) > 150
    everything = "\n".join(vectors)
    for number, field in enumerate(fields):
        for sent in (everything, vectors[number % len(vectors)], vectors[-number % len(vectors)]):
            answer = field.send(admin, sent)
            problems = problems_of(answer, vectors if sent is everything else [sent])
            found += [f"{field.view}, {sent[:80]!r}: {problem}" for problem in problems]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("target", ["new/x", "new/x/y", "new/note", "page/x", "page/1/2", "new//", "new/note/\0"])
def test_a_draft_of_what_cannot_be_written_is_refused_and_the_list_is_shown(
    world: World, admin: Client, target: str
) -> None:
    answer = admin.post("/drafts/keep/", {"target": target, "text": "x"})
    assert answer.status_code == 400
    assert "expected the name of a draft" in answer.json()["error"]
    assert admin.get("/drafts/").status_code == 200


@pytest.mark.both_databases
def test_no_vector_that_is_a_part_of_an_address_is_in_the_answer_or_an_error(world: World, admin: Client) -> None:
    """Each part that a pattern takes as any text, NUL and line breaks among them."""
    routes = {route for route in patterns().values() if re.search(r"<(?!int)\w+:\w+>", route)}
    found = []
    for number, route in enumerate(sorted(routes)):
        for vector in telling_vectors()[number % 6 :: 6]:
            address = "/" + re.sub(r"<int:\w+>", "1", route)
            address = re.sub(r"<\w+:\w+>", lambda _, vector=vector: quote(vector, safe=""), address)
            with undone():
                answer = admin.get(address)
            found += [f"{address}: {problem}" for problem in problems_of(answer, [vector])]
    assert not found, "\n".join(found)
