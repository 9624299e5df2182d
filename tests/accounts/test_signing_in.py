"""Second factors, passkeys and sessions; who may read; accounts elsewhere; demo accounts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.conf import settings as current_settings
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from tests.pages.test_every_page import inline_parts
from wiki.accounts.demo import ACCOUNTS, password_of, prepare_demo_accounts
from wiki.accounts.models import Role, User

from .conftest import PASSWORD, make_person
from .test_sign_up import signed_in, text_of


def code_now(secret: str) -> str:
    """What an authenticator app shows for the secret."""
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


def sign_in(username: str, password: str = PASSWORD) -> Client:
    client = Client()
    assert client.post("/accounts/login/", {"login": username, "password": password}).status_code == 302
    return client


def confirm(client: Client) -> None:
    """Give the password once more, as what guards an account asks."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


def test_an_authenticator_app_is_enrolled_and_asked_for(db: None) -> None:
    make_person("alice")
    alice = sign_in("alice")
    assert alice.get("/accounts/2fa/totp/activate/").headers["Location"].startswith("/accounts/reauthenticate/")
    confirm(alice)
    page = alice.get("/accounts/2fa/totp/activate/")
    secret = str(re.findall(r'id="authenticator_secret"[^>]*value="([A-Z2-7]+)"', text_of(page))[0])
    assert alice.post("/accounts/2fa/totp/activate/", {"code": "no code"}).status_code == 200
    assert not Authenticator.objects.exists()
    assert alice.post("/accounts/2fa/totp/activate/", {"code": code_now(secret)}).status_code == 302
    kept = Authenticator.objects.get(type="totp")
    assert get_adapter().decrypt(kept.data["secret"]) == secret
    again = sign_in("alice")
    assert signed_in(again) == "", "the password alone is not enough"
    assert "Incorrect code" in text_of(again.post("/accounts/2fa/authenticate/", {"code": "000"}))
    codes = kept.user.authenticator_set.get(type="recovery_codes").wrap().get_unused_codes()
    again.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert signed_in(again) == "alice"


def test_the_page_for_a_passkey_holds_options_for_this_site_and_person(db: None) -> None:
    make_person("alice")
    alice = sign_in("alice")
    confirm(alice)
    page = text_of(alice.get("/accounts/2fa/webauthn/add/"))
    data = json.loads(re.findall(r'<script id="js_data" type="application/json">(.*?)</script>', page)[0])
    options = data["creation_options"]["publicKey"]
    assert options["rp"]["id"] == "testserver"
    assert options["user"]["name"] == "alice@example.org"
    assert len(options["challenge"]) > 20
    asked = Client().get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"}).json()
    assert asked["request_options"]["publicKey"]["rpId"] == "testserver"


def test_other_sessions_are_listed_and_signed_out(db: None) -> None:
    make_person("alice")
    laptop, phone = sign_in("alice"), sign_in("alice")
    page = laptop.get("/accounts/sessions/")
    assert text_of(page).count("127.0.0.1") == 2
    laptop.post("/accounts/sessions/")
    assert (signed_in(laptop), signed_in(phone)) == ("alice", "")


def test_who_closed_an_account_no_longer_signs_in(db: None) -> None:
    person = make_person("alice")
    alice = sign_in("alice")
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert signed_in(alice) == ""
    alice.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert signed_in(alice) == ""


PAGES = [
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/logout/",
    "/accounts/reauthenticate/",
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/2fa/webauthn/",
    "/accounts/2fa/webauthn/add/",
    "/accounts/sessions/",
    "/accounts/3rdparty/",
    "/accounts/settings/",
    "/accounts/invitations/",
    "/people/alice/",
    "/groups/",
]


@pytest.mark.parametrize("address", PAGES)
def test_pages_of_accounts_are_in_the_sites_frame_and_keep_the_policy(db: None, address: str) -> None:
    make_person("alice", Role.ADMIN)
    alice = sign_in("alice")
    confirm(alice)
    page = alice.get(address)
    assert page.status_code == 200
    assert '<a class="wordmark" href="/">Loupe</a>' in text_of(page)
    assert inline_parts(page.content) == []
    assert "unsafe" not in page.headers["Content-Security-Policy"]


def test_where_reading_needs_an_account_pages_lead_to_sign_in_and_data_say_so(db: None, settings: Settings) -> None:
    settings.ANONYMOUS_READING = False
    client = Client()
    for address in ("/", "/groups/", "/people/alice/", "/m/tiny/", "/nothing/"):
        assert client.get(address).headers["Location"] == f"/accounts/login/?next={address}"
    answer = client.get("/index.json")
    assert answer.status_code == 401
    assert answer.json() == {"error": "Reading this site: expected somebody who is signed in, got nobody."}
    for address in ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/health/"):
        assert client.get(address).status_code == 200
    assert client.post("/api/jobs/1/claim/").status_code not in (302, 401)
    make_person("alice")
    alice = sign_in("alice")
    page = alice.get("/")
    assert page.status_code == 200
    assert "private" in page.headers["Cache-Control"]
    assert alice.get("/index.json").status_code == 200


def test_where_reading_needs_no_account_nobody_is_sent_away(client: Client, db: None) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/index.json").status_code == 200


