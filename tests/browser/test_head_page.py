from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analysis.schema import Component, DatasetKind
from tests.pages.building import build_measured_model, build_model, build_survey, finish, random_metrics
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.results import open_survey


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


def open_head(page: Page, live_server: LiveServer, query: str = "") -> None:
    page.goto(f"{live_server.url}/m/tiny/L1H2/{query}")
    page.wait_for_selector("attention-pattern[ready]")


def view(page: Page) -> dict[str, Any]:
    """What a reader sees of the locked query."""
    view: dict[str, Any] = page.evaluate(
        """() => ({
            tokens: [...document.querySelectorAll(".token")].map((token) => token.className),
            query: document.querySelector(".query").textContent.replace(/\\s+/g, " ").trim(),
            keys: [...document.querySelectorAll("[data-part=keys] td")].map((cell) => cell.textContent),
            matrix: document.querySelector("canvas").toDataURL(),
        })"""
    )
    return view


def test_a_clicked_token_is_locked_in_the_address_and_a_reload_shows_the_same(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server)
    page.locator(".token").nth(5).click()
    expect(page).to_have_url(re.compile(r"[?&]q=5\b"))
    page.mouse.move(0, 0)
    seen = view(page)
    assert "position 5" in seen["query"]
    page.reload()
    page.wait_for_selector("attention-pattern[ready]")
    assert view(page) == seen


def test_a_token_is_locked_with_the_keyboard_and_unlocked_with_escape(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server)
    page.locator(".token[tabindex='0']").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".query")).to_contain_text("position 3")
    assert "q=" not in page.url
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]q=3\b"))
    expect(page.locator(".token.locked")).to_have_attribute("title", "position 3")
    seen = view(page)
    page.reload()
    page.wait_for_selector("attention-pattern[ready]")
    assert view(page) == seen
    page.keyboard.press("Tab")
    page.locator(".token.locked").focus()
    page.keyboard.press("Escape")
    assert "q=" not in page.url
    expect(page.locator(".token.locked")).to_have_count(0)


def test_the_script_shows_what_the_server_shows(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    for query in ("?text=bundled-texts.0", "?text=repeated-random.0&sink=hidden"):
        for position in (0, 4, 8):
            open_head(page, live_server, f"{query}&q={position}")
            by_script = view(page)
            page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
            page.goto(f"{live_server.url}/m/tiny/L1H2/{query}&q={position}")
            by_server = view(page)
            page.unroute("**/*.js")
            for part in ("tokens", "query", "keys"):
                assert by_script[part] == by_server[part]


def test_pointing_at_a_row_of_the_matrix_previews_and_a_click_locks_it(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server, "?text=bundled-texts.0&q=2")
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    middle_of_row_7 = (box["x"] + 20, box["y"] + box["height"] * 7.5 / 9)
    page.mouse.move(*middle_of_row_7)
    expect(page.locator(".query")).to_contain_text("position 7")
    assert "q=2" in page.url
    page.mouse.click(*middle_of_row_7)
    expect(page).to_have_url(re.compile(r"[?&]q=7\b"))


def test_the_matrix_is_shaded_by_the_artifact(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    open_head(page, live_server, "?text=bundled-texts.0&q=0")
    pixels = page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas"), n = 9, cell = canvas.width / n;
            const data = canvas.getContext("2d");
            const at = (q, k) => data.getImageData((k + 0.5) * cell, (q + 0.5) * cell, 1, 1).data[0];
            return Array.from({ length: n }, (_, q) => Array.from({ length: n }, (_, k) => at(q, k)));
        }"""
    )
    pattern = open_survey(Survey.objects.get(dataset="bundled-texts")).pattern(0, Component(1, head=2)) / 255
    card, accent = 255, 11  # the red of --card and of --accent
    assert np.abs(np.array(pixels) - (card + (accent - card) * np.sqrt(pattern))).max() <= 2


def test_slash_goes_to_the_jump_box_and_a_name_to_its_page(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server)
    page.keyboard.press("/")
    expect(page.locator("#jump")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#jump")).not_to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("2.3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L2H3/")


def test_arrow_keys_move_on_the_map(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/")
    page.locator(".map td a").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L2H1/")


def test_numbers_appear_by_themselves_when_a_survey_finishes(
    page: Page, live_server: LiveServer, transactional_db: None
) -> None:
    model = build_model()
    survey = build_survey(model, "sotu")
    page.goto(f"{live_server.url}/m/tiny/L1H2/")
    expect(page.locator("#progress")).to_contain_text("waiting for its turn")
    finish(survey, metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    expect(page.locator(".metric .value")).to_have_count(4, timeout=10_000)
    expect(page.locator("#progress")).to_have_count(0)


def test_a_page_in_use_is_not_loaded_anew_but_offers_the_new_figures(
    page: Page, live_server: LiveServer, transactional_db: None
) -> None:
    model = build_model()
    survey = build_survey(model, "sotu")
    page.goto(f"{live_server.url}/m/tiny/L1H2/")
    page.locator("#jump").fill("L2")
    finish(survey, metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    page.get_by_text("New figures have landed: show them").wait_for(timeout=10_000)
    expect(page.locator("#jump")).to_have_value("L2")
    page.get_by_text("New figures have landed: show them").click()
    expect(page.locator(".metric .value")).to_have_count(4)


def test_escape_unlocks_from_anywhere_and_a_second_click_too(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server, "?text=bundled-texts.0&q=5#attends")
    page.keyboard.press("Escape")
    assert page.url.endswith("/m/tiny/L1H2/?text=bundled-texts.0"), "neither the query nor the part"
    page.locator(".token").nth(4).click()
    assert "q=4" in page.url
    page.locator(".token").nth(4).click()
    assert "q=" not in page.url
    page.keyboard.press("End")
    expect(page.locator(".query")).to_contain_text("position 8")
    page.keyboard.press("Home")
    expect(page.locator(".query")).to_contain_text("position 0")


def test_what_is_shown_is_announced_and_never_called_locked_while_another_is_previewed(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server, "?text=bundled-texts.0&q=5")
    page.locator(".token").nth(2).hover()
    expect(page.locator("[data-part=state]")).to_contain_text("Previewing")
    page.mouse.move(0, 0)
    expect(page.locator("[data-part=state]")).to_contain_text("Locked:")
    page.locator(".token").nth(3).focus()
    expect(page.locator("[data-part=announcement]")).to_contain_text("position 3, attends to")


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_scrolls_sideways(page: Page, live_server: LiveServer, model: LanguageModel, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    survey = Survey.objects.get(dataset="sotu")
    for path in ("/", "/m/tiny/", "/m/tiny/L1/", "/m/tiny/L1H2/", survey.get_absolute_url()):
        page.goto(f"{live_server.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
