"""A passkey in a real browser: made, and signed in with, under the site's policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, BrowserContext, expect
from pytest_django.live_server_helper import LiveServer

from tests.browsing import watched_page

from .conftest import PASSWORD, make_person


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(8000)
    yield context
    context.close()


def test_a_passkey_is_made_and_signs_in_without_password(context: BrowserContext, live_server: LiveServer) -> None:
    make_person("alice")
    site = f"http://localhost:{live_server.url.rpartition(':')[2]}"
    with watched_page(context) as page:
        devtools = context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto(f"{site}/accounts/login/?next=/accounts/2fa/webauthn/add/")
        page.locator("#id_login").fill("alice")
        page.locator("#id_password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.locator("#id_password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
        page.get_by_label("Passwordless").check()
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("heading", level=1)).not_to_have_text("Add Security Key")
        assert Authenticator.objects.filter(type="webauthn").count() == 1
        page.goto(site)
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{site}/accounts/login/")
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("link", name="alice")).to_be_visible()