def test_demo_accounts_sign_in_from_loopback_alone_and_only_where_there_is_a_demo(db: None, settings: Settings) -> None:
    settings.DEMO = True
    people = {person.username: person for person in prepare_demo_accounts()}
    assert {name: person.role for name, person in people.items()} == ACCOUNTS
    assert [person.username for person in people.values() if person.is_staff] == ["admin"]
    near = sign_in("alice", password_of("alice"))
    assert signed_in(near) == "alice"
    typed = {"login": "alice", "password": password_of("alice")}
    far = Client(REMOTE_ADDR="192.0.2.1")
    assert "Demo accounts sign in from the machine that the site runs on" in text_of(
        far.post("/accounts/login/", typed)
    )
    assert signed_in(far) == ""
    settings.DEMO = False
    assert signed_in(near) == ""
    later = Client()
    assert later.post("/accounts/login/", typed).status_code == 403
    assert signed_in(later) == ""


def test_demo_accounts_are_made_once_and_never_of_somebodys_own(
    db: None, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="expected LOUPE_DEMO=1"):
        call_command("demo_accounts")
    settings.DEMO = True
    own = make_person("bob")
    call_command("demo_accounts")
    printed = capsys.readouterr().out
    call_command("demo_accounts")
    assert capsys.readouterr().out == printed
    assert f"alice      {password_of('alice')}  (researcher)" in printed
    assert "bob" not in printed
    own.refresh_from_db()
    assert (own.role, own.is_demo, own.check_password(PASSWORD)) == (Role.READER, False, True)
    assert len({password_of(name) for name in ACCOUNTS}) == len(ACCOUNTS)


READ_SETTINGS = """
import json
from django.conf import settings as s
print(json.dumps([s.SOCIALACCOUNT_PROVIDERS, s.CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"], s.DEBUG]))
"""
SIGN_IN_PAGE = """
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
print(Client(HTTP_HOST="localhost").get("/accounts/login/").content.decode())
left = Client(HTTP_HOST="localhost").post("/accounts/github/login/")
print("LEFT", left.status_code, left.headers["Location"])
"""


def manage(code: str, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"LOUPE_SECRET_KEY": "s", "LOUPE_WORKER_SECRET": "w", "LOUPE_DATA": str(data), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", code],
        env=given | environment,
        cwd=current_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"LOUPE_SIGN_UP": "all"}, "Reading LOUPE_SIGN_UP: expected invitation or open, got “all”."),
        ({"LOUPE_ANONYMOUS_READING": "false"}, "Reading LOUPE_ANONYMOUS_READING: expected yes or no, got “fal"),
        ({"LOUPE_DEMO": "2"}, "Reading LOUPE_DEMO: expected yes or no, got “2”."),
        (
            {"LOUPE_DEMO": "1", "LOUPE_HOSTS": "loupe.example.org"},
            "expected a site on loopback alone, got LOUPE_H",
        ),
        ({"LOUPE_DEMO": "yes", "LOUPE_HTTPS": "yes"}, "expected a site on loopback alone"),
        ({"LOUPE_EMAIL_URL": "mail.example.org"}, "Reading LOUPE_EMAIL_URL: expected smtp://"),
        ({"LOUPE_EMAIL_URL": "smtp://mail.example.org"}, "got no LOUPE_EMAIL_FROM."),
        ({"LOUPE_GITHUB_CLIENT_ID": "id"}, "expected all of them or none, got no LOUPE_GITHUB_CLIENT_SECRET."),
        ({"LOUPE_OIDC_URL": "https://id.example.org"}, "got no LOUPE_OIDC_CLIENT_ID and LOUPE_OIDC_CLIENT_SECRET."),
    ],
)
def test_the_site_does_not_start_with_settings_that_cannot_be(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    result = manage(READ_SETTINGS, tmp_path, **environment)
    assert result.returncode != 0
    assert sentence in result.stderr


GITHUB = {"LOUPE_GITHUB_CLIENT_ID": "of-github", "LOUPE_GITHUB_CLIENT_SECRET": "secret"}
OIDC = {
    "LOUPE_OIDC_URL": "https://id.example.org/realm",
    "LOUPE_OIDC_CLIENT_ID": "loupe",
    "LOUPE_OIDC_CLIENT_SECRET": "secret",
}


def test_accounts_elsewhere_are_off_unless_they_are_set(tmp_path: Path) -> None:
    assert json.loads(manage(READ_SETTINGS, tmp_path).stdout) == [{}, ["'self'"], False]
    providers, form_action, debug = json.loads(manage(READ_SETTINGS, tmp_path, **GITHUB, **OIDC).stdout)
    assert sorted(providers) == ["github", "openid_connect"]
    assert form_action == ["'self'", "https://github.com", "https://id.example.org"]
    assert debug is False


def test_accounts_elsewhere_are_on_the_page_to_sign_in_and_lead_there(tmp_path: Path, client: Client, db: None) -> None:
    page = manage(SIGN_IN_PAGE, tmp_path, **GITHUB, **OIDC).stdout
    assert '<a href="/accounts/github/login/?process=login">GitHub</a>' in page
    assert '<a href="/accounts/oidc/oidc/login/?process=login">id.example.org</a>' in page
    assert "LEFT 302 https://github.com/login/oauth/authorize?client_id=of-github" in page
    assert "GitHub" not in text_of(client.get("/accounts/login/"))
    assert client.get("/accounts/github/login/").status_code == 404
