"""Everything that a browser can send to the site by name: found by asking, not by reading the code."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from xml.etree import ElementTree

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.test import Client
from django.urls import resolve

from tests.markdown.vectors import xss_vectors

# Names that views read from no person: the token that Django makes.
UNTYPED = {"csrfmiddlewaretoken"}


@dataclasses.dataclass(frozen=True)
class Sent:
    """A field of a form or of an address: what is sent beside it makes the view read it."""

    method: str
    address: str
    name: str
    beside: tuple[tuple[str, str], ...]

    @property
    def view(self) -> str:
        match = resolve(urlsplit(self.address).path)
        return f"{self.method} {match.view_name or match.route} {self.name}"

    def send(self, client: Client, vector: str) -> HttpResponse:
        data = {**dict(self.beside), self.name: vector}
        with undone():
            cache.clear()  # limits are not what is asked about
            path = urlsplit(self.address).path
            answer: Any = client.get(path, data) if self.method == "GET" else _post(client, self.address, data)
        return answer


@contextlib.contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def find_fields(client: Client, addresses: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """The fields that views read when these addresses are asked for, and when the data beside them are sent there."""
    read: list[str] = []

    class Noting(QueryDict):
        def get(self, key: str, *default: Any) -> Any:
            read.append(key)
            return super().get(key, *default)

        def __getitem__(self, key: str) -> Any:
            read.append(key)
            return super().__getitem__(key)

        def __contains__(self, key: object) -> bool:
            read.append(str(key))
            return super().__contains__(key)

        def getlist(self, key: str, *default: Any) -> Any:
            read.append(key)
            return super().getlist(key, *default)

    found: dict[str, Sent] = {}
    for method, module in (("GET", "django.core.handlers.wsgi"), ("POST", "django.http.request")):
        with monkeypatch.context() as patch:
            patch.setattr(f"{module}.QueryDict", Noting)
            for address, data in addresses.items():
                beside = dict(parse_qsl(urlsplit(address).query)) if method == "GET" else data
                read.clear()
                with undone():
                    cache.clear()
                    client.get(address) if method == "GET" else _post(client, address, data)
                for name in dict.fromkeys([*read, *beside]):
                    if name not in UNTYPED:
                        sent = Sent(method, address, name, tuple(beside.items()))
                        found.setdefault(sent.view, sent)
    return list(found.values())


def _post(client: Client, address: str, data: dict[str, str]) -> Any:
    return client.post(address, urlencode(data), content_type="application/x-www-form-urlencoded")


def telling_vectors(n: int = 120) -> list[str]:
    """The vectors that a page would hold as they are if it escaped nothing, those that are no Markdown first."""
    telling = [vector for vector in xss_vectors() if {"<", '"'} & set(vector)]
    return sorted(telling, key=lambda vector: "](" in vector or vector.startswith("[a]"))[:n]


PAGES = {"text/html", "image/svg+xml", "application/atom+xml"}


class Handlers(HTMLParser):
    """The elements of a page that have an attribute for a script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag for name, _ in attrs if name.startswith("on")]


def problems_of(answer: HttpResponse, vectors: list[str]) -> Iterator[str]:
    """What would make an answer dangerous, or an error."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if answer.status_code >= 500:
        yield f"status {answer.status_code}"
    if answer.status_code in {301, 302, 303}:
        here = "http://testserver/accounts/login/"
        leads_to = urlsplit(urljoin(here, answer.headers["Location"].replace("\\", "/")))
        if (leads_to.scheme, leads_to.netloc) != ("http", "testserver"):
            yield f"leads to {answer.headers['Location'][:80]!r}"
    said = "" if answer.streaming or kind not in PAGES else answer.content.decode()
    if kind == "application/atom+xml":
        ElementTree.fromstring(said)  # noqa: S314 (the site made it)
    for vector in vectors:
        if "<" in vector and vector.strip() in said:
            yield f"{vector!r} is in it as it is"
    handlers = Handlers()
    handlers.feed(said)
    if handlers.found:
        yield f"<{handlers.found[0]}> has a handler"
    if answer.headers.get("X-Content-Type-Options") != "nosniff":
        yield "a browser may guess its type"
