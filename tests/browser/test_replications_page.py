"""The replications on a phone: tables are pushed sideways, the page is not."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

pytestmark = pytest.mark.django_db


def test_the_page_is_no_wider_than_a_phone(browser: Browser, live_server: LiveServer) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(f"{live_server.url}/w/replications/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tables = page.locator(".scroll")
    assert tables.count() >= 5
    assert page.evaluate("Math.max(...[...document.querySelectorAll('.scroll')].map(of => of.scrollWidth))") > 390
    # what is beyond the edge is reached by keyboard
    assert tables.first.get_attribute("tabindex") == "0"
    context.close()
