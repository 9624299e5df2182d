"""The builder of experiments in Chromium: both panes in step while one types, errors beside the node, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browsing import watched_page
from tests.pages.building import build_measured_model
from tests.pages.building_scrubs import finish_run
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments import jobs
from wiki.experiments.models import Experiment, Job

ADDRESS = "/x/new/?model=tiny&part=L2H1"


@pytest.fixture
def model(db: None, settings: Settings, tmp_path: Path) -> LanguageModel:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    return build_measured_model()


def sign_in(context: BrowserContext, live_server: LiveServer) -> None:
    client = Client()
    client.force_login(User.objects.create_user("alice", role=Role.RESEARCHER))
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])


@pytest.fixture
def builder(context: BrowserContext, live_server: LiveServer, model: LanguageModel) -> Iterator[Page]:
    """The form, with its script at work."""
    sign_in(context, live_server)
    with watched_page(context) as page:
        page.goto(live_server.url + ADDRESS)
        page.locator("hypothesis-builder[ready]").wait_for()
        yield page


def test_what_is_typed_in_the_form_is_in_the_yaml_and_the_tree(builder: Page) -> None:
    builder.locator('[name="sampler-1"]').select_option("agree")
    builder.locator('[name="value-1"]').fill("end_token")
    expect(builder.locator("#yaml")).to_have_value(re.compile("sampler: {agree: end_token}"))
    expect(builder.locator("#tree")).to_contain_text("a row that agrees on end_token")
    expect(builder.locator('[name="value-1"]')).to_be_focused()
    expect(builder.locator("#verdict")).to_contain_text("Nothing is wrong with it")


def test_what_is_typed_in_the_yaml_is_in_the_form_and_stays_as_typed(builder: Page) -> None:
    area = builder.locator("#yaml")
    text = area.input_value().replace("L2H1", "L0H3") + "# mine\n"
    area.fill(text)
    expect(builder.locator('[name="parts-1"]')).to_have_value("L0H3")
    expect(builder.locator("#tree a")).to_have_text("L0H3")
    expect(area).to_have_value(text)
    expect(area).to_be_focused()


def test_an_error_comes_and_goes_beside_its_node_while_one_types(builder: Page) -> None:
    parts = builder.locator('[name="parts-1"]')
    parts.fill("L99H0")
    expect(builder.locator("#problems-1")).to_contain_text("expected one of 3 layers, got number 99")
    expect(parts).to_have_value("L99H0")
    parts.fill("L1H0")
    expect(builder.locator("#problems-1")).to_be_empty()
    expect(builder.locator(".node-fields.wrong")).to_have_count(0)


def test_a_yaml_that_says_nothing_leaves_the_form_as_it_was(builder: Page) -> None:
    area = builder.locator("#yaml")
    area.fill("nodes: [")
    expect(builder.locator("#verdict")).to_contain_text("expected YAML or JSON, got something else")
    expect(builder.locator('[name="parts-1"]')).to_have_value("L2H1")
    builder.locator('[name="n"]').fill("55")
    expect(builder.locator("#verdict")).to_contain_text("mend the YAML")
    expect(area).to_have_value("nodes: [")
    builder.get_by_role("button", name="Use the form").click()
    expect(area).to_have_value(re.compile("n: 55"))


def test_nodes_come_and_go_without_the_page_being_left(builder: Page) -> None:
    builder.evaluate("window.here = true")
    builder.get_by_role("button", name="Add a node").click()
    expect(builder.locator('[name="name-2"]')).to_have_value("node 1")
    builder.locator('[name="parts-2"]').fill("L0.mlp")
    expect(builder.locator("#tree")).to_contain_text("L0.mlp")
    builder.get_by_role("button", name="Remove node 2").click()
    expect(builder.locator('[name="name-1"]')).to_have_value("node 1")
    expect(builder.locator('[name="name-2"]')).to_have_count(0)
    assert builder.evaluate("window.here")


def test_the_keyboard_alone_checks_and_runs_it(builder: Page) -> None:
    builder.locator('[name="parts-1"]').fill("L99H0")
    builder.evaluate("window.here = true")
    builder.keyboard.press("Enter")  # checks, and never runs
    expect(builder.locator("#verdict")).to_contain_text("Node 2 has 1 problem")
    assert builder.evaluate("window.here && document.activeElement.name") == "parts-1"
    builder.get_by_role("link", name="Node 2").focus()
    builder.keyboard.press("Enter")
    expect(builder.locator("#problems-1")).to_be_in_viewport()
    assert not Experiment.objects.exists()
    builder.locator('[name="parts-1"]').fill("L2H1")
    builder.locator('[name="parts-1"]').press("Tab")
    assert builder.evaluate("document.activeElement.name") == "sampler-1"
    builder.get_by_role("button", name="Run it").focus()
    builder.keyboard.press("Enter")
    expect(builder.locator("#runs-under-way")).to_contain_text("Waiting for its turn.")


def test_on_a_phone_nothing_is_wider_than_the_window(builder: Page) -> None:
    builder.set_viewport_size({"width": 390, "height": 800})
    builder.locator('[name="parts-1"]').fill("L" + "9" * 80)
    builder.locator(".node-fields.wrong").wait_for()
    for summary in builder.locator("summary").all():
        summary.click()
    assert builder.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_is_run_followed_and_shown_when_it_is_done(builder: Page, model: LanguageModel) -> None:
    builder.locator('[name="n"]').fill("40")
    builder.locator('[name="rows"]').fill("200")
    builder.get_by_role("button", name="Run it").click()
    expect(builder.locator("#runs-under-way")).to_contain_text("Waiting for its turn.")
    claim = jobs.claim_job(Job.objects.get().pk)
    assert claim is not None
    jobs.renew_job(Job.objects.get().pk, claim.token, rows_done=37)
    expect(builder.locator("#runs-under-way")).to_contain_text("37 % done")
    finish_run(Experiment.objects.get().runs.get())
    expect(builder.locator("#recovered")).to_be_visible()


def test_without_a_script_it_works_by_posting(
    browser_without_script: Page, live_server: LiveServer, model: LanguageModel
) -> None:
    page = browser_without_script
    page.goto(live_server.url + ADDRESS)
    page.locator('[name="parts-1"]').fill("L99H0")
    page.get_by_role("button", name="Check it").click()
    expect(page.locator("#problems-1")).to_contain_text("got number 99")
    page.locator('[name="parts-1"]').fill("L1H0")
    page.get_by_role("button", name="Add a node").click()
    page.locator('[name="parts-2"]').fill("L1H1")
    page.locator('[name="sampler-2"]').select_option("exact")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("h1")).to_have_text(str(Experiment.objects.get()))
    assert [node["parts"] for node in Experiment.objects.get().spec["nodes"]] == [["out"], ["L1H0"], ["L1H1"]]


@pytest.fixture
def browser_without_script(browser: object, live_server: LiveServer, model: LanguageModel) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)  # type: ignore[attr-defined]
    sign_in(context, live_server)
    yield context.new_page()
    context.close()
