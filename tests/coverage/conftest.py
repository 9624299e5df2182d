from __future__ import annotations

from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings

from tests.pages.building import build_measured_model
from wiki.components.models import LanguageModel


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    cache.clear()


@pytest.fixture
def model(db: None) -> LanguageModel:
    """A model with 3 layers of 4 heads on 2 key/value heads, all surveys finished."""
    return build_measured_model()
