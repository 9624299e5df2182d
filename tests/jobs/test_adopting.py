"""Surveys made from a shell in the site's own store: the site reads them, and no sweeping removes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from analysis.commands import ask, survey
from analysis.schema import SurveySpec, content_hash
from analysis.store import StoreUnreachableError, is_complete, open_store, publish, survey_path, write_arrays
from tests.object_store import ObjectStore
from wiki.components.models import LanguageModel
from wiki.experiments.adopting import adopt_surveys
from wiki.experiments.models import Job, Pin, Survey

from .test_collect_artifacts import age, sweep

pytestmark = pytest.mark.both_databases


@pytest.fixture
def measured(data: Path, model: LanguageModel) -> SurveySpec:
    """What `python -m analysis survey` leaves in the data folder of the site."""
    spec = ask(data / "store", model.slug, "repeated-random", rows=32)
    survey(data / "store", spec)
    return spec


def put(store: Path, spec: SurveySpec, *, under: str = "") -> None:
    with publish(survey_path(store, under or spec.hash), meta={"spec": spec.to_json()}) as folder:
        write_arrays(folder, {"n": np.zeros(10)})


def test_a_survey_made_from_a_shell_is_read_by_the_site_once_the_sweeper_found_it(
    measured: SurveySpec, model: LanguageModel, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiki.experiments.management.commands.sweep.close_old_connections", lambda: None)  # the test's
    page, head = f"/s/{measured.hash}/", f"/m/{model.slug}/L1H2/?survey={measured.hash[:8]}"
    assert [client.get(address).status_code for address in (page, head)] == [404, 404]
    call_command("sweep")
    assert "all 32 rows measured" in client.get(page).content.decode()
    data = client.get(f"/m/{model.slug}/L1H2.json?survey={measured.hash[:8]}").json()
    assert set(data["metrics"]) == {"induction_repeated"}
    assert client.get(head).status_code == 200
    assert not Pin.objects.exists(), "no page reads it unless its address says so"
    assert not Job.objects.exists()
    assert adopt_surveys() == []


def test_only_whole_surveys_of_models_of_the_site_are_registered(
    data: Path, model: LanguageModel, small_spec: SurveySpec
) -> None:
    store = data / "store"
    good = dataclasses.replace(small_spec, rows=3)
    put(store, good)
    put(store, dataclasses.replace(small_spec, model="nowhere"))
    put(store, dataclasses.replace(small_spec, model_hash=content_hash("other weights")))
    put(store, small_spec, under="f" * 64)
    for name, manifest in {"a" * 64: "{", "b" * 64: '{"meta": {}, "files": {}}', "c" * 64: None}.items():
        survey_path(store, name).mkdir()
        if manifest:
            (survey_path(store, name) / "manifest.json").write_text(manifest)
    assert [found.hash for found in adopt_surveys()] == [good.hash]
    assert [found.hash for found in Survey.objects.all()] == [good.hash]


def test_a_survey_that_is_asked_for_stays_as_it_is(data: Path, model: LanguageModel, small_spec: SurveySpec) -> None:
    Survey.objects.create(hash=small_spec.hash, model=model, dataset=small_spec.dataset, spec=small_spec.to_json())
    put(data / "store", small_spec)
    assert adopt_surveys() == []
    assert Survey.objects.get().finished_at is None, "its merge will say so"


def test_surveys_in_a_bucket_are_found_too(
    data: Path, model: LanguageModel, small_spec: SurveySpec, settings: Settings, bucket: ObjectStore
) -> None:
    settings.STORE_URL = bucket.url
    put(open_store(data, bucket.url), small_spec)
    assert [found.hash for found in adopt_surveys()] == [small_spec.hash]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_survey_made_from_a_shell_is_not_swept_away_after_a_day(
    measured: SurveySpec, data: Path, model: LanguageModel, *, dry_run: bool
) -> None:
    asked = dataclasses.replace(measured, rows=16)
    Survey.objects.create(hash=asked.hash, model=model, dataset=asked.dataset, spec=asked.to_json())
    other = dataclasses.replace(measured, model="nowhere")
    put(data / "store", other)
    age(data / "store")
    left = {f"surveys/{other.hash}": "no survey of that hash is asked for here"}
    assert sweep(dry_run=dry_run) == left
    assert is_complete(survey_path(data / "store", measured.hash))
    assert is_complete(survey_path(data / "store", other.hash)) == dry_run


def test_a_store_that_does_not_answer_costs_no_survey(
    measured: SurveySpec, data: Path, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dataclasses.replace(measured, rows=16)
    Survey.objects.create(hash=asked.hash, model=model, dataset=asked.dataset, spec=asked.to_json())
    age(data / "store")

    def unreachable(*args: object, **options: object) -> None:
        raise StoreUnreachableError("It does not answer.")

    monkeypatch.setattr("wiki.experiments.results.open_artifact", unreachable)
    with pytest.raises(CommandError, match="It does not answer"):
        sweep()
    assert is_complete(survey_path(data / "store", measured.hash))
