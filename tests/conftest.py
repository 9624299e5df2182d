"""Fixtures that several folders of tests use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser

from tests import tiny
from tests.browsing import chromium
from tests.object_store import ObjectStore, object_store
from tests.postgres import free_port
from wiki.texts import allowances
from wiki.texts.allowances import Allowance


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make run`, which takes longest, comes first: of two processes the other has the rest meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_make_run.py")


@pytest.fixture(autouse=True)
def _nobody_writes_too_much(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """People of tests are as new as can be and write a lot, except where a test is of how much they may."""
    if not request.node.get_closest_marker("throttled"):
        everything = Allowance(timedelta.max, "one person", saves_an_hour=10**6, links_a_save=10**6)
        monkeypatch.setattr(allowances, "ALLOWANCES", (everything,))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny models."""
    folder = tmp_path_factory.mktemp("data") / "store"
    for slug in (*tiny.FAMILIES, *tiny.CAPPED):
        tiny.put_into(folder, slug)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests: Playwright starts once in a process."""
    # Its loop runs in this thread, and Django would take queries for asynchronous ones.
    with pytest.MonkeyPatch.context() as patch, chromium() as browser:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield browser


@pytest.fixture(scope="session")
def _object_store() -> Iterator[ObjectStore]:
    with object_store() as started:
        yield started


@pytest.fixture
def bucket(_object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An S3-compatible server with nothing in its bucket, and its credentials in the environment."""
    for name in _object_store.names():
        _object_store.remove(name)
    for name, value in _object_store.environment.items():
        monkeypatch.setenv(name, value)
    return _object_store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis on a free port of loopback."""
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        client = redis.Redis.from_url(url, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
        client.ping()
        yield url
    finally:
        server.terminate()
        server.wait(10)
