"""The views of a head page beyond plain attention: by script, by keyboard, on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analysis.schema import PromotedSpec
from analysis.store import promoted_path
from tests.pages.building import build_measured_model
from tests.pages.building_texts import build_prompt
from wiki.components.models import LanguageModel
from wiki.experiments import results
from wiki.experiments.models import Job, Measurement

from .test_head_page import open_head, view


@pytest.fixture
def model(transactional_db: None) -> LanguageModel:
    return build_measured_model()


def promoted(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("[data-part=promoted] li").all_inner_texts()]


@pytest.mark.parametrize("query", ["view=value", "view=row", "view=value&sink=hidden", "view=row&sink=hidden"])
def test_the_script_shows_value_weighted_attention_as_the_server_does(
    page: Page, live_server: LiveServer, model: LanguageModel, query: str
) -> None:
    for position in (2, 8):
        address = f"?text=bundled-texts.0&{query}&q={position}"
        open_head(page, live_server, address)
        by_script = view(page)
        page.route("**/*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
        page.goto(f"{live_server.url}/m/tiny/L1H2/{address}")
        by_server = view(page)
        page.unroute("**/*.js")
        for part in ("tokens", "query", "keys"):
            assert by_script[part] == by_server[part]


def test_views_are_links_that_keep_what_was_locked_by_script(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    open_head(page, live_server, "?text=bundled-texts.0")
    plain = view(page)
    page.locator(".token").nth(5).click()
    page.get_by_role("link", name="value-weighted", exact=True).click()
    expect(page).to_have_url(re.compile(r"view=value.*q=5"))
    page.wait_for_selector("attention-pattern[ready]")
    page.mouse.move(0, 0)
    weighted = view(page)
    assert weighted["matrix"] != plain["matrix"]
    expect(page.locator(".keys th").nth(2)).to_have_text("length written")
    page.reload()
    page.wait_for_selector("attention-pattern[ready]")
    assert view(page) == weighted
    page.get_by_role("link", name="60–80 %").click()
    expect(page).to_have_url(re.compile(r"view=value.*examples=80.*q=5"))


def test_promoted_tokens_of_ones_own_text_come_when_they_are_computed(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    prompt = build_prompt(model)
    path = promoted_path(results._store(), prompt.hash)
    path.rename(path.with_name("computed"))
    follower = Measurement.objects.filter(pk=PromotedSpec.from_json(prompt.spec).hash)
    finished_at = follower.get().finished_at
    follower.update(finished_at=None)
    job = Job.objects.filter(measurement__in=follower)
    job.update(state=Job.State.RUNNING, rows_done=1)
    open_head(page, live_server, f"?text={prompt.hash[:12]}&q=3")
    waiting = page.locator("#promoted-progress")
    expect(waiting).to_have_text(re.compile("Being computed: 1 of 3 layers."))
    job.update(rows_done=2)
    expect(waiting).to_have_text(re.compile("Being computed: 2 of 3 layers."))
    path.with_name("computed").rename(path)
    follower.update(finished_at=finished_at)
    expect(page.locator("[data-part=promoted] li")).to_have_count(8)
    expect(waiting).to_have_count(0)


def test_promoted_tokens_follow_the_previewed_and_the_locked_query(
    page: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    by_server = []
    for position in (3, 4):
        open_head(page, live_server, f"?text=bundled-texts.0&q={position}")
        by_server.append(promoted(page))
    assert by_server[0] != by_server[1]
    page.locator(".token").nth(3).hover()
    expect(page.locator("[data-part=promoted] li").first).to_have_text(re.compile(re.escape(by_server[0][0])))
    assert promoted(page) == by_server[0]
    page.mouse.move(0, 0)
    expect(page.locator("[data-part=promoted] li").first).to_have_text(re.compile(re.escape(by_server[1][0])))
    page.locator(".token.locked").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=3\b"))
    assert promoted(page) == by_server[0]
    page.keyboard.press("Escape")
    assert "q=" not in page.url
    page.keyboard.press("/")
    expect(page.locator("#jump")).to_be_focused()
    page.keyboard.type("L1KV0")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/m/tiny/L1KV0/")


@pytest.mark.parametrize("width", [390, 1440])
def test_views_and_examples_do_not_scroll_sideways(
    page: Page, live_server: LiveServer, model: LanguageModel, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("L1H2/?view=row&examples=60", "L1H2/?examples=80&view=value", "L1KV1/"):
        page.goto(f"{live_server.url}/m/tiny/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_a_phone_has_one_column_and_a_desk_two(page: Page, live_server: LiveServer, model: LanguageModel) -> None:
    for width, columns in ((390, 1), (1440, 2)):
        page.set_viewport_size({"width": width, "height": 900})
        open_head(page, live_server)
        template = page.evaluate("getComputedStyle(document.querySelector('.columns')).gridTemplateColumns")
        assert len(template.split()) == columns
