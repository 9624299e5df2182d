"""Fixtures that several folders of tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the three tiny models."""
    folder = tmp_path_factory.mktemp("data") / "store"
    for slug in tiny.FAMILIES:
        tiny.put_into(folder, slug)
    return folder
