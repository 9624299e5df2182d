from __future__ import annotations

import json
import re
from datetime import timedelta

import numpy as np
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from analysis.metrics import HEAD_METRICS
from analysis.schema import DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Survey
from wiki.experiments.results import artifact_path

from .building import build_model, build_survey, finish, random_metrics

KEYS = [metric.key for metric in HEAD_METRICS]
NATURAL = [metric.key for metric in HEAD_METRICS if metric.dataset_kind is DatasetKind.NATURAL]


def data_of(client: Client, path: str = "/m/tiny/L1H2.json") -> dict[str, dict[str, str]]:
    response = client.get(path)
    assert response.status_code == 200
    data: dict[str, dict[str, str]] = json.loads(response.content)
    return data


def test_unfinished_survey_leaves_its_metrics_absent_with_its_progress(client: Client, db: None) -> None:
    model = build_model()
    finish(
        build_survey(model, "repeated-random"),
        metrics=random_metrics(model, DatasetKind.REPEATED, seed=0),
    )
    sotu = build_survey(model, "sotu")
    soon = timezone.now() + timedelta(seconds=30)
    Job.objects.create(
        survey=sotu, kind="survey-shard", shard=0, state=Job.State.RUNNING, rows_done=3, lease_until=soon
    )
    data = data_of(client)
    assert list(data["metrics"]) == ["induction_repeated"]
    assert list(data["absent"]) == KEYS[1:]
    assert data["absent"]["entropy"] == "not measured yet: the survey of sotu is not finished."
    content = client.get("/m/tiny/L1H2/").content.decode()
    assert content.count("not measured yet: the survey of sotu is not finished.") >= len(NATURAL)
    assert content.count("sotu: 3 of 8 rows measured.") == 1
    assert 'hx-get="/m/tiny/progress/?seen=1"' in content
    assert 'hx-trigger="every 1s"' in content


def test_model_without_any_survey_says_so(client: Client, db: None) -> None:
    build_model()
    data = data_of(client)
    assert data["metrics"] == {}
    assert data["absent"]["self"] == "not measured: no survey of sotu is pinned for this model."
    for path in ("/m/tiny/", "/m/tiny/L1/", "/m/tiny/L1H2/"):
        content = client.get(path).content.decode()
        assert "no survey of" in content
    assert "No metric of this head has been measured yet." in client.get("/m/tiny/L1H2/").content.decode()


def test_damaged_artifact_is_said_and_the_rest_of_the_page_stands(client: Client, model: LanguageModel) -> None:
    damaged = artifact_path(Survey.objects.get(dataset="sotu")) / "summary.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-8])
    data = data_of(client)
    assert list(data["metrics"]) == ["induction_repeated"]
    assert "expected summary.safetensors of" in data["absent"]["self"]
    content = client.get("/m/tiny/L1H2/").content.decode()
    assert "expected summary.safetensors of" in content
    assert "attention-pattern" in content
    for path in ("/", "/m/tiny/", "/m/tiny/?metric=self", "/m/tiny.json", "/m/tiny/L1/", "/m/tiny/L1.json"):
        assert client.get(path).status_code == 200


def test_a_damaged_survey_is_never_said_to_be_unfinished(client: Client, model: LanguageModel) -> None:
    (artifact_path(Survey.objects.get(dataset="sotu")) / "manifest.json").unlink()
    sentence = "the survey of sotu is lost or damaged and is measured anew at the next start of Loupe."
    data = data_of(client)
    for part in ("mass", "examples", "histogram", "top_tokens"):
        assert sentence in data[part]["absent"]  # type: ignore[index]
    assert sentence in data_of(client, "/m/tiny.json")["layers_absent"]["lens_agreement"]  # type: ignore[index]
    for path in ("/m/tiny/", "/m/tiny/L1H2/"):
        content = client.get(path).content.decode()
        assert sentence in content
        assert "not finished" not in content
        assert "when the survey" not in content


