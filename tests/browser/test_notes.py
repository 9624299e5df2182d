"""Notes on something exact are made by selecting it, with the pointer or the keyboard."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.pages.building import build_measured_model
from tests.pages.building_written import article, person
from wiki.components.models import LanguageModel
from wiki.texts.anchors import CellAnchor, SpanAnchor, anchor_of
from wiki.texts.models import Page as Text


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


def sign_in(page: Page, live_server: LiveServer) -> None:
    client = Client()
    client.force_login(person("alice"))
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])


def click_cell(page: Page, *, query: int, key: int, n: int) -> None:
    box = page.locator("canvas").bounding_box()
    assert box
    x, y = ((at + 0.5) / n * side for at, side in ((key, box["width"]), (query, box["height"])))
    page.locator("canvas").click(position={"x": x, "y": y})


def test_a_cell_that_is_clicked_is_noted_and_shown_again(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    sign_in(page, live_server)
    page.goto(f"{live_server.url}/m/tiny/L1H2/?text=bundled-texts.0")
    page.wait_for_selector("attention-pattern[ready]")
    click_cell(page, query=7, key=3, n=9)
    expect(page).to_have_url(re.compile(r"q=7&k=3"))
    expect(page.locator(".token.key")).to_have_text(" sat")
    page.get_by_role("link", name="Note on this cell").click()
    expect(page.locator(".anchored")).to_contain_text("from “cat”, position 7, to “sat”, position 3")
    page.locator("[name=text]").fill("It looks at what followed.")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector("attention-pattern[ready]")
    expect(page).to_have_url(re.compile(r"text=bundled-texts\.0&q=7&k=3#attends"))
    expect(page.locator(".cell-notes li")).to_have_count(1)
    expect(page.locator(".token.locked")).to_have_text(" cat")
    anchor = anchor_of(Text.objects.select_related("current").get().current)
    assert isinstance(anchor, CellAnchor)
    assert (anchor.q, anchor.k, anchor.key_token) == (7, 3, "sat")


def test_a_click_right_of_the_diagonal_locks_the_query_alone(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1H2/?text=bundled-texts.0")
    page.wait_for_selector("attention-pattern[ready]")
    click_cell(page, query=2, key=6, n=9)
    expect(page).to_have_url(re.compile(r"q=2(?!.*k=)"))


def test_a_cell_is_locked_by_keyboard_alone(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1H2/?text=bundled-texts.0&q=5")
    page.wait_for_selector("attention-pattern[ready]")
    page.locator("[data-part=keys] a").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=5&k=\d"))
    expect(page.get_by_role("link", name="Note on this cell")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile(r"[?&](q|k)="))


def test_without_scripts_the_name_of_a_key_locks_its_cell(
    browser: object, live_server: LiveServer, model: LanguageModel
) -> None:
    context = browser.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    page = context.new_page()
    page.goto(f"{live_server.url}/m/tiny/L1H2/?text=bundled-texts.0&q=5")
    page.locator("[data-part=keys] a").first.click()
    expect(page).to_have_url(re.compile(r"q=5&k=\d"))
    expect(page.get_by_role("link", name="Note on this cell")).to_be_visible()
    context.close()


def test_a_selected_passage_is_offered_for_a_note(page: Page, live_server: LiveServer, transactional_db: None) -> None:
    sign_in(page, live_server)
    article("Some heads **copy names** from before. Others copy names too.", title="Names")
    page.goto(f"{live_server.url}/w/names/")
    page.evaluate(
        """() => {
            const range = document.createRange();
            const text = document.querySelector("[data-passages] p").lastChild;
            const start = text.data.indexOf("copy names");
            range.setStart(text, start);
            range.setEnd(text, start + "copy names".length);
            document.getSelection().addRange(range);
        }"""
    )
    page.get_by_role("link", name="note on this passage").click()
    expect(page.locator(".anchored")).to_contain_text("“copy names”")
    page.locator("[name=text]").fill("Which?")
    page.get_by_role("button", name="Save").click()
    page.wait_for_load_state()
    anchor = anchor_of(Text.objects.select_related("current").latest("pk").current)
    assert isinstance(anchor, SpanAnchor)
    assert (anchor.quote, anchor.start) == ("copy names", len("Some heads copy names from before. Others "))
