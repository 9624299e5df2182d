"""A store with both organisms, and what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.models import load_model, prepare_model
from analysis.replications.recorded import read_recorded


@pytest.fixture(scope="session")
def organisms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("organisms") / "store"
    for slug in ("paren-balance", "attn-only-2l"):
        prepare_model(store, slug)
    return store


@pytest.fixture(scope="session")
def rows() -> dict[str, Any]:
    return read_recorded()["rows"]


def load(store: Path, slug: str) -> Any:
    return load_model(store, slug, expected_hash=prepare_model(store, slug).meta["hash"], device="cpu")
