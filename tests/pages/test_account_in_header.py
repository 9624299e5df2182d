"""Every page says who is signed in, or leads to sign in and back, and no kept page says anybody's name."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import User
from wiki.components.models import LanguageModel

from .test_caching import n_kept
from .test_every_page import N_QUERIES

PAGES = [
    "/",
    "/m/tiny/",
    "/m/tiny/?metric=entropy",
    "/m/tiny/L1/",
    "/m/tiny/L1N5/",
    "/m/tiny/L1H2/?text=repeated-random.0&q=3",
    "/m/tiny/L1KV1/",
    "/m/tiny/text/",
    "/m/tiny/text/kept/bundled-texts.0/",
]
# Whose session it is, and who that is.
OF_A_SESSION = 2


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def signed_in(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_user(name, f"{name}@example.org"))
    return client


def header_of(client: Client, path: str, *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    content = re.sub(r"\s+", " ", response.content.decode())
    return content[content.index('<header class="top">') :].split("</header>")[0]


@pytest.mark.parametrize("path", [*PAGES, "/nowhere/", "/m/tiny/L99H6/"])
def test_every_page_leads_to_sign_in_and_back(client: Client, model: LanguageModel, path: str) -> None:
    status = 200 if path in PAGES else 404
    for _ in range(2):  # made, then kept
        assert f'<a href="/accounts/login/?next={quote(path)}">Sign in</a>' in header_of(client, path, status=status)


def test_signing_in_leads_back(client: Client, model: LanguageModel) -> None:
    content = client.get("/accounts/login/?next=/m/tiny/%3Fmetric%3Dself").content.decode()
    assert 'value="/m/tiny/?metric=self"' in content
    assert '<a href="/accounts/login/">Sign in</a>' in content, "not back to signing in"


@pytest.mark.parametrize("path", [*PAGES, "/nowhere/"])
def test_every_page_names_who_is_signed_in_and_nobody_else(client: Client, model: LanguageModel, path: str) -> None:
    status = 200 if path in PAGES else 404
    alice, bob = signed_in("alice"), signed_in("bob")
    for _ in range(2):
        assert 'href="/people/alice/">alice</a>' in header_of(alice, path, status=status)
        assert 'href="/people/bob/">bob</a>' in header_of(bob, path, status=status)
        content = client.get(path).content.decode()
        assert "alice" not in content
        assert "bob" not in content
        assert "Sign out" not in content
    assert client.get(path).headers.get("Set-Cookie") is None


def test_pages_of_who_is_signed_in_are_not_kept(model: LanguageModel) -> None:
    alice = signed_in("alice")
    for path in PAGES:
        response = alice.get(path)
        assert "private" in response.headers["Cache-Control"] or "no-store" in response.headers["Cache-Control"]
        assert "Cookie" in response.headers["Vary"]
    assert n_kept() == 1, "that she was here, and no page"


def test_a_page_that_a_browser_has_from_before_is_not_shown_to_who_signs_in(
    client: Client, model: LanguageModel
) -> None:
    response = client.get("/m/tiny/L1H2/")
    assert "Cookie" in response.headers["Vary"]
    assert "Cookie" in client.get("/m/tiny/L1H2/").headers["Vary"]
    response = signed_in("alice").get("/m/tiny/L1H2/", headers={"If-None-Match": response.headers["ETag"]})
    assert response.status_code == 200
    assert "alice" in response.content.decode()


def test_signing_out_is_a_form_on_every_page(model: LanguageModel) -> None:
    alice = signed_in("alice")
    assert 'action="/accounts/logout/"' in header_of(alice, "/m/tiny/L1H2/")
    alice.post("/accounts/logout/")
    assert ">Sign in</a>" in header_of(alice, "/m/tiny/L1H2/")


@pytest.mark.parametrize("path", PAGES)
def test_who_is_signed_in_costs_two_queries(
    model: LanguageModel, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    alice = signed_in("alice")
    with django_assert_num_queries(N_QUERIES + OF_A_SESSION, exact=False):
        alice.get(path)
