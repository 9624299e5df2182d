from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from analysis.metrics import HEAD_METRICS
from tests.browsing import watched_page
from tests.pages.building import build_measured_model, build_model, build_survey
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Survey
from wiki.experiments.results import open_survey

PLOTLY = re.compile(r"/static/vendor/plotly/")


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model(n_layers=30)


def values_of(key: str) -> np.ndarray:
    metric = next(metric for metric in HEAD_METRICS if metric.key == key)
    assert metric.dataset_kind
    return open_survey(Survey.objects.get(dataset="sotu")).metric(metric).ravel()


def head_at(place: int) -> str:
    return f"L{place // 4}H{place % 4}"


def open_scatter(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/m/tiny/?x=entropy&y=self")
    page.locator("metric-scatter").scroll_into_view_if_needed()
    page.wait_for_selector("metric-scatter[ready]")


def test_plotly_is_loaded_when_its_plot_comes_into_view_and_not_before(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    page.goto(f"{live_server.url}/m/tiny/", wait_until="networkidle")
    assert not any(PLOTLY.search(url) for url in asked)
    assert not any("scatter.json" in url for url in asked)
    page.locator("metric-scatter").scroll_into_view_if_needed()
    page.wait_for_selector("metric-scatter[ready]")
    assert sum(bool(PLOTLY.search(url)) for url in asked) == 2
    # every head is drawn, and no <style> was written, which the page fixture would have heard refused
    expect(page.locator(".scatterlayer .point")).to_have_count(120)
    expect(page.locator("style")).to_have_count(0)


def test_first_load_is_small(context: BrowserContext, live_server: LiveServer, model: LanguageModel) -> None:
    page = context.new_page()
    bodies = []
    page.on("requestfinished", lambda request: bodies.append(request.sizes()["responseBodySize"]))
    page.goto(f"{live_server.url}/m/tiny/", wait_until="networkidle")
    assert sum(bodies) < 300_000, "uncompressed; the test server does not compress"


def test_heads_of_the_scatter_are_reached_and_opened_with_the_keyboard(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_scatter(page, live_server)
    order = np.argsort(values_of("entropy"), kind="stable")
    page.locator("[data-part=plot]").focus()
    said = page.locator("[data-part=announcement]")
    page.keyboard.press("Home")
    expect(said).to_contain_text(f"{head_at(order[0])}: entropy, nats {values_of('entropy')[order[0]]:.2f}")
    page.keyboard.press("End")
    expect(said).to_contain_text(f"{head_at(order[-1])}: ")
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text(f"{head_at(order[-2])}: ")
    expect(page.locator(".hoverlayer")).to_contain_text(head_at(order[-2]))
    page.keyboard.press("Escape")
    expect(said).to_have_text("")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/{head_at(order[1])}/")


def test_a_click_on_a_point_goes_to_its_head(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    open_scatter(page, live_server)
    highest = int(np.argmax(values_of("self")))
    box = page.locator(".scatterlayer .point").nth(highest).bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(f"{live_server.url}/m/tiny/{head_at(highest)}/")


def test_the_map_is_one_tab_stop_with_arrows_home_and_end(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/")
    page.wait_for_selector("component-map[ready]")
    expect(page.locator("component-map td a[tabindex='0']")).to_have_count(1)
    page.locator("component-map td a[tabindex='0']").focus()
    focused = page.locator(":focus")
    for key, head in (
        ("ArrowRight", "L0H1"),
        ("ArrowDown", "L1H1"),
        ("End", "L1H3"),
        ("ArrowRight", "L1H3"),
        ("Home", "L1H0"),
        ("Control+End", "L29H3"),
        ("Control+Home", "L0H0"),
    ):
        page.keyboard.press(key)
        expect(focused).to_have_attribute("href", f"/m/tiny/{head}/")
    expect(page.locator("component-map td a[tabindex='0']")).to_have_count(1)


def test_layers_of_the_curves_are_one_tab_stop_and_links(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/")
    page.wait_for_selector("layer-curves[ready]")
    page.locator("layer-curves svg a[tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(":focus")).to_have_attribute("href", "/m/tiny/L28/")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L28/")


def test_the_finder_is_a_form_whose_answer_is_in_the_address(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/?x=entropy")
    finder = page.locator("#finder")
    finder.get_by_label("metric").select_option("duplicate token")
    finder.get_by_label("heads").select_option("5")
    finder.get_by_label("end").select_option("lowest")
    finder.get_by_role("button").click()
    expect(page).to_have_url(re.compile(r"\?x=entropy&metric=duplicate_token&top=5&end=lowest#finder$"))
    expect(finder.locator("tbody tr")).to_have_count(5)
    lowest = int(np.argmin(values_of("duplicate_token")))
    expect(finder.locator("tbody tr").first).to_contain_text(head_at(lowest))


@pytest.mark.parametrize("address", ["/", "/m/tiny/?top=all"])
def test_no_page_scrolls_sideways_on_a_phone(
    page: Page, live_server: LiveServer, model: LanguageModel, address: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{live_server.url}{address}", wait_until="networkidle")
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("width", [1440, 390])
def test_progress_stays_beside_its_bar_however_long_its_words(
    context: BrowserContext, live_server: LiveServer, transactional_db: None, width: int
) -> None:
    survey = build_survey(build_model(), "sotu")
    error = "The measuring worker was lost 5 times while doing this; its log says why, which is a long sentence. " * 3
    Job.objects.create(survey=survey, kind="survey-shard", shard=0, state=Job.State.FAILED, error=error.strip())
    with watched_page(context) as page:
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("/", "/m/tiny/"):
            page.goto(f"{live_server.url}{path}")
            bar = page.locator("#progress progress").bounding_box()
            words = page.locator("#progress progress + span").bounding_box()
            assert bar
            assert words
            assert words["x"] > bar["x"] + bar["width"], "beside"
            assert abs(words["y"] - bar["y"]) < 12, "on the same line"
            assert words["x"] + words["width"] <= width
