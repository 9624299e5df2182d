"""Fixtures that several folders of tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import tiny
from tests.browsing import chromium


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the tiny models."""
    folder = tmp_path_factory.mktemp("data") / "store"
    for slug in tiny.FAMILIES:
        tiny.put_into(folder, slug)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests: Playwright starts once in a process."""
    # Its loop runs in this thread, and Django would take queries for asynchronous ones.
    with pytest.MonkeyPatch.context() as patch, chromium() as browser:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield browser
