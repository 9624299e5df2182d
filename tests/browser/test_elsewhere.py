"""Signing up and in by way of an OpenID Connect server: a real one, over TLS, in Chromium."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import oidc_provider_mock
import pytest
import trustme
import werkzeug.serving
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from tests.browsing import watched_page
from tests.postgres import free_port

INVITE = """
from wiki.accounts.invitations import invite
from wiki.accounts.models import Role, User
alice = User.objects.create_user("alice", role=Role.ADMIN)
print("TOKEN", invite(alice, email="", role=Role.RESEARCHER)[1])
"""
PEOPLE = """
from wiki.accounts.models import User
for user in User.objects.order_by("pk"):
    print(user.username, user.get_role_display(), user.email, user.has_usable_password())
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def provider(authority: trustme.CA) -> Iterator[str]:
    """The address of a server that knows Bob, whose address of e-mail it has verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    bob = oidc_provider_mock.User(sub="bob", claims={"email": "bob@localhost", "email_verified": True})
    app = oidc_provider_mock.app(user_claims=[bob])
    server = werkzeug.serving.make_server("localhost", 0, app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class Site:
    """A site by itself, which lets people in by way of the provider."""

    def __init__(self, data: Path, authority: trustme.CA, provider: str) -> None:
        trusted = data / "authority.pem"
        authority.cert_pem.write_to_path(str(trusted))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
        self.environment = clean | {
            "LOUPE_DATA": str(data),
            "LOUPE_SECRET_KEY": "a",
            "LOUPE_WORKER_SECRET": "b",
            "LOUPE_OIDC_URL": provider,
            "LOUPE_OIDC_CLIENT_ID": "loupe",
            "LOUPE_OIDC_CLIENT_SECRET": "secret",
            "REQUESTS_CA_BUNDLE": str(trusted),
        }
        self.manage("migrate", "-v0")
        self.manage("collectstatic", "--noinput", "-v0")
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"

    def manage(self, *command: str) -> str:
        arguments = [sys.executable, "manage.py", *command]
        return subprocess.run(
            arguments, cwd=settings.BASE_DIR, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def ask(self, code: str) -> str:
        return self.manage("shell", "-v0", "-c", code)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, provider: str) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("elsewhere"), authority, provider)
    command = [sys.executable, "-m", "gunicorn", "wiki.wsgi", "--threads", "4", "--bind", f"127.0.0.1:{site.port}"]
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, env=site.environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{site.url}/", timeout=5).close()  # noqa: S310 (loopback)
                break
            except urllib.error.URLError:
                time.sleep(0.2)
        yield site
    finally:
        server.terminate()
        server.wait(10)


def leave_for(page: Page, provider: str, name: str) -> None:
    """From a page of the site to the provider, to say there who one is."""
    page.get_by_role("link", name="localhost", exact=True).click()
    page.get_by_role("button", name="Go to localhost").click()
    page.wait_for_url(f"{provider}/**")
    page.locator("input[name=sub]").fill(name)
    page.get_by_role("button", name="Authorize", exact=True).click()


def test_who_is_invited_signs_up_by_way_of_a_provider_and_in_again_and_others_do_not(
    browser: Browser, site: Site, provider: str
) -> None:
    [token] = re.findall(r"TOKEN (\S+)", site.ask(INVITE))
    context = browser.new_context(ignore_https_errors=True)
    # the provider's pages fetch their looks from elsewhere
    context.route(lambda url: "//localhost:" not in url, lambda route: route.fulfill(body=""))
    with watched_page(context) as page:
        page.goto(f"{site.url}/accounts/login/")
        leave_for(page, provider, "bob")
        expect(page.locator("main")).to_contain_text("invitation")
        assert "bob" not in site.ask(PEOPLE)

        page.goto(f"{site.url}/accounts/invitation/{token}/")
        leave_for(page, provider, "bob")
        expect(page.get_by_label("Email")).to_have_value("bob@localhost")
        page.get_by_label("Name", exact=True).fill("bob")
        page.get_by_role("button", name="Sign up").click()
        expect(page.get_by_role("link", name="bob")).to_be_visible()
        assert "bob researcher bob@localhost False" in site.ask(PEOPLE)

        page.get_by_role("button", name="Sign out", exact=True).click()
        page.goto(f"{site.url}/accounts/login/")
        leave_for(page, provider, "bob")
        expect(page.get_by_role("link", name="bob")).to_be_visible()
    context.close()
    assert site.ask(PEOPLE).count("bob@localhost") == 1
