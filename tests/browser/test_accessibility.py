"""axe-core finds nothing serious on any type of page, wide or narrow, light or dark; nor does a strict HTML parser."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import html5lib
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import Browser
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browsing import watched_page
from tests.pages.building import build_measured_model
from tests.pages.building_scrubs import build_experiment, finish_run
from tests.pages.building_texts import build_prompt
from wiki.accounts.models import Role
from wiki.components.models import LanguageModel
from wiki.experiments.scrubs import run_again

PAGES = {
    "home": "/",
    "sign in": "/accounts/login/",
    "forgotten password": "/accounts/password/reset/",
    "sign up": "/accounts/signup/",
    "groups": "/groups/",
    "model": "/m/tiny/",
    "layer": "/m/tiny/L1/",
    "head": "/m/tiny/L1H2/?q=3",
    "head by value": "/m/tiny/L1H2/?view=value&examples=60",
    "KV head": "/m/tiny/L1KV1/",
    "neuron": "/m/tiny/L1N5/",
    "text form": "/m/tiny/text/",
    "kept text": "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6",
    "survey": "/s/{survey}/",
    "replications": "/w/replications/",
    "own text": "/m/tiny/text/{prompt}/?q=5&k=2",
    "neuron on a text": "/m/tiny/L1N5/?text={prompt}",
    "experiments": "/x/",
    "experiment": "/x/{experiment}/",
    "two experiments": "/x/compare/?a={experiment}&b={experiment}",
    "not found": "/m/tiny/L99H1/",
}


@pytest.fixture
def model(db: None) -> LanguageModel:
    return build_measured_model()


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: Path) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"


def address(model: LanguageModel, name: str) -> str:
    prompt, experiment = build_prompt(model), ""
    if "{experiment}" in PAGES[name]:
        alice = get_user_model().objects.create_user("alice", role=Role.RESEARCHER)
        run = finish_run(build_experiment(model, alice, title="Induction").runs.get())
        run_again(run.experiment, user=alice)
        experiment = run.experiment_id
    survey = model.surveys.get(dataset="sotu").hash
    return PAGES[name].format(survey=survey, prompt=prompt.hash, experiment=experiment)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(
    browser: Browser, live_server: LiveServer, model: LanguageModel, name: str, width: int, scheme: Literal["light"]
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    )
    page = context.new_page()
    page.goto(live_server.url + address(model, name), wait_until="networkidle")
    found = Axe().run(page).response["violations"]
    context.close()
    serious = [
        (violation["id"], violation["help"], [node["html"][:200] for node in violation["nodes"]][:3])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


# Chromium itself reports the status of what is not found as an error.
@pytest.mark.parametrize("name", [name for name in PAGES if name != "not found"])
def test_no_page_breaks_the_security_policy_or_reports_an_error(
    browser: Browser, live_server: LiveServer, model: LanguageModel, name: str
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    with watched_page(context) as page:
        page.goto(live_server.url + address(model, name), wait_until="networkidle")
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_strict_parser_finds_no_error_in_the_html(client: Client, model: LanguageModel, name: str) -> None:
    response = client.get(address(model, name))
    html5lib.HTMLParser(strict=True).parse(response.content)


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/settings/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/sessions/",
        "/accounts/invitations/",
        "/accounts/keys/",
        "/people/alice/",
    ],
)
def test_pages_of_an_account_are_accessible_too(browser: Browser, live_server: LiveServer, path: str) -> None:
    client = Client()
    client.force_login(
        get_user_model().objects.create_user("alice", "alice@example.org", "of the tests", role=Role.MODERATOR)
    )
    html5lib.HTMLParser(strict=True).parse(client.get(path).content)
    context = browser.new_context(viewport={"width": 390, "height": 900}, reduced_motion="reduce", bypass_csp=True)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    assert page.goto(live_server.url + path, wait_until="networkidle").url == live_server.url + path
    found = Axe().run(page).response["violations"]
    context.close()
    assert [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_builder_of_experiments_is_accessible_too_wrong_as_it_may_be(
    browser: Browser, live_server: LiveServer, model: LanguageModel, scheme: Literal["light", "dark"]
) -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_user("alice", role=Role.RESEARCHER))
    html5lib.HTMLParser(strict=True).parse(client.get("/x/new/?part=L99H1").content)
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme=scheme, bypass_csp=True)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    page.goto(f"{live_server.url}/x/new/?part=L99H1", wait_until="networkidle")
    page.get_by_role("button", name="Check it").click()
    page.locator(".node-fields.wrong").first.wait_for()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [violation["id"] for violation in found if violation["impact"] in ("serious", "critical")] == []


def test_the_form_that_adds_a_model_is_accessible_too(client: Client, db: None) -> None:
    client.force_login(get_user_model().objects.create_user("alice", role=Role.ADMIN))
    html5lib.HTMLParser(strict=True).parse(client.get("/models/add/").content)