def test_a_damaged_survey_of_patterns_is_said_where_they_would_be(client: Client, model: LanguageModel) -> None:
    (artifact_path(Survey.objects.get(dataset="bundled-texts")) / "manifest.json").unlink()
    content = client.get("/m/tiny/L1H2/").content.decode()
    assert "The survey of bundled-texts is lost or damaged and is measured anew at the next start" in content
    assert "attention-pattern" in content, "the patterns of the other survey stand"
    assert data_of(client)["absent"] == {}


def test_damaged_patterns_are_said_and_the_figures_stand(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="bundled-texts")
    assert client.get("/m/tiny/L1H2/").status_code == 200  # opened once, damaged while the site runs
    layer = artifact_path(survey) / "layer-1.safetensors"
    layer.write_bytes(b"\0" * layer.stat().st_size)
    cache.clear()  # the page kept from before has what was whole then
    content = client.get("/m/tiny/L1H2/").content.decode()
    assert "expected layer-1.safetensors with sha256" in content
    assert " of 12</summary>" in content
    assert client.get(f"/s/{survey.hash}/patterns/0/L1H2.u8").status_code == 404


def test_one_changed_bit_is_found_and_never_shown_as_a_number(client: Client, model: LanguageModel) -> None:
    file = artifact_path(Survey.objects.get(dataset="sotu")) / "summary.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    absent = data_of(client)["absent"]
    assert "expected summary.safetensors with sha256" in absent["self"]
    assert list(absent) == NATURAL, "the weights stand"
    data = data_of(client, "/m/tiny.json")
    assert data["layers"] == {}
    assert "expected summary.safetensors with sha256" in data["layers_absent"]["lens_agreement"]
    content = client.get("/m/tiny/").content.decode()
    assert "Logit lens: not readable: Verifying" in content


def test_what_could_not_be_computed_is_absent_and_never_a_number(client: Client, db: None) -> None:
    model = build_model()
    values = random_metrics(model, DatasetKind.NATURAL, seed=0)
    values["entropy"][1, 2] = np.nan
    finish(build_survey(model, "sotu"), metrics=values)
    data = data_of(client)
    assert "entropy" not in data["metrics"]
    assert data["absent"]["entropy"] == "could not be computed for L1H2."
    assert data_of(client, "/m/tiny/L1H3.json")["metrics"]["entropy"]["of"] == 11  # type: ignore[index]
    assert data_of(client, "/m/tiny.json")["metrics"]["entropy"]["values"][1][2] is None  # type: ignore[index]
    content = client.get("/m/tiny/?metric=entropy").content.decode()
    assert "L1H2: could not be computed" in content
    assert not re.search(r"\bnan\b", content, re.IGNORECASE)


def test_natural_metrics_never_come_from_the_bundled_texts(client: Client, db: None) -> None:
    model = build_model()
    finish(build_survey(model, "bundled-texts"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    assert data_of(client)["metrics"] == {}


def test_progress_says_when_new_figures_have_landed(client: Client, db: None) -> None:
    model = build_model()
    first, second = build_survey(model, "repeated-random"), build_survey(model, "sotu")
    assert "HX-Trigger" not in client.get("/m/tiny/progress/?seen=0").headers
    finish(first, metrics=random_metrics(model, DatasetKind.REPEATED, seed=0))
    assert client.get("/m/tiny/progress/?seen=0").headers["HX-Trigger"] == "landed"
    assert "HX-Trigger" not in client.get("/m/tiny/progress/?seen=1").headers
    finish(second, metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    response = client.get("/m/tiny/progress/")
    assert response.headers["HX-Trigger"] == "landed"
    assert b"hx-get" not in response.content
    assert b"New figures have landed" in response.content


def test_page_stops_asking_when_what_is_left_has_failed(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "sotu")
    Job.objects.create(survey=survey, kind="survey-shard", shard=0, state=Job.State.FAILED, error="The disk is full.")
    content = client.get("/m/tiny/L1H2/").content.decode()
    assert "The disk is full." in content
    assert "hx-get" not in content
