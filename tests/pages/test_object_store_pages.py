"""Pages whose numbers are in a bucket: read by ranges, and said in a sentence where it does not answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.test import Client
from pytest_django import Settings

from analysis.store import remove
from tests.object_store import ObjectStore
from wiki.components.models import LanguageModel
from wiki.experiments.results import artifact_path

from .building import build_measured_model, finish


@pytest.fixture
def in_bucket(bucket: ObjectStore, settings: Settings, db: None) -> ObjectStore:
    """A measured model whose surveys are in the bucket."""
    settings.STORE_URL = bucket.url
    build_measured_model("tiny")
    return bucket


def test_pages_of_a_bucket_are_those_of_a_disk(
    client: Client, in_bucket: ObjectStore, settings: Settings, tmp_path: Path
) -> None:
    addresses = ("/m/tiny/", "/m/tiny/L1/", "/m/tiny/L1H2/", "/m/tiny/L1H2.json")
    remote = {address: client.get(address).content for address in addresses}
    assert not (tmp_path / "store" / "surveys").exists() or not list((tmp_path / "store" / "surveys").iterdir())
    settings.STORE_URL, settings.DATA_DIR = "", tmp_path / "disk"
    for key in in_bucket.names():
        _, *folders, name = key.split("/")
        file = settings.DATA_DIR.joinpath("store", *folders, name.split("-", 1)[1] if "-" in name else name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(in_bucket.contents(key))
    for address in addresses:
        assert client.get(address).content == remote[address]
        assert client.get(address).status_code == 200


def test_a_store_that_does_not_answer_is_said_on_the_page(
    client: Client, in_bucket: ObjectStore, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("analysis.store.remotes.PAGE_PATIENCE", 0.1)
    settings.DATA_DIR = tmp_path / "elsewhere"
    response = client.get("/m/tiny/L1H2/")
    assert response.status_code == 200
    assert "the object store does not answer (Connection refused)" in response.content.decode()


def test_a_survey_that_was_measured_anew_is_read_without_a_restart(client: Client, in_bucket: ObjectStore) -> None:
    model = LanguageModel.objects.get(slug="tiny")
    survey = model.pins.get(dataset="sotu").survey
    assert client.get("/m/tiny/L1H2.json").json()["absent"] == {}
    remove(artifact_path(survey))
    assert client.get("/m/tiny/L1H2.json").json()["absent"] != {}
    finish(survey, metrics={"previous_token": np.full((model.n_layers, model.n_heads), 0.125)})
    assert client.get("/m/tiny/L1H2.json").json()["metrics"]["previous_token"]["value"] == 0.125
