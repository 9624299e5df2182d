from __future__ import annotations

import subprocess
import sys

import pytest
from django.test import Client, RequestFactory

from wiki.components.models import LanguageModel
from wiki.pages.errors import server_error

WITHOUT_TORCH = """
import sys
import wiki.wsgi
from django.test import Client
from django.urls import get_resolver
get_resolver().url_patterns
import wiki.pages.urls
assert Client().get("/nowhere/", headers={"host": "localhost"}).status_code == 404
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "transformers")))
"""


def test_a_failure_is_answered_without_database_or_context(rf: RequestFactory) -> None:
    # No `db` fixture: a query would fail this test.
    response = server_error(rf.get("/"))
    assert response.status_code == 500
    assert b"Something went wrong" in response.content


def test_a_failing_view_is_answered_with_the_page(
    client: Client, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("wiki.pages.views.heads.measurements_of", fail)
    client.raise_request_exception = False
    response = client.get("/m/tiny/L1H2/")
    assert response.status_code == 500
    assert b"Something went wrong" in response.content


def test_a_host_that_is_not_ours_is_refused(client: Client) -> None:
    response = client.get("/", headers={"host": "example.org"})
    assert response.status_code == 400
    assert response.content == b"This request cannot be read."


def test_the_site_never_imports_torch() -> None:
    answer = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[]"
