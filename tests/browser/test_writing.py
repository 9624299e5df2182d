"""Writing with a preview, completion and cards, in a real browser under the site's policy."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.markdown.vectors import xss_vectors
from tests.pages.building import build_measured_model
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.models import Kind
from wiki.texts.writing import create_page

REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
    window.__reported = `${event.violatedDirective} refused ${event.blockedURI}`;
});
"""


@pytest.fixture(autouse=True)
def _with_a_form(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.texts.editing_site"
    cache.clear()


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


@pytest.fixture
def alice(model: LanguageModel, context: BrowserContext, live_server: LiveServer) -> User:
    """A researcher, signed in."""
    person = User.objects.create_user("alice", role=Role.RESEARCHER)
    client = Client()
    client.force_login(person)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    return person


def open_editor(page: Page, live_server: LiveServer, text: str = "") -> None:
    page.goto(f"{live_server.url}/form/?model=tiny&text={quote(text)}", wait_until="networkidle")
    page.wait_for_selector("text-editor[ready]")


def typed(page: Page) -> str:
    return page.locator("textarea").input_value()


def test_the_preview_follows_what_is_typed(page: Page, live_server: LiveServer, alice: User) -> None:
    open_editor(page, live_server)
    expect(page.locator(".preview")).to_have_text("Here is shown what you type.")
    page.locator("textarea").focus()
    page.keyboard.type("Some *words*, $x^2$ and ![[L1H2?metric=entropy]].\n\n![[L1H2?q=3]]")
    preview = page.locator(".preview")
    expect(preview.locator("em")).to_have_text("words")
    expect(preview.locator("math msup")).to_have_count(1)
    expect(preview.locator("a.number")).to_have_text(re.compile(r"^[\d.]+ ± \.01 nats$"))
    expect(preview.locator("attention-pattern[ready]")).to_have_count(1)
    assert page.evaluate("document.activeElement.name") == "text"


def test_a_preview_that_is_refused_says_why_and_keeps_what_is_typed(
    context: BrowserContext, live_server: LiveServer, alice: User
) -> None:
    page = context.new_page()  # Chromium reports refusals as errors
    open_editor(page, live_server, "kept")
    page.locator("textarea").fill("> " * 30 + "a")
    expect(page.locator(".preview")).to_contain_text("expected quotes and lists at most")
    alice.role = Role.READER
    alice.save()
    page.locator("textarea").fill("still mine")
    expect(page.locator(".preview")).to_contain_text("needs you to be signed in; your text is still here.")
    assert typed(page) == "still mine"


def test_links_are_completed_by_keyboard_alone(page: Page, live_server: LiveServer, alice: User) -> None:
    open_editor(page, live_server)
    field, entries = page.locator("textarea"), page.locator("[role=option]")
    field.focus()
    page.keyboard.type("See [[L1H")
    expect(entries).to_have_count(4)
    assert field.get_attribute("aria-controls") == page.locator("[role=listbox]").get_attribute("id")
    expect(entries.nth(0)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(entries.nth(2)).to_have_attribute("aria-selected", "true")
    assert field.get_attribute("aria-activedescendant") == entries.nth(2).get_attribute("id")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert typed(page) == "See [[L1H1]]"
    assert field.get_attribute("aria-activedescendant") is None
    page.keyboard.type(" by @al")
    expect(entries).to_have_text(["@alice "])
    page.keyboard.press("Tab")
    assert typed(page) == "See [[L1H1]] by @alice "
    page.keyboard.type("and ![[L1H2")
    expect(entries).to_have_count(1)
    page.keyboard.press("Enter")
    page.keyboard.type("?metric=entropy_")
    expect(entries).to_have_text(["metric=entropy_off_sink entropy off sink"])
    page.keyboard.press("Enter")
    assert typed(page) == "See [[L1H1]] by @alice and ![[L1H2?metric=entropy_off_sink]]"
    page.keyboard.press("Control+z")
    assert typed(page).endswith("![[L1H2?metric=entropy_]]"), "what was taken can be undone"


def test_completion_can_be_left_and_never_takes_a_key_that_is_not_its_own(
    page: Page, live_server: LiveServer, alice: User
) -> None:
    open_editor(page, live_server)
    page.locator("textarea").focus()
    page.keyboard.type("[[L1H")
    expect(page.locator("[role=option]")).to_have_count(4)
    page.keyboard.press("Escape")
    expect(page.locator("[role=listbox]")).to_be_hidden()
    page.keyboard.press("Enter")
    assert typed(page) == "[[L1H\n"
    page.keyboard.type("me@al")
    page.wait_for_timeout(400)
    expect(page.locator("[role=listbox]")).to_be_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "All that can be written"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "preview"


def test_an_entry_is_taken_by_a_click(page: Page, live_server: LiveServer, alice: User) -> None:
    create_page(alice, Kind.ARTICLE, "a", title="Induction heads")
    open_editor(page, live_server)
    page.locator("textarea").press_sequentially("[[part-of::indu")
    page.locator("[role=option]").click()
    assert typed(page) == "[[part-of::Induction heads]]"
    assert page.evaluate("document.activeElement.name") == "text"


def test_a_bare_name_becomes_a_link_once_or_everywhere(page: Page, live_server: LiveServer, alice: User) -> None:
    text = "𝔸é `L1H2` L1H2, L0H1.\n\n> L1H2 and [[L1H2]], L9H9"
    open_editor(page, live_server, text)
    buttons = page.locator(".link-it")
    expect(buttons).to_have_text(["link it", "link all 2", "link it", "link it"])
    buttons.nth(2).focus()
    page.keyboard.press("Enter")
    assert typed(page) == "𝔸é `L1H2` L1H2, [[L0H1]].\n\n> L1H2 and [[L1H2]], L9H9"
    expect(buttons).to_have_text(["link it", "link all 2", "link it"])
    expect(buttons.nth(2)).to_be_focused()
    page.get_by_role("button", name="link all 2: L1H2").click()
    assert typed(page) == "𝔸é `L1H2` [[L1H2]], [[L0H1]].\n\n> [[L1H2]] and [[L1H2]], L9H9"
    expect(buttons).to_have_count(0)
    expect(page.locator(".preview")).to_be_focused()


def open_article(page: Page, live_server: LiveServer, alice: User, text: str) -> None:
    create_page(alice, Kind.ARTICLE, text, title="Looking")
    page.goto(f"{live_server.url}/w/looking/", wait_until="networkidle")


def test_a_card_comes_with_pointer_and_focus_and_goes_with_escape(
    page: Page, live_server: LiveServer, alice: User
) -> None:
    create_page(alice, Kind.SUMMARY, "It looks back. Always.", about="tiny/L1H2")
    open_article(page, live_server, alice, "One [[tiny/L1H2]], another [[tiny/L0]], [[tiny]] and @alice.")
    link, card = page.get_by_role("link", name="tiny/L1H2"), page.get_by_role("tooltip")
    link.hover()
    expect(card).to_contain_text("It looks back.")
    expect(link).to_have_attribute("aria-describedby", "component-card")
    card.hover()
    page.wait_for_timeout(500)
    expect(card).to_be_visible()
    page.mouse.move(1, 400)
    expect(card).to_have_count(0)
    link.hover()
    expect(card).to_be_visible()
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    expect(link).not_to_have_attribute("aria-describedby", "component-card")
    page.mouse.move(1, 400)
    page.get_by_role("navigation", name="This text").get_by_role("link").last.focus()
    page.keyboard.press("Tab")
    expect(card).to_contain_text("L1H2 head of The tiny model")
    page.keyboard.press("Tab")
    expect(card).to_contain_text("L0 layer of The tiny model")
    page.keyboard.press("Tab")
    expect(card).to_have_count(0)


def test_texts_on_the_page_of_a_part_have_cards_too(page: Page, live_server: LiveServer, alice: User) -> None:
    create_page(alice, Kind.SUMMARY, "It feeds [[L0H1]].", about="tiny/L1H2")
    create_page(alice, Kind.NOTE, "So does [[L0H3]].", about="tiny/L1H2")
    page.goto(f"{live_server.url}/m/tiny/L1H2/", wait_until="networkidle")
    for name in ("L0H1", "L0H3"):
        page.locator(".passages, .note").get_by_role("link", name=name).hover()
        expect(page.get_by_role("tooltip")).to_contain_text(f"{name} head of")


def page_of_alice(context: BrowserContext, url: str) -> Page:
    """A page where Alice is signed in, who has a password. What it asks for while nobody is signed in is refused."""
    alice = User.objects.get(username="alice")
    alice.set_password("a long secret")
    alice.save()
    client = Client()
    client.force_login(alice)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])
    return context.new_page()


