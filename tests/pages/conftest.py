from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from wiki.components.models import LanguageModel

from .building import build_measured_model


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pages are tested on both databases."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.both_databases)


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def model(db: None) -> LanguageModel:
    """A model with 3 layers of 4 heads on 2 key/value heads, all surveys finished."""
    return build_measured_model()
