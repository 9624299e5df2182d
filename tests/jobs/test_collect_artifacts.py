"""What nothing names is swept out of the store, and nothing else."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from analysis.schema import JobKind, PromotedSpec, PromptSpec, SurveySpec, WeightsSpec
from analysis.store import (
    is_complete,
    open_store,
    promoted_path,
    prompt_path,
    publish,
    survey_path,
    vocabulary_path,
    weights_path,
    write_arrays,
)
from tests.object_store import ObjectStore
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement, Survey

pytestmark = pytest.mark.both_databases

UNKNOWN = "f" * 64


def put(path: Path, **meta: str) -> None:
    with publish(path, meta=meta) as folder:
        write_arrays(folder, {"n": np.zeros(1000)})


def fill(store: Path, model: LanguageModel, spec: SurveySpec) -> Survey:
    """A finished and an unfinished survey, each with partials, and what belongs to none; returns the finished one."""
    finished = Survey.objects.create(
        hash=spec.hash, model=model, dataset=spec.dataset, spec=spec.to_json(), finished_at=timezone.now()
    )
    other = dataclasses.replace(spec, rows=spec.rows - 1)
    Survey.objects.create(hash=other.hash, model=model, dataset=other.dataset, spec=other.to_json())
    for survey_hash in (spec.hash, UNKNOWN):
        put(survey_path(store, survey_hash))
    for survey_hash in (spec.hash, other.hash, UNKNOWN):
        put(store / "partials" / survey_hash / "shard-00000")
    put(store / "datasets" / "read-0123", hash=spec.dataset_hash)
    put(store / "datasets" / "unread-0123", hash="tokens of a model that is gone")
    put(store / "models" / "nowhere-registered")
    return finished


LEFT = {
    f"surveys/{UNKNOWN}": "no survey of that hash is asked for here",
    f"partials/{UNKNOWN}": "no survey of that hash is asked for here",
    "datasets/unread-0123": "no survey reads these tokens",
}


def age(store: Path) -> None:
    """As two days would."""
    past = time.time() - 2 * 86_400
    for path in (store, *store.rglob("*")):
        os.utime(path, (past, past))


def sweep(*, dry_run: bool = False) -> dict[str, str]:
    """What the command says: a reason for each name."""
    out = io.StringIO()
    call_command("collect_artifacts", dry_run=dry_run, stdout=out)
    *lines, total = out.getvalue().splitlines()
    doing = "would remove" if dry_run else "removed"
    assert total.startswith(f"{doing} {len(lines)} in all, ")
    assert all(line.startswith(f"{doing} 0.0 MB: ") for line in lines)
    return dict(line.split("MB: ")[1].removesuffix(")").split(" (") for line in lines)


@pytest.fixture(params=["disk", "bucket"])
def swept_store(
    request: pytest.FixtureRequest,
    settings: Settings,
    data: Path,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An empty store on a disk, or in a bucket, where what was written is taken to be old."""
    shutil.rmtree(data / "store")
    if request.param == "bucket":
        settings.STORE_URL = request.getfixturevalue("bucket").url
    monkeypatch.setattr("wiki.experiments.collecting.GRACE", timedelta(days=-1))
    return open_store(data, settings.STORE_URL)


def test_what_no_row_names_is_removed_and_the_rest_stays(
    swept_store: Path, model: LanguageModel, small_spec: SurveySpec
) -> None:
    survey = fill(swept_store, model, small_spec)
    left = LEFT | {f"partials/{survey.hash}": "its survey is finished"}
    assert sweep(dry_run=True) == left
    assert sweep(dry_run=True) == left, "nothing was removed"
    assert sweep() == left
    assert sweep() == {}
    unfinished = Survey.objects.get(finished_at=None)
    for name in (
        f"surveys/{survey.hash}",
        f"partials/{unfinished.hash}/shard-00000",
        "datasets/read-0123",
        "models/nowhere-registered",
    ):
        assert is_complete(swept_store / name), name
    for name in left:
        assert not is_complete(swept_store / name)
        assert not is_complete(swept_store / name / "shard-00000")


def test_what_killed_writers_left_on_the_disk_goes_and_what_living_ones_write_stays(
    data: Path, model: LanguageModel, small_spec: SurveySpec
) -> None:
    store = data / "store"
    for name in ("surveys/.x.killed", "partials/.y.killed", "..killed", "fetch-killed", "models/half"):
        (store / name).mkdir(parents=True)
        (store / name / "file").write_bytes(b"half")
    shutil.rmtree(store / "datasets")
    with publish(store / "surveys" / "living", meta={}) as living:
        age(store)
        assert sweep() == {
            "surveys/.x.killed": "whoever wrote it was killed",
            "partials/.y.killed": "whoever wrote it was killed",
            "..killed": "whoever wrote it was killed",
            "fetch-killed": "whoever wrote it was killed",
            "models/half": "it was never finished",
        }
        assert living.exists()
    assert is_complete(store / "models" / model.slug)


def test_what_is_younger_than_a_day_stays(data: Path, model: LanguageModel, small_spec: SurveySpec) -> None:
    survey = fill(data / "store", model, small_spec)
    assert sweep() == {}
    age(data / "store")
    assert set(sweep()) >= {f"surveys/{UNKNOWN}", f"partials/{survey.hash}"}


