"""From an invitation to a reverted edit: with the mouse, by keyboard alone, and on a phone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.browsing import watched_page
from tests.pages.building import build_measured_model
from tests.pages.building_written import person
from wiki.accounts.invitations import invite, send_invitation
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.anchors import CellAnchor, anchor_of
from wiki.texts.models import Draft, Kind, Revision
from wiki.texts.models import Page as Text

# What Chromium says of the page that shows a conflict.
CONFLICT = "Failed to load resource: the server responded with a status of 409 (Conflict)"
PASSWORD = "Wie es auch sei"
N_TOKENS = 9  # of the text
QUERY, KEY = 7, 3  # of the cell
NOTE = "It looks at what followed the cat before."
TITLE = "Looking back"
FIRST_TEXT = "Heads like [[tiny/L1H2]] look back.\n\nNobody counted them yet.\n\nThe end."
BOBS_TEXT = FIRST_TEXT.replace("Nobody counted them yet.", "Bob counted two of them.")
CHARLIES_TEXT = FIRST_TEXT.replace("Nobody counted them yet.", "Charlie counted three of them.").replace(
    "The end.", "The end, for now."
)
MERGED_TEXT = CHARLIES_TEXT.replace("Charlie counted three of them.", "Bob counted two of them.")


class Mouse:
    """Somebody at a wide window, who points and clicks."""

    window: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}

    def follow(self, target: Locator) -> None:
        target.click()

    def write(self, field: Locator, words: str) -> None:
        """Type into a field, in the place of what is in it."""
        self.follow(field)
        field.press("Control+a")
        field.page.keyboard.type(words)

    def choose(self, target: Locator) -> None:
        """Choose one of several radio buttons."""
        self.follow(target)

    def complete(self, entry: Locator) -> None:
        """Take an entry of what may be meant."""
        self.follow(entry)

    def lock_cell(self, page: Page) -> None:
        page.locator("canvas").scroll_into_view_if_needed()
        box = page.locator("canvas").bounding_box()
        assert box
        x, y = ((at + 0.5) / N_TOKENS * side for at, side in ((KEY, box["width"]), (QUERY, box["height"])))
        self.point(page.locator("canvas"), x, y)

    def point(self, target: Locator, x: float, y: float) -> None:
        target.click(position={"x": x, "y": y})


class Finger(Mouse):
    """Somebody with a phone, who taps."""

    window: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

    def follow(self, target: Locator) -> None:
        target.tap()

    def point(self, target: Locator, x: float, y: float) -> None:
        target.tap(position={"x": x, "y": y})


class Keyboard(Mouse):
    """Somebody who has no pointer: Tab leads everywhere, and where the focus is can be seen."""

    def reach(self, target: Locator) -> None:
        """Press Tab until the target has the focus."""
        target.wait_for()
        for _ in range(1000):
            if target.evaluate("element => element === document.activeElement"):
                break
            target.page.keyboard.press("Tab")
        expect(target).to_be_focused()
        assert target.evaluate("element => element.matches(':focus-visible')")
        assert target.evaluate("element => getComputedStyle(element).outlineStyle") != "none"

    def follow(self, target: Locator) -> None:
        self.reach(target)
        target.page.keyboard.press("Enter")

    def write(self, field: Locator, words: str) -> None:
        self.reach(field)
        field.page.keyboard.press("Control+a")
        field.page.keyboard.type(words)

    def choose(self, target: Locator) -> None:
        group = target.page.locator(f"input[name='{target.get_attribute('name')}']")
        # Tab stops at the chosen one, or at the first where none is
        self.reach(group.and_(target.page.locator(":checked")).or_(group.first).last)
        for _ in range(10):
            if target.is_checked():
                break
            target.page.keyboard.press("ArrowDown")
        expect(target).to_be_checked()

    def complete(self, entry: Locator) -> None:
        for _ in range(10):
            if entry.get_attribute("aria-selected") == "true":
                break
            entry.page.keyboard.press("ArrowDown")
        entry.page.keyboard.press("Enter")

    def lock_cell(self, page: Page) -> None:
        self.reach(page.locator(".token[aria-current]"))
        for _ in range(N_TOKENS):
            page.keyboard.press("ArrowRight")
        for _ in range(N_TOKENS - 1 - QUERY):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"q={QUERY}"))
        self.follow(page.locator(f"[data-part=keys] a[data-key='{KEY}']"))


@pytest.fixture(autouse=True)
def _attempts_are_not_limited_by_earlier_tests() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


@contextlib.contextmanager
def window_of(browser: Browser, hand: Mouse, *, expected: Sequence[str] = ()) -> Iterator[Page]:
    """A browser of somebody who uses this hand; it fails on every error that is not expected, refusals of the policy
    included."""
    context = browser.new_context(reduced_motion="reduce", **hand.window)
    context.set_default_timeout(10_000)
    with watched_page(context, expected=expected) as page:
        yield page
    context.close()


def shown_at(url: str) -> tuple[str, dict[str, list[str]]]:
    """What an address shows: its path and its query, whatever the order."""
    parts = urlsplit(url)
    return parts.path, parse_qs(parts.query)


def link_in(message: EmailMessage) -> str:
    (link,) = re.findall(r"^http://\S+$", message.body, re.MULTILINE)
    return str(link)


@pytest.mark.parametrize("hand", [Mouse(), Keyboard(), Finger()], ids=["mouse", "keyboard", "phone"])
def test_from_an_invitation_to_a_reverted_edit(
    browser: Browser, live_server: LiveServer, model: LanguageModel, mailoutbox: list[EmailMessage], hand: Mouse
) -> None:
    with window_of(browser, hand, expected=[CONFLICT]) as bob, window_of(browser, hand) as charlie:
        sign_up(bob, hand, live_server, mailoutbox)
        note_a_cell(bob, hand)
        write_an_article(bob, hand)
        sign_in(charlie, live_server, "charlie")
        edit_at_once(bob, charlie, hand, live_server)
        look_and_go_back(bob, hand)
    assert [revision.text for revision in Revision.objects.filter(page__kind=Kind.ARTICLE).order_by("n")] == [
        FIRST_TEXT,
        CHARLIES_TEXT,
        MERGED_TEXT,
        CHARLIES_TEXT,
    ]


def sign_up(page: Page, hand: Mouse, live_server: LiveServer, mailoutbox: list[EmailMessage]) -> None:
    """Bob gets an invitation, makes an account, says that the address is his, and signs in."""
    invitation, token = invite(person("alice", Role.MODERATOR), email="bob@example.org", role=Role.RESEARCHER)
    send_invitation(invitation, live_server.url + reverse("invitation", args=[token]))
    page.goto(link_in(mailoutbox[0]))
    hand.write(page.get_by_label("Name"), "bob")
    expect(page.get_by_label("Email")).to_have_value("bob@example.org")
    hand.write(page.locator("[name=password1]"), PASSWORD)
    hand.write(page.locator("[name=password2]"), PASSWORD)
    hand.follow(page.get_by_role("button", name="Sign up"))
    expect(page.get_by_role("heading", name="Verify your e-mail address")).to_be_visible()
    page.goto(link_in(mailoutbox[1]))
    hand.follow(page.get_by_role("button", name="Confirm"))
    hand.write(page.get_by_label("Login"), "bob")
    hand.write(page.get_by_label("Password"), PASSWORD)
    hand.follow(page.get_by_role("button", name="Sign in", exact=True))
    expect(page.locator(".account .name")).to_have_text("bob")
    assert User.objects.get(username="bob").role == Role.RESEARCHER


def note_a_cell(page: Page, hand: Mouse) -> None:
    """From home to the head, to a cell, to a note on it, and back from the note to the cell."""
    hand.write(page.locator("#jump"), "L1H2")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/m/tiny/L1H2/"))
    page.wait_for_selector("attention-pattern[ready]")
    hand.lock_cell(page)
    expect(page).to_have_url(re.compile(rf"(?=.*\bq={QUERY}\b)(?=.*\bk={KEY}\b)"))
    view = shown_at(page.url)
    assert view == ("/m/tiny/L1H2/", {"text": ["bundled-texts.0"], "q": [str(QUERY)], "k": [str(KEY)]})
    hand.follow(page.get_by_role("link", name="Note on this cell"))
    expect(page.locator(".anchored")).to_contain_text(f"position {QUERY}")
    hand.write(page.get_by_label("What there is to say", exact=True), NOTE)
    hand.follow(page.get_by_role("button", name="Save"))
    page.wait_for_selector("attention-pattern[ready]")
    assert shown_at(page.url) == view
    anchor = anchor_of(Text.objects.select_related("current").get(kind=Kind.NOTE).current)
    assert isinstance(anchor, CellAnchor)
    assert (anchor.q, anchor.k) == (QUERY, KEY)
    # from somewhere else, by the anchor of the note alone
    hand.follow(page.locator(".account .name"))
    hand.follow(page.get_by_role("link", name="All that bob wrote and changed"))
    hand.follow(page.get_by_role("link", name="note on tiny/L1H2 by bob"))
    expect(page.locator("article .text")).to_have_text(NOTE)
    hand.follow(page.locator(".anchored a"))
    page.wait_for_selector("attention-pattern[ready]")
    assert shown_at(page.url) == view
    expect(page.locator(".token.locked")).to_have_text(" cat")
    expect(page.locator(".token.key")).to_have_text(" sat")
    expect(page.locator("[data-part=state]")).to_contain_text(f"Locked on the cell to “sat”, position {KEY}")


def write_an_article(page: Page, hand: Mouse) -> None:
    """A new article, whose link to the head is completed while it is typed; the head then says that it links there."""
    hand.follow(page.get_by_role("navigation", name="Site").get_by_role("link", name="Articles"))
    hand.follow(page.get_by_role("link", name="Write an article"))
    hand.write(page.get_by_label("Title"), TITLE)
    before, _, after = FIRST_TEXT.partition("tiny/L1H2]]")
    hand.write(page.get_by_label("Text", exact=True), f"{before}L1H2")
    hand.complete(page.get_by_role("option", name=re.compile("L1H2")))
    expect(page.get_by_label("Text", exact=True)).to_have_value(f"{before}tiny/L1H2]]")
    page.keyboard.type(after)
    expect(page.locator(".preview").get_by_role("link", name="tiny/L1H2")).to_be_visible()
    hand.follow(page.get_by_role("button", name="Save", exact=True))
    expect(page.get_by_role("heading", name=TITLE, level=1)).to_be_visible()
    hand.follow(page.locator("article").get_by_role("link", name="tiny/L1H2"))
    hand.follow(page.locator("#links-here").get_by_role("link", name=TITLE))
    expect(page.get_by_role("heading", name=TITLE, level=1)).to_be_visible()


def sign_in(page: Page, live_server: LiveServer, name: str) -> None:
    client = Client()
    client.force_login(person(name))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])


def edit_at_once(bob: Page, charlie: Page, hand: Mouse, live_server: LiveServer) -> None:
    """Both begin at the first revision; Charlie saves first. Bob is shown both, and puts them together."""
    for page in (bob, charlie):
        page.goto(f"{live_server.url}/w/looking-back/")
        hand.follow(page.get_by_role("link", name="Edit", exact=True))
        expect(page.get_by_label("Text", exact=True)).to_have_value(FIRST_TEXT)
    hand.write(bob.get_by_label("Text", exact=True), BOBS_TEXT)
    hand.write(charlie.get_by_label("Text", exact=True), CHARLIES_TEXT)
    hand.write(charlie.get_by_label("What you changed"), "three of them")
    hand.follow(charlie.get_by_role("button", name="Save", exact=True))
    expect(charlie.locator("article .text")).to_contain_text("The end, for now.")
    hand.follow(bob.get_by_role("button", name="Save", exact=True))
    expect(bob.get_by_role("alert")).to_contain_text("charlie saved revision 2 while you were editing revision 1.")
    assert Draft.objects.get(owner__username="bob").text == BOBS_TEXT
    hand.choose(bob.get_by_role("radio", name=re.compile("^yours")))
    hand.write(bob.get_by_label("What you changed"), "two of them")
    hand.follow(bob.get_by_role("button", name="Save both together"))
    expect(bob.locator("article .text")).to_contain_text("Bob counted two of them.")
    expect(bob.locator("article .text")).to_contain_text("The end, for now.")
    assert not Draft.objects.exists()


def look_and_go_back(page: Page, hand: Mouse) -> None:
    """What the merge changed, and back to what Charlie wrote."""
    hand.follow(page.get_by_role("link", name="History"))
    hand.follow(page.get_by_role("link", name="what revision 3 changed"))
    expect(page.locator(".changes del").first).to_contain_text("Charlie")
    expect(page.locator(".changes ins").first).to_contain_text("Bob")
    hand.follow(page.get_by_role("link", name="Go back to revision 2"))
    expect(page.locator(".changes ins").first).to_contain_text("Charlie")
    hand.follow(page.get_by_role("button", name="Go back to revision 2"))
    expect(page.locator("article .text")).to_contain_text("Charlie counted three of them.")
    expect(page.locator("article footer")).to_contain_text("Revision 4 by bob")
