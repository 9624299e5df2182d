"""Texts in a real browser, under the site's policy. The fixture `page` fails on every error and every refusal."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.markdown.serving import FORMULAS
from tests.markdown.vectors import xss_vectors


@pytest.fixture(autouse=True)
def _texts(settings: Settings, transactional_db: None) -> None:
    settings.ROOT_URLCONF = "tests.markdown.serving"


def open_typeset(page: Page, url: str) -> None:
    response = page.goto(url)
    assert response is not None
    assert "style-src 'self'" in response.headers["content-security-policy"]
    expect(page.locator(".math:not(.failed):not(:has(math))")).to_have_count(0, timeout=20_000)


def test_no_vector_runs_and_the_policy_has_nothing_to_refuse(page: Page, live_server: LiveServer) -> None:
    dialogs: list[str] = []
    requests: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    open_typeset(page, f"{live_server.url}/vectors/")
    assert page.locator("section[id^=text-] > *").count() >= len(xss_vectors())
    page.evaluate(
        """for (const element of document.querySelectorAll("main *"))
            for (const name of ["mouseover", "focus", "toggle", "error"]) element.dispatchEvent(new Event(name))"""
    )
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.__ran") is None
    assert page.evaluate("document.querySelectorAll('main script, main [style], main svg, main [onload]').length") == 0
    assert page.url == f"{live_server.url}/vectors/"
    assert dialogs == []
    assert all(url.startswith(live_server.url) for url in requests)


def test_formulas_are_mathml_and_what_cannot_be_read_stays_as_typed(page: Page, live_server: LiveServer) -> None:
    open_typeset(page, f"{live_server.url}/formulas/")
    for index in range(3):
        formula = page.locator(f"#text-{index} .math")
        assert formula.locator("math").count() == 1
        box = formula.locator("math").bounding_box()
        assert box is not None
        assert box["width"] > 20
    assert page.locator("#text-1 math").get_attribute("display") == "block"
    assert page.locator("main [style], main a").count() == 0
    for index, reason in ((3, "Undefined control sequence"), (5, "Too many expansions")):
        failed = page.locator(f"#text-{index} .math.failed")
        assert failed.text_content() == FORMULAS[index].strip("$")
        assert reason in (failed.get_attribute("title") or "")
