from __future__ import annotations

import logging
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings

from .world import World, build_world


@pytest.fixture
def world(db: None, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.CRITICAL, "django.request")  # refusals are what is asked for
    settings.DATA_DIR = tmp_path
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    cache.clear()
    return build_world()
