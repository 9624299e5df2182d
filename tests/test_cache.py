"""What one process of the site caches, the others find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from wiki.lib.cache import WRITES_BETWEEN_LISTINGS, FileCache


def process(code: str, **environment: str) -> str:
    """What another process of the site prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
    needed = {"LOUPE_SECRET_KEY": "s", "LOUPE_WORKER_SECRET": "s", "DJANGO_SETTINGS_MODULE": "wiki.settings"}
    return subprocess.run(
        [sys.executable, "-c", f"from django.core.cache import cache; {code}"],
        env=clean | needed | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize("where", ["files", "redis"])
def test_processes_share_the_cache(request: pytest.FixtureRequest, tmp_path: Path, where: str) -> None:
    url = request.getfixturevalue("redis_url").removesuffix("/0") + "/1" if where == "redis" else ""
    environment = {"LOUPE_DATA": str(tmp_path), "LOUPE_CACHE_URL": url}
    process("cache.set('fragment', '<p>é</p>', None)", **environment)
    assert process("print(cache.get('fragment'))", **environment) == "<p>é</p>"
    assert (tmp_path / "cache").exists() == (where == "files")
    other_version = "import wiki.settings as s; s.CACHES['default']['KEY_PREFIX'] = 'loupe-0.0.0'; "
    assert process(f"{other_version}print(cache.get('fragment'))", **environment) == "None"


def test_a_thousand_fragments_stay(tmp_path: Path) -> None:
    """Django's file cache drops a third of its entries at 300, unless told otherwise."""
    code = "[cache.set(str(n), n, None) for n in range(1000)]; print(sum(cache.get(str(n)) == n for n in range(1000)))"
    assert process(code, LOUPE_DATA=str(tmp_path)) == "1000"


def test_a_full_cache_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[int] = []
    monkeypatch.setattr("random.randrange", lambda stop: listed.append(stop) or len(listed) % stop)
    cache = FileCache(str(tmp_path), {"OPTIONS": {"MAX_ENTRIES": 50}})
    for n in range(WRITES_BETWEEN_LISTINGS):
        cache.set(str(n), n, None)
    assert listed == [WRITES_BETWEEN_LISTINGS] * WRITES_BETWEEN_LISTINGS
    assert len(list(tmp_path.iterdir())) < 80
    assert cache.get(str(n)) == n, "the newest stays"
