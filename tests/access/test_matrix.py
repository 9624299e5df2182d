"""Every address × everybody × every state of texts, as `matrix` has it; and that a hole in it would be seen."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from pytest_django import Settings

from wiki.lib import prepared

from . import matrix
from .checking import (
    VISIBLE_TO,
    allauth_addresses,
    client_of,
    differences,
    leaks_in_rows,
    missing_rows,
    outcome,
    patterns,
    states_of,
    states_seen,
    undone,
)
from .matrix import MAY_SEE, PEOPLE, ROWS
from .world import World

pytestmark = pytest.mark.both_databases


def test_every_pattern_has_a_row_and_every_row_a_pattern() -> None:
    missing = missing_rows()
    assert not missing, "\n".join(["Addresses without a row:", *missing])
    assert set(ROWS) - set(patterns()) == set(), "rows of no pattern: remove them"
    for name, row in ROWS.items():
        for by in (row.get, row.post):
            for words in by.values() if isinstance(by, dict) else [by] if by else []:
                assert len(words.split()) == len(PEOPLE), f"{name}: expected a word for each of {PEOPLE}, got {words}"


def test_a_pattern_without_a_row_is_named_with_the_line_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS["article"]
    monkeypatch.delitem(matrix.ROWS, "article")
    assert missing_rows() == ['add to ROWS in tests/access/matrix.py:    "article": Row("/w/x1/", EVERYBODY),']
    assert row.address == "/w/{key}/"


def test_everybody_gets_what_the_matrix_says(world: World) -> None:
    found = list(differences(world))
    assert not found, "\n".join(found)


def test_the_pages_of_allauth_give_nothing_away_and_have_no_errors(world: World) -> None:
    for person in PEOPLE:
        client = client_of(world, person)
        for address in allauth_addresses():
            for method in (client.get, client.post):
                with undone():
                    response = method(address)
                assert response.status_code < 500, (person, address)
                seen = states_seen(world, response, address)
                assert all(person in MAY_SEE[state] for state in seen), (person, address)


def test_a_site_that_is_closed_shows_who_is_not_signed_in_the_way_in_alone(world: World, settings: Settings) -> None:
    settings.ANONYMOUS_READING = False
    client = Client(raise_request_exception=False)
    for name, row in ROWS.items():
        for state in states_of(row):
            address = row.address.format_map(world.words_in(state))
            for method, by in ((client.get, row.get), (client.post, row.post)):
                if by:
                    with undone():
                        response = method(address)
                    if row.closed:
                        assert outcome(response) == "in" or response.status_code == 401 or _is_given_back(response), (
                            name,
                            address,
                        )
                    assert states_seen(world, response, address) == set(), (name, address)
    assert {name for name, row in ROWS.items() if not row.closed} == {
        "health",
        "settings",
        "invitations",
        "invitation",
        "notification-settings",
        "unsubscribe",
        "upload-run",
        "access-keys",
        "remove-access-key",
        *(name for name in ROWS if name.startswith("api/jobs/")),
    }


def _is_given_back(response: Any) -> bool:
    """Whether it is what was sent without a session, and nothing else."""
    return response.status_code == 403 and "your session ended" in response.content.decode()


def test_no_query_gives_rows_of_what_is_not_for_who_asks(world: World) -> None:
    found = list(leaks_in_rows(world))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", VISIBLE_TO)
def test_the_matrix_sees_it_where_all_is_visible_to_everybody(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = VISIBLE_TO[name]
    everything = function(AnonymousUser()).model.objects.all
    # what was compiled before knows of what is visible
    monkeypatch.setattr(prepared, "_compiled", prepared._compiled.__wrapped__)
    for module in [module for key, module in sys.modules.items() if key.startswith("wiki")]:
        for attribute, value in list(vars(module).items()):
            if value is function:
                monkeypatch.setattr(module, attribute, lambda user: everything())
    about_texts = {key: row for key, row in ROWS.items() if row.shows or isinstance(row.get, dict)}
    # those first that are likelier to show it
    assert next(differences(world, about_texts | ROWS), None), (
        f"no page of the matrix shows what {name} hides: let build_world write that, and a row ask for a page with it"
    )