def sign_alice_in(page: Page, url: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.locator("input[name=login]").fill("alice")
    page.locator("input[name=password]").fill("a long secret")
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url(re.compile(r"^(?!.*login)"))


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("address", ["/a/{pk}/edit/", "/write/note/?about=tiny/L1H2"])
def test_who_signs_in_again_in_another_tab_saves_what_was_typed(
    context: BrowserContext, live_server: LiveServer, address: str, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "wiki.urls"
    article = create_page(User.objects.get(username="alice"), Kind.ARTICLE, "Before.", title="Looking")
    page = page_of_alice(context, live_server.url)
    page.goto(live_server.url + address.format(pk=article.pk), wait_until="networkidle")
    page.locator("textarea[name=text]").fill("Typed words.")
    context.clear_cookies(name="sessionid")
    sign_alice_in(context.new_page(), live_server.url)
    page.get_by_role("button", name=re.compile("^Save")).click()
    page.wait_for_url(re.compile(r"/(w/looking|m/tiny/L1H2)/"))
    expect(page.locator("main")).to_contain_text("Typed words.")


@pytest.mark.usefixtures("alice")
def test_what_is_sent_after_a_session_ended_is_sent_again_once_one_has_signed_in(
    context: BrowserContext, live_server: LiveServer, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "wiki.urls"
    article = create_page(User.objects.get(username="alice"), Kind.ARTICLE, "Before.", title="Looking")
    page = page_of_alice(context, live_server.url)
    page.goto(f"{live_server.url}/a/{article.pk}/report/")
    page.locator("textarea[name=reason]").fill("It says too little.\nAnd too much.")
    context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Report").click()
    expect(page.locator("main")).to_contain_text("your session ended")
    expect(page.get_by_label("Reason")).to_have_value("It says too little.\nAnd too much.")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Sign in in another tab").click()
    sign_alice_in(opened.value, live_server.url)
    page.get_by_role("button", name="Send again").click()
    page.wait_for_url(re.compile(r"/reports/\d+/"))
    expect(page.locator("main")).to_contain_text("And too much.")


def test_a_finger_gets_no_card_and_follows_the_link(
    browser: Browser, context: BrowserContext, live_server: LiveServer, alice: User
) -> None:
    create_page(alice, Kind.ARTICLE, "One [[tiny/L1H2]].", title="Looking")
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = phone.new_page()
    page.goto(f"{live_server.url}/w/looking/", wait_until="networkidle")
    page.get_by_role("link", name="tiny/L1H2").tap()
    page.wait_for_url("**/m/tiny/L1H2/")
    phone.close()


def test_an_embedded_pattern_is_alive_and_keeps_its_state_in_its_caption(
    page: Page, live_server: LiveServer, alice: User
) -> None:
    open_article(
        page, live_server, alice, "![[tiny/L1H2?text=bundled-texts.0&q=5]]\n\n![[tiny/L0H1?text=bundled-texts.0]]"
    )
    address = page.url
    first, second = page.locator("figure.embed").all()
    expect(page.locator("attention-pattern[ready]")).to_have_count(2)
    expect(first.locator(".query")).to_contain_text("position 5")
    expect(first.locator(".token.locked")).to_have_count(1)
    first.locator(".token").nth(7).hover()
    expect(first.locator(".query")).to_contain_text("position 7")
    first.locator(".token").nth(7).click()
    assert page.url == address
    link = first.locator("figcaption a.embed")
    expect(link).to_have_attribute("href", re.compile(r"/m/tiny/L1H2/\?text=bundled-texts\.0&q=7#attends$"))
    expect(first.locator("[data-part=state]")).to_contain_text("the caption leads to this view.")
    assert "q=" not in (second.locator("figcaption a.embed").get_attribute("href") or "")
    second.locator(".token").nth(3).click()
    page.keyboard.press("Escape")
    expect(second.locator(".token.locked")).to_have_count(0)
    expect(first.locator(".token.locked")).to_have_count(1)
    link.click()
    expect(page.locator("attention-pattern[ready] .query")).to_contain_text("position 7")


def test_without_scripts_an_embed_is_a_picture_and_the_preview_a_page(
    browser: Browser, context: BrowserContext, live_server: LiveServer, alice: User
) -> None:
    create_page(alice, Kind.ARTICLE, "![[tiny/L1H2?q=5]]", title="Looking")
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(context.cookies())
    page = plain.new_page()
    page.goto(f"{live_server.url}/w/looking/", wait_until="networkidle")
    assert page.locator("figure.embed img").bounding_box()["width"] > 300
    page.goto(f"{live_server.url}/form/?model=tiny&text=%5B%5BL1H2%5D%5D")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Preview").click()
    expect(popup.value.get_by_role("link", name="L1H2")).to_be_visible()
    plain.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_neither_editor_nor_text_scrolls_sideways(page: Page, live_server: LiveServer, alice: User, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    text = (
        "![[tiny/L1H2?q=5]]\n\n|a|b|\n|-|-|\n|![[tiny/L1H2?metric=entropy]]|c|\n\n$$\n"
        + "x + " * 60
        + "x\n$$\n\n"
        + "w" * 300
    )
    open_article(page, live_server, alice, text)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    open_editor(page, live_server, text)
    expect(page.locator("attention-pattern[ready]")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_in_editor_and_text(
    browser: Browser, context: BrowserContext, live_server: LiveServer, alice: User, width: int, scheme: str
) -> None:
    text = "# Head\n\n[[tiny/L1H2]] L0H1 ![[tiny/L1H2?metric=entropy]] [[nowhere]] $x$\n\n![[tiny/L1H2?q=5]]\n\n- [ ] a"
    create_page(alice, Kind.ARTICLE, text, title="Looking")
    seen = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    seen.add_cookies(context.cookies())
    page = seen.new_page()
    for path in ("/w/looking/", f"/form/?model=tiny&text={quote(text)}"):
        page.goto(live_server.url + path, wait_until="networkidle")
        if "form" in path:
            page.locator("textarea").press("Control+End")
            page.keyboard.type("[[L1")
            page.locator("[role=option]").first.wait_for()
        found = Axe().run(page).response["violations"]
        serious = [
            (violation["id"], [node["html"][:200] for node in violation["nodes"]][:3])
            for violation in found
            if violation["impact"] in ("serious", "critical")
        ]
        assert serious == []
    seen.close()


def test_no_vector_runs_in_preview_completion_card_or_caption(
    context: BrowserContext, live_server: LiveServer, alice: User
) -> None:
    vectors = [vector for vector in xss_vectors() if "\0" not in vector]
    refused: list[str] = []
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()  # not the watched one: pictures that are not there are errors to Chromium
    page.on("dialog", lambda dialog: refused.append(dialog.message))
    page.on("pageerror", lambda error: refused.append(str(error)))
    page.on("console", lambda message: refused.append(message.text) if "Policy" in message.text else None)
    for i, vector in enumerate(vectors):
        User.objects.create_user(f"v{i}", shown_name=vector[:100])
    create_page(alice, Kind.SUMMARY, "\n".join(vectors[:40]), about="tiny/L1H2")
    words = [re.sub(r"[\[\]|\n]", "", vector)[:200] for vector in vectors]
    embeds = "\n\n".join(f"![[tiny/L1H{i % 4}?q=1&text={each}|{each}]]" for i, each in enumerate(words))
    open_editor(page, live_server)
    for text in ("\n\n".join(vectors), embeds, " ".join(f"![[tiny/L1H2?metric={each}]]" for each in words)):
        page.locator("textarea").fill(text)
        expect(page.locator(".preview .text")).to_have_count(1)
        page.wait_for_timeout(800)
        page.wait_for_load_state("networkidle")
        page.evaluate(
            """for (const element of document.querySelectorAll(".preview *"))
                for (const name of ["mouseover", "focus", "toggle", "error"]) element.dispatchEvent(new Event(name))"""
        )
    page.locator("textarea").fill("[[tiny/L1H2]] ")
    for i in range(0, len(vectors), 10):
        page.locator("textarea").press("Control+End")
        page.keyboard.type(f" @v{i // 10}")
        page.locator("[role=option]").first.wait_for()
        page.keyboard.press("Escape")
    page.locator(".preview").get_by_role("link", name="tiny/L1H2").last.hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    assert page.evaluate("window.__ran") is None
    assert page.evaluate("window.__reported") is None
    assert page.locator(".preview :is(script, [style], [onload], [onerror], iframe, svg:not(.scale))").count() == 0
    assert refused == []


LONG = "\n\n".join(["The lead.", *(f"# Part {n}\n\n" + "Some words of it. " * 30 for n in range(3))])
BLOCK = "\n\n```circuit\nmodel: tiny\nL0H1 -> L1H2: K-composition\nL0H3\n```\n"


@pytest.mark.parametrize("key", ["Control+Enter", "Meta+Enter"])
def test_a_text_is_saved_from_the_keyboard(page: Page, live_server: LiveServer, alice: User, key: str) -> None:
    article = create_page(alice, Kind.ARTICLE, LONG, title="Guide")
    page.goto(f"{live_server.url}/a/{article.pk}/edit/")
    page.wait_for_selector("text-editor[ready]")
    page.locator("textarea").fill("Rewritten.")
    page.locator("textarea").press("Enter")
    page.locator("textarea").press(key)
    page.wait_for_url(f"{live_server.url}/w/guide/")
    expect(page.locator(".text")).to_contain_text("Rewritten.")


def test_the_editor_is_as_high_as_there_is_room_beside_its_preview(
    page: Page, live_server: LiveServer, alice: User
) -> None:
    article = create_page(alice, Kind.ARTICLE, LONG + BLOCK, title="Guide")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{live_server.url}/a/{article.pk}/edit/")
    expect(page.locator(".preview figure.circuit svg")).to_be_visible()
    field, preview = page.locator("textarea").bounding_box(), page.locator(".preview").bounding_box()
    assert field
    assert preview
    assert field["height"] >= 0.6 * 900
    assert preview["x"] >= field["x"] + field["width"]
    assert not page.get_by_role("button", name="Preview").count()


@pytest.mark.parametrize("width", [1440, 390])
def test_an_article_stands_in_the_middle_with_headings_that_are_seen(
    page: Page, live_server: LiveServer, alice: User, width: int
) -> None:
    create_page(alice, Kind.ARTICLE, LONG + BLOCK, title="Guide")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{live_server.url}/w/guide/")
    size = "([selector]) => parseFloat(getComputedStyle(document.querySelector(selector)).fontSize)"
    assert page.evaluate(size, [".text h2"]) >= 1.3 * page.evaluate(size, [".text p"])
    text, reading = page.locator(".text").bounding_box(), page.locator(".reading").bounding_box()
    aside = page.locator(".reading aside").bounding_box()
    assert text
    assert reading
    assert aside
    assert text["width"] <= 44 * 16
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 1440:
        assert aside["x"] > text["x"] + text["width"]
        left, right = text["x"], width - aside["x"] - aside["width"]
        assert abs(left - right) < 20
        expect(page.get_by_role("link", name="Part 2")).to_be_visible()
    else:
        assert aside["y"] > text["y"] + text["height"]
