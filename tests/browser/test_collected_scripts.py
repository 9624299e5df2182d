"""Scripts under the names that `make run` serves them by: what they load has such a name too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.postgres import free_port

MAKE_ARTICLE = r"""
from wiki.accounts.models import Role, User
from wiki.texts.models import Kind
from wiki.texts.writing import create_page
alice = User.objects.create_user("alice", role=Role.RESEARCHER)
create_page(alice, Kind.ARTICLE, "In a line $x^2 \\in \\mathbb{R}$.\n\n$$\n\\sum_k A_{qk}\n$$", title="Formulas")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A site with its static files collected, as the launcher prepares it, and where they are."""
    data = tmp_path_factory.mktemp("collected")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
    environment = {**clean, "LOUPE_DATA": str(data), "LOUPE_SECRET_KEY": "a", "LOUPE_WORKER_SECRET": "b"}
    for command in (["migrate", "-v0"], ["collectstatic", "--noinput", "-v0"], ["shell", "-v0", "-c", MAKE_ARTICLE]):
        subprocess.run([sys.executable, "manage.py", *command], cwd=settings.BASE_DIR, env=environment, check=True)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "wiki.wsgi", "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{url}/w/", timeout=5).close()  # noqa: S310 (loopback)
                break
            except urllib.error.URLError:
                time.sleep(0.2)
        yield url, data / "static"
    finally:
        server.terminate()
        server.wait(10)


def test_formulas_are_typeset_by_scripts_with_hashed_names(page: Page, site: tuple[str, Path]) -> None:
    url, folder = site
    names = json.loads((folder / "staticfiles.json").read_text())["paths"]
    loaded: list[str] = []
    page.on("response", lambda response: loaded.append(response.url) if response.ok else None)
    page.goto(f"{url}/w/formulas/", wait_until="networkidle")
    expect(page.locator(".math.inline math")).to_have_count(1, timeout=20_000)
    expect(page.locator(".math.block math")).to_have_count(1)
    expect(page.locator(".math.inline math")).to_contain_text("ℝ")
    for source in ("js/math.js", "vendor/katex/katex-0.19.1.min.js", "js/live-embeds.js", "js/attention-pattern.js"):
        assert names[source] != source
        assert f"{url}/static/{names[source]}" in loaded
        assert f"{url}/static/{source}" not in loaded


def test_every_module_that_a_script_loads_is_there_under_its_hashed_name(site: tuple[str, Path]) -> None:
    _, folder = site
    names = json.loads((folder / "staticfiles.json").read_text())["paths"]
    editor = (folder / names["js/text-editor.js"]).read_text()
    for source in ("js/completion.js", "js/live-embeds.js", "js/math.js"):
        assert f'from "./{Path(names[source]).name}"' in editor
