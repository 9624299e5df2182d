"""Search, changes, watching and notifications in a real browser: accessible, valid, within the policy, by keyboard."""

from __future__ import annotations

from typing import Literal

import html5lib
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browsing import watched_page
from tests.pages.building import build_measured_model
from tests.pages.test_every_page import inline_parts
from wiki.accounts.models import Role, User
from wiki.following.digests import token_of
from wiki.following.models import LastSeen
from wiki.texts.models import Kind
from wiki.texts.moderation import retract, tag_page
from wiki.texts.writing import create_page, save_revision

PAGES = [
    "/search/",
    "/search/?q=previous+tiny/1.2+-nothing",
    "/search/?q=previous&kind=note&author=bob&since=2026-01-01",
    "/search/?q=nowhere+at+all",
    "/recent/",
    "/recent/?kind=note&only=new&person=bob",
    "/recent/?tag=none",
    "/watching/",
    "/notifications/",
    "/accounts/notifications/",
    "/accounts/unsubscribe/{token}/",
    "/",
    "/m/tiny/",
    "/m/tiny/L1H2/",
    "/w/induction-heads/",
    "/people/bob/",
]


@pytest.fixture
def alice(db: None) -> User:
    """Somebody who was here yesterday, among texts of others."""
    build_measured_model()
    alice, bob = (User.objects.create_user(name, role=Role.RESEARCHER) for name in ("alice", "bob"))
    article = create_page(
        alice, Kind.ARTICLE, "They need a previous token head, [[tiny/L1H2]].", title="Induction heads"
    )
    tag_page(article, alice, ["circuits"])
    note = create_page(bob, Kind.NOTE, "It attends to the previous token, @alice.", about="tiny/L1H2", summary="Seen")
    create_page(bob, Kind.TALK, "Is that so?", parent=note)
    retract(create_page(bob, Kind.NOTE, "previous", about="tiny/L0H1"), bob, reason="wrong")
    save_revision(article, bob, "Previous.", base_version=1, summary="Shorter")
    LastSeen.objects.create(user=alice, seen_at=article.created_at, before=article.created_at.replace(year=2020))
    return alice


def sign_in(browser: Browser, live_server: LiveServer, person: User, **options: object) -> Page:
    client = Client()
    client.force_login(person)
    context = browser.new_context(reduced_motion="reduce", **options)  # type: ignore[arg-type]
    context.set_default_timeout(5000)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    return context.new_page()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    browser: Browser, live_server: LiveServer, alice: User, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = sign_in(
        browser, live_server, alice, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    for path in PAGES:
        page.goto(live_server.url + path.format(token=token_of(alice)), wait_until="networkidle")
        found = Axe().run(page).response["violations"]
        serious = [
            (violation["id"], [node["html"][:200] for node in violation["nodes"]][:3])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.context.close()


@pytest.mark.parametrize("path", PAGES)
def test_html_is_valid_and_has_nothing_inline(client: Client, alice: User, path: str) -> None:
    for person in (None, alice):
        if person:
            client.force_login(person)
        response = client.get(path.format(token=token_of(alice)))
        if response.status_code == 302:
            continue  # to sign in
        assert response.status_code == 200
        html5lib.HTMLParser(strict=True).parse(response.content)
        assert inline_parts(response.content) == []


def test_by_keyboard_from_the_jump_box_to_a_watched_head(
    browser: Browser, live_server: LiveServer, alice: User
) -> None:
    context = sign_in(browser, live_server, alice, java_script_enabled=True).context
    with watched_page(context) as page:
        page.goto(f"{live_server.url}/")
        page.keyboard.press("/")
        page.keyboard.type("previous token")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{live_server.url}/search/?q=previous+token")
        expect(page.locator(".found mark").first).to_be_visible()
        page.locator("#search-words").fill("1.2")
        page.keyboard.press("Enter")
        page.locator(".named a").focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{live_server.url}/m/tiny/L1H2/")
        page.get_by_role("button", name="Watch tiny/L1H2").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Watching – stop tiny/L1H2")).to_be_visible()
    context.close()


def test_without_a_script_one_watches_and_reads(browser: Browser, live_server: LiveServer, alice: User) -> None:
    page = sign_in(browser, live_server, alice, java_script_enabled=False)
    page.goto(f"{live_server.url}/w/induction-heads/")
    page.get_by_role("button", name="Watching – stop induction-heads").click()
    expect(page.get_by_role("button", name="Watch induction-heads")).to_be_visible()
    expect(page.locator(".unread-count")).to_contain_text("2")
    page.goto(f"{live_server.url}/notifications/")
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".unread-count")).to_have_count(0)
    page.context.close()