def test_objects_of_a_writer_who_came_second_are_removed_from_the_bucket(
    data: Path,
    model: LanguageModel,
    small_spec: SurveySpec,
    settings: Settings,
    bucket: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.STORE_URL = bucket.url
    store = open_store(data, bucket.url)
    fill(store, model, small_spec)
    bucket.put(f"measured/surveys/{small_spec.hash}/{'a' * 64}-n.safetensors", b"others")
    assert sweep() == {}, "it may be an upload that is not over"
    monkeypatch.setattr("wiki.experiments.collecting.GRACE", timedelta(days=-1))
    stray = f"surveys/{small_spec.hash}/{'a' * 64}-n.safetensors"
    assert sweep()[stray] == "another writer was faster, and the manifest does not name it"
    assert f"measured/{stray}" not in bucket.names()
    assert is_complete(survey_path(store, small_spec.hash))


def test_a_database_without_surveys_is_taken_for_the_wrong_one(swept_store: Path, db: None) -> None:
    put(survey_path(swept_store, UNKNOWN))
    with pytest.raises(CommandError, match="expected a database that names surveys, got one without any though"):
        sweep()
    assert is_complete(survey_path(swept_store, UNKNOWN))


def test_a_database_that_does_not_answer_costs_nothing(
    swept_store: Path, model: LanguageModel, small_spec: SurveySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(swept_store, model, small_spec)

    def refuse(*args: object, **options: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Survey.objects, "filter", refuse)
    monkeypatch.setattr(Survey.objects, "exists", refuse)
    with pytest.raises(CommandError, match=r"^Sweeping the store: the database does not answer \(connection refused\)"):
        sweep()
    for name in LEFT:
        assert is_complete(swept_store / name) or is_complete(swept_store / name / "shard-00000")


def put_text(store: Path, model: LanguageModel, text: str, *, days_ago: int) -> PromptSpec:
    """A measured text and the tokens promoted on it, asked for so long ago."""
    spec = PromptSpec(model.slug, model.hash, text)
    put(prompt_path(store, spec.hash))
    put(promoted_path(store, spec.hash))
    asked = timezone.now() - timedelta(days=days_ago)
    for kind, asked_for in ((JobKind.PROMPT, spec), (JobKind.PROMOTED, PromotedSpec(**spec.to_json()))):
        row = Measurement.objects.create(
            hash=asked_for.hash,
            kind=kind.value,
            model=model,
            spec=asked_for.to_json(),
            asked_at=asked,
            finished_at=asked,
        )
        Job.objects.create(measurement=row, kind=kind.value, state=Job.State.DONE)
    return spec


def test_texts_go_after_thirty_days_with_their_rows_and_what_else_was_measured_stays_while_a_row_names_it(
    swept_store: Path, model: LanguageModel, small_spec: SurveySpec
) -> None:
    survey = fill(swept_store, model, small_spec)
    old = put_text(swept_store, model, "old", days_ago=31)
    young = put_text(swept_store, model, "young", days_ago=29)
    weights = WeightsSpec(model.slug, model.hash, survey.hash)
    Measurement.objects.create(hash=weights.hash, kind=JobKind.WEIGHTS.value, model=model, spec=weights.to_json())
    for place, known in ((weights_path, weights.hash), (vocabulary_path, model.hash), (prompt_path, young.hash)):
        put(place(swept_store, UNKNOWN))
        if place is not prompt_path:
            put(place(swept_store, known))
    nobody = "no text of that hash was asked for in the last 30 days"
    left = {
        f"prompts/{old.hash}": nobody,
        f"promoted/{old.hash}": nobody,
        f"prompts/{UNKNOWN}": nobody,
        f"weights/{UNKNOWN}": "no reading of weights of that hash is asked for here",
        f"vocabularies/{UNKNOWN}": "no model of that hash is here",
    }
    assert left.items() <= sweep(dry_run=True).items()
    assert Measurement.objects.count() == 5, "a dry run forgets nothing"
    assert left.items() <= sweep().items()
    assert set(Measurement.objects.values_list("hash", flat=True)) == {
        young.hash,
        PromotedSpec(**young.to_json()).hash,
        weights.hash,
    }
    assert Job.objects.filter(measurement__isnull=False).count() == 2
    for path in (
        prompt_path(swept_store, young.hash),
        promoted_path(swept_store, young.hash),
        weights_path(swept_store, weights.hash),
        vocabulary_path(swept_store, model.hash),
    ):
        assert is_complete(path), path
    for name in left:
        assert not is_complete(swept_store / name), name
    assert sweep() == {}


def test_layers_of_an_unfinished_reading_of_weights_stay_until_it_is_finished(
    swept_store: Path, model: LanguageModel, small_spec: SurveySpec
) -> None:
    survey = fill(swept_store, model, small_spec)
    spec = WeightsSpec(model.slug, model.hash, survey.hash)
    partial = swept_store / "partials" / spec.hash / "layer-0"
    put(partial)
    row = Measurement.objects.create(hash=spec.hash, kind=JobKind.WEIGHTS.value, model=model, spec=spec.to_json())
    assert f"partials/{spec.hash}" not in sweep()
    assert is_complete(partial)
    row.finished_at = timezone.now()
    row.save()
    assert sweep() == {f"partials/{spec.hash}": "its reading is finished"}
    assert not is_complete(partial)


def test_texts_alone_also_tell_the_wrong_database(swept_store: Path, db: None) -> None:
    put(prompt_path(swept_store, UNKNOWN))
    with pytest.raises(CommandError, match="expected a database that names surveys, got one without any though"):
        sweep()
    assert is_complete(prompt_path(swept_store, UNKNOWN))
