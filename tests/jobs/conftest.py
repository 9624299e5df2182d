"""A registered tiny model whose store is the site's, with an embedded broker."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from pytest_django import Settings

from analysis.datasets.table import prepare_dataset
from analysis.models import model_path
from analysis.schema import SurveySpec
from analysis.store import open_artifact
from wiki.components.models import LanguageModel
from wiki.experiments.first_surveys import register_model

SLUG = "tiny-llama"


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    """An empty data folder with an embedded broker of its own."""
    settings.DATA_DIR = tmp_path
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    settings.LEASE_SECONDS = 2
    return tmp_path


@pytest.fixture(params=["embedded", "redis"])
def broker_url(request: pytest.FixtureRequest, data: Path, settings: Settings) -> str:
    if request.param == "redis":
        settings.BROKER_URL = request.getfixturevalue("redis_url")
    return str(settings.BROKER_URL)


@pytest.fixture
def spec(data: Path, store: Path) -> SurveySpec:
    """A survey of many small batches: long enough to be killed in the middle of."""
    (data / "store" / "models").mkdir(parents=True)
    shutil.copytree(model_path(store, SLUG), model_path(data / "store", SLUG))
    model = open_artifact(model_path(data / "store", SLUG))
    rows = prepare_dataset(data / "store", model, "repeated-random")
    return SurveySpec(
        SLUG,
        model.meta["hash"],
        "repeated-random",
        rows.meta["hash"],
        rows=240,
        in_depth=False,
        lens_rows=0,
        pattern_rows=1,
        shard_rows=60,
        batch_rows=1,
    )


@pytest.fixture
def model(spec: SurveySpec, data: Path, db: None) -> LanguageModel:
    return register_model(open_artifact(model_path(data / "store", SLUG)).meta)


@pytest.fixture
def small_spec(spec: SurveySpec) -> SurveySpec:
    return dataclasses.replace(spec, rows=6, shard_rows=2)
