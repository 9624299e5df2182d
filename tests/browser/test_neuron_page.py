from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.pages.building import build_measured_model
from tests.pages.building_neurons import activations_of
from tests.pages.building_texts import TOKENS, build_prompt, neuron_steps
from wiki.components.models import LanguageModel


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


def test_pointer_and_focus_say_the_value_of_a_token(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1N5/")
    first = page.locator(".examples li").first
    said, extreme = first.locator(".said"), first.locator(".t.extreme")
    largest = float(activations_of(model, 1)[:, 1:, 5].max())
    extreme.hover()
    expect(said).to_contain_text(f"{largest:.1f} at position" if largest >= 10 else f"{largest:.2f} at position")
    page.mouse.move(0, 0)
    expect(said).to_be_empty()
    extreme.focus()
    expect(said).to_contain_text("at position")
    told = said.inner_text()
    page.keyboard.press("Home")
    expect(first.locator(".t").first).to_be_focused()
    expect(said).not_to_have_text(told)
    page.keyboard.press("ArrowRight")
    expect(first.locator(".t").nth(1)).to_be_focused()
    expect(said).to_contain_text(f"“{first.locator('.t').nth(1).text_content()}”")


def test_values_on_ones_own_text_and_in_full_texts_are_said_by_keyboard(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    prompt = build_prompt(model)
    page.goto(f"{live_server.url}/m/tiny/L1N5/?text={prompt.hash[:12]}")
    own = page.locator("#own-text")
    steps = neuron_steps(model, 1)[5].astype(float)
    for key, position in (("Home", 0), ("ArrowRight", 1), ("End", len(TOKENS) - 1)):
        own.locator(".t[tabindex='0']").focus()
        page.keyboard.press(key)
        expect(own.locator(".t").nth(position)).to_be_focused()
        figure = "not kept" if position == 0 else f"{steps[position] * 0.02:.2f}".replace("0.", ".", 1)
        expect(own.locator(".said")).to_contain_text(f"{figure} at position {position}")
    first = page.locator(".examples li").first
    first.get_by_role("link", name="full text").click()
    full = first.locator(".full")
    full.locator(".t[tabindex='0']").focus()
    expect(full.locator(".said")).to_contain_text("at position")
    page.keyboard.press("Home")
    expect(full.locator(".said")).to_contain_text("not kept at position 0")
    expect(first.locator(".said").first).to_be_empty()


def test_the_tokens_of_a_text_are_one_tab_stop(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1N5/")
    first = page.locator(".examples li").first
    first.locator(".t.extreme").focus()
    page.keyboard.press("ArrowLeft")
    expect(first.locator(".t[tabindex='0']")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(first.get_by_role("link", name="full text")).to_be_focused()


def test_full_text_is_loaded_on_demand_and_only_once(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1N5/?examples=bottom")
    first = page.locator(".examples li").first
    expect(page.locator(".full")).to_have_count(0)
    for _ in range(2):
        first.get_by_role("link", name="full text").click()
        expect(first.locator(".full .t")).to_have_count(40)
        if "/rows/" in page.url:
            break
    assert first.locator(".full").count() == 1


def test_full_text_is_a_page_without_javascript(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"{live_server.url}/m/tiny/L1N5/")
    page.locator(".examples li").first.get_by_role("link", name="full text").click()
    expect(page).to_have_url(re.compile(r"/m/tiny/L1N5/rows/\d+/$"))
    expect(page.locator(".full .t")).to_have_count(40)


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_of_neurons_and_layers_do_not_scroll_sideways(
    page: Page, live_server: LiveServer, model: LanguageModel, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("L1N5/", "L1N5/?examples=bottom", "L1N5/rows/0/", "L1/", "L1/?text=repeated-random.0"):
        page.goto(f"{live_server.url}/m/tiny/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
