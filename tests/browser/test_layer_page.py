from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analysis.schema import Component
from tests.pages.building import build_measured_model
from tests.pages.building_neurons import activations_of
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.results import open_survey


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


def test_thumbnails_are_shaded_by_the_artifact_and_lead_to_the_head_with_the_same_text(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1/")
    page.get_by_role("link", name="repeated tokens").click()
    expect(page).to_have_url(re.compile(r"text=repeated-random\.0"))
    page.wait_for_selector("head-thumbnails[ready]")
    pixels = page.evaluate(
        """() => [...document.querySelectorAll("head-thumbnails canvas")].map((canvas) => {
            const n = 9, cell = canvas.width / n, context = canvas.getContext("2d");
            const at = (q, k) => context.getImageData((k + 0.5) * cell, (q + 0.5) * cell, 1, 1).data[0];
            return Array.from({ length: n }, (_, q) => Array.from({ length: n }, (_, k) => at(q, k)));
        })"""
    )
    survey = open_survey(Survey.objects.get(dataset="repeated-random"))
    patterns = np.stack([survey.pattern(0, Component(1, head=head)) for head in range(4)]) / 255
    card, accent = 255, 11  # the red of --card and of --accent
    assert np.abs(np.array(pixels) - (card + (accent - card) * np.sqrt(patterns))).max() <= 2
    page.get_by_role("link", name="L1H2").first.click()
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L1H2/?text=repeated-random.0")


def test_a_heading_sorts_the_neurons_and_a_second_click_the_other_way(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1/")
    maxima = activations_of(model, 1)[:, 1:].max((0, 1))
    rows = page.locator(".neurons tbody th")
    page.locator(".neurons thead").get_by_role("link", name="maximum").click()
    expect(rows.first).to_have_text(f"L1N{maxima.argmax()}")
    page.locator(".neurons thead").get_by_role("link", name="maximum").click()
    expect(rows.first).to_have_text(f"L1N{maxima.argmin()}")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("maximum")


def test_the_form_filters_and_chooses_the_axes(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1/?sort=mean")
    middle = float(np.median(activations_of(model, 1)[:, 1:].max((0, 1))))
    page.get_by_label("only those whose").select_option("maximum")
    page.get_by_label("is at least").fill(f"{middle:.4f}")
    page.get_by_label("across").select_option("minimum")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".neurons tbody tr")).to_have_count(8)
    expect(page.locator(".axis.across")).to_contain_text("minimum")
    assert "sort=mean" in page.url


def test_the_scatter_names_neurons_under_pointer_and_by_keyboard_and_opens_one(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page.goto(f"{live_server.url}/m/tiny/L1/?x=mean&y=maximum")
    page.wait_for_selector("neuron-scatter[ready]")
    live = activations_of(model, 1)[:, 1:]
    means, maxima = live.mean((0, 1)), live.max((0, 1))
    canvas, said = page.locator("neuron-scatter canvas"), page.locator("[data-part=said]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    neuron = int(maxima.argmax())
    across = float((means[neuron] - means.min()) / np.ptp(means))
    # 1 pixel of border at the left, 8 of margin
    page.mouse.move(box["x"] + 9 + across * (box["width"] - 17), box["y"] + 8)
    expect(said).to_contain_text(f"L1N{neuron}: mean")
    page.mouse.move(0, 0)
    expect(said).to_be_empty()
    canvas.focus()
    page.keyboard.press("Home")
    expect(said).to_contain_text(f"L1N{means.argmin()}: mean")
    page.keyboard.press("ArrowRight")
    second = int(np.argsort(means)[1])
    expect(said).to_contain_text(f"L1N{second}: mean")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L1N{second}/")
