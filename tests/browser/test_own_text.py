"""Choosing a query and a key with pointer and keyboard, and a text that is measured while one looks on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from analysis.schema import PromptSpec
from tests.pages.building import build_measured_model
from tests.pages.building_texts import TYPED, build_prompt, prompt_pattern, publish_prompt
from wiki.components.models import LanguageModel
from wiki.experiments.consequences import finish_and_follow
from wiki.experiments.jobs import claim_job
from wiki.experiments.models import Job, Measurement


@pytest.fixture
def model(transactional_db: None, settings: Settings, tmp_path: Path) -> LanguageModel:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"
    return build_measured_model()


def open_text(page: Page, live_server: LiveServer, model: LanguageModel, query: str = "") -> None:
    page.goto(f"{live_server.url}/m/tiny/text/{build_prompt(model).hash}/{query}")
    page.wait_for_selector("query-key[ready]")


def ranking(page: Page) -> list[list[str]]:
    rows: list[list[str]] = page.locator("#ranking .list tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


def test_two_clicks_rank_all_heads_and_a_reload_and_no_script_show_the_same(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_text(page, live_server, model)
    page.locator(".token").nth(5).click()
    expect(page).to_have_url(re.compile(r"\?q=5#pair$"))
    expect(page.locator("#pair-title")).to_contain_text("position 5, is the query")
    page.locator(".token").nth(2).click()
    expect(page).to_have_url(re.compile(r"\?q=5&k=2#pair$"))
    expect(page.locator("#ranking")).to_be_visible()
    seen = ranking(page)
    weights = prompt_pattern(model)[:, :, 5, 2]
    assert len(seen) == 12
    assert seen[0][1] in {f"L{layer}H{head}" for layer, head in zip(*(weights == weights.max()).nonzero(), strict=True)}
    page.reload()
    page.wait_for_selector("query-key[ready]")
    assert ranking(page) == seen
    page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(page.url.replace("?q=5&k=2#pair", ""))
    page.locator(".token").nth(5).click()
    page.locator(".token").nth(2).click()
    assert ranking(page) == seen


def test_the_keyboard_chooses_and_goes_back(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    open_text(page, live_server, model)
    page.locator(".token[tabindex='0']").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=4#pair$"))
    expect(page.locator(".token.query")).to_be_focused()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=4&k=1#pair$"))
    expect(page.locator(".token.key")).to_have_attribute("data-position", "1")
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"\?q=4#pair$"))
    page.keyboard.press("Escape")
    expect(page.locator("#pair-title")).to_contain_text("Choose a query token")
    expect(page).to_have_url(re.compile(r"/m/tiny/text/[0-9a-f]{64}/$"))
    page.go_back()
    expect(page.locator("#pair-title")).to_contain_text("position 4, is the query")


def test_a_head_of_the_map_opens_with_this_text_and_query(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_text(page, live_server, model, "?q=5&k=2")
    page.locator(".map td a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/m/tiny/L1H1/\?text=[0-9a-f]{12}&q=5#attends$"))
    page.wait_for_selector("attention-pattern[ready]")
    expect(page.locator(".query")).to_contain_text("position 5")


def test_a_typed_text_shows_on_the_head_page_once_it_is_measured(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1H2/")
    page.get_by_role("link", name="your own text…").click()
    page.locator("textarea").fill(TYPED)
    page.get_by_role("button", name="Measure it").click()
    expect(page.locator("#progress")).to_contain_text("Waiting for its turn.")
    prompt = Measurement.objects.get(kind="prompt")
    publish_prompt(model, PromptSpec.from_json(prompt.spec), seed=11)
    job = Job.objects.get(measurement=prompt)
    claim = claim_job(job.pk)
    assert claim
    expect(page.locator("#progress")).to_contain_text("Being measured.", timeout=10_000)
    assert finish_and_follow(job.pk, claim.token, result={})
    expect(page).to_have_url(re.compile(r"/m/tiny/L1H2/\?text=[0-9a-f]{12}"), timeout=10_000)
    page.wait_for_selector("attention-pattern[ready]")
    expect(page.locator("nav[aria-label=Text] a[aria-current]")).to_have_text("your text")


def test_a_phone_needs_no_sideways_scrolling(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for query in ("", "?q=5", "?q=5&k=2"):
        Measurement.objects.filter(kind__in=("prompt", "promoted")).delete()
        open_text(page, live_server, model, query)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{live_server.url}/m/tiny/text/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
