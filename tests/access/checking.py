"""Asks for every row of the matrix as everybody, and says where an answer is another than the row's."""

from __future__ import annotations

import contextlib
import html
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

import wiki
from wiki.accounts.models import User

from .matrix import ALLAUTH, MAY_SEE, PEOPLE, ROWS, By, Row
from .world import World, words_of

REFUSALS = {400, 409, 410, 429}


def patterns() -> dict[str, str]:
    """The route of every pattern of the site by its name, or by itself where it has none."""
    return {str(pattern.name or route): route for route, pattern in _walk(get_resolver().url_patterns, "")}


def _walk(found: Iterable[URLPattern | URLResolver], before: str) -> Iterator[tuple[str, URLPattern]]:
    for each in found:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns, route)
        else:
            yield route, each


def missing_rows() -> list[str]:
    """What to add to the matrix, line by line."""
    return [
        f'add to ROWS in tests/access/matrix.py:    "{name}": Row("/{_example(route)}", EVERYBODY),'
        for name, route in patterns().items()
        if name not in ROWS and not route.startswith(ALLAUTH)
    ]


def allauth_addresses() -> list[str]:
    """One address for each pattern under accounts/ that has no row."""
    found = [route for name, route in patterns().items() if name not in ROWS and route.startswith(ALLAUTH)]
    return [f"/{_example(route)}" for route in found]


def _example(route: str) -> str:
    """A route with something in place of what it takes."""
    route = re.sub(r"<int:\w+>", "1", route.replace("^", "").replace("$", ""))
    return re.sub(r"\(\?P<\w+>.*?\)(?=/|-|$)|<\w+:\w+>", "x1", route)


@contextlib.contextmanager
def undone() -> Iterator[None]:
    """What is written inside is as if it had not been."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def outcome(response: HttpResponse) -> str:
    """The word of the matrix for an answer; its status where there is none."""
    status = response.status_code
    if status in {301, 302, 303} and response.headers["Location"].startswith(resolve_url(settings.LOGIN_URL)):
        return "in"
    if status < 400:
        return "yes"
    if status in REFUSALS:
        return "bad"
    return {403: "no", 404: "none"}.get(status, str(status))


def visible_to_functions() -> dict[str, Callable[..., Any]]:
    """Every `*_visible_to` of every `access.py`, by module and name."""
    found = {}
    for module in pkgutil.walk_packages(wiki.__path__, "wiki."):
        if module.name.endswith(".access"):
            for name, each in vars(importlib.import_module(module.name)).items():
                if name.endswith("visible_to") and getattr(each, "__module__", "") == module.name:
                    found[f"{module.name}.{name}"] = each
    return found


VISIBLE_TO = visible_to_functions()


def leaks_in_rows(world: World) -> Iterator[str]:
    """A sentence for each state whose words are in rows that a `*_visible_to` gives to who may not see them."""
    for person in PEOPLE:
        for name in VISIBLE_TO:
            module, _, function = name.rpartition(".")
            rows = getattr(sys.modules[module], function)(world.people[person]).values()
            said = " ".join(str(value) for row in rows for value in row.values()).casefold()
            for state, people in MAY_SEE.items():
                if words_of(state) in said and person not in people:
                    yield f"{name} of {person}: expected nothing of what is {state}, got its words."


def states_of(row: Row) -> list[str]:
    """Those that a row speaks of; one nameless for a row without."""
    return list(dict.fromkeys(state for by in (row.get, row.post) if isinstance(by, dict) for state in by)) or [""]


def differences(world: World, rows: dict[str, Row] | None = None) -> Iterator[str]:
    """A sentence for each cell whose answer is not what its row says, or gives away what it may not."""
    for person in PEOPLE:
        client = client_of(world, person)
        for name, row in (ROWS if rows is None else rows).items():
            for state in states_of(row):
                address = row.address.format_map(world.words_in(state))
                for method, by in (("get", row.get), ("post", row.post)):
                    expected = _expected(by, state, person)
                    if expected:
                        sent = {key: value.format_map(world.words_in(state)) for key, value in row.data.items()}
                        with undone():
                            response = getattr(client, method)(address, sent if method == "post" else {})
                        where = f"{name}, {method} {address} as {person}" + (f", {state}" if state else "")
                        yield from _compare(world, response, where, row, expected, person, state, address, method)


def _expected(by: By, state: str, person: str) -> str:
    words = by.get(state, "") if isinstance(by, dict) else by
    return words.split()[PEOPLE.index(person)] if words else ""


def _compare(
    world: World,
    response: Any,
    where: str,
    row: Row,
    expected: str,
    person: str,
    state: str,
    address: str,
    method: str,
) -> Iterator[str]:
    got = outcome(response)
    if got != expected:
        yield f"{where}: expected {expected}, got {got} ({response.status_code})."
    seen = states_seen(world, response, address)
    for leaked in sorted(each for each in seen if person not in MAY_SEE[each]):
        yield f"{where}: expected nothing of what is {leaked}, got its words."
    if method == "get" and got == "yes" and response.status_code == 200:
        # a row about one text shows that one, and no other
        wanted = set(row.shows) & ({state.partition("-")[0]} if state else set(row.shows))
        for lacking in sorted(each for each in wanted - seen if person in MAY_SEE[each]):
            yield f"{where}: expected words of what is {lacking}, got none of them."


def states_seen(world: World, response: Any, address: str) -> set[str]:
    """Of the texts in which states an answer has words; what was in the address itself is no news."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    # in data HTML is escaped once more than on a page
    said = html.unescape(body.decode(errors="replace")).casefold() + response.headers.get("Location", "").casefold()
    found = set()
    for state in MAY_SEE:
        here = {key: word.casefold() for key, word in world.by_state.get(state, {}).items()}
        telling = {words_of(state)} - set(re.findall(r"\w+", address.casefold()))
        if here.get("key", "\0") not in address.casefold():
            telling |= {here[name] for name in ("key", "title") if name in here}
        if any(word in said for word in telling):
            found.add(state)
    return found


def client_of(world: World, person: str) -> Client:
    client = Client(raise_request_exception=False)
    user = world.people[person]
    if isinstance(user, User):
        client.force_login(user)
    return client
