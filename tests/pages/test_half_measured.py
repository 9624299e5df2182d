"""Pages of a model of which only a part is measured yet: what they say of the rest."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from analysis.schema import DatasetKind, JobKind, WeightsSpec
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement, Survey
from wiki.experiments.results import artifact_path

from .building import WORDS, build_model, build_survey, finish, random_metrics, random_pattern

SOON = timedelta(seconds=30)
PAGES = ("/m/tiny/L1H2/", "/m/tiny/L1N5/", "/m/tiny/L1KV1/", "/m/tiny/")


@pytest.fixture
def half(db: None) -> LanguageModel:
    """A model of which only the bundled texts are measured; the others wait."""
    model = build_model()
    finish(
        build_survey(model, "bundled-texts", pattern_rows=1),
        metrics=random_metrics(model, DatasetKind.NATURAL, seed=0),
        patterns=[random_pattern(model, len(WORDS), seed=1)],
        texts=[{"title": "The cat", "tokens": list(WORDS)}],
    )
    for survey in (build_survey(model, "repeated-random"), build_survey(model, "sotu", in_depth=True)):
        Job.objects.create(survey=survey, kind="survey-shard", shard=0)
    return model


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def finish_sotu(model: LanguageModel) -> Survey:
    survey = Survey.objects.get(dataset="sotu")
    finish(survey, metrics=random_metrics(model, DatasetKind.NATURAL, seed=5))
    return survey


def ask_for_weights(survey: Survey, **job: object) -> Job:
    spec = WeightsSpec(survey.model.slug, survey.model.hash, survey.hash)
    weights = Measurement.objects.create(
        hash=spec.hash, kind=JobKind.WEIGHTS.value, model=survey.model, spec=spec.to_json()
    )
    return Job.objects.create(measurement=weights, kind=weights.kind, **job)


def assert_weights_are_said(client: Client, sentence: str) -> None:
    for path in PAGES:
        assert sentence.lower() in page(client, path).lower(), path
    assert client.get("/m/tiny/L1H2.json").json()["absent"]["ov_copying"] == sentence


def test_weights_come_after_the_survey(client: Client, half: LanguageModel) -> None:
    sentence = "not measured yet: weights are read when the survey of sotu is finished, for the tokens it finds."
    assert_weights_are_said(client, sentence)
    assert "none is here" not in page(client, "/m/tiny/L1H2/")


def test_weights_that_wait_are_being_read_or_failed_say_so(client: Client, half: LanguageModel) -> None:
    job = ask_for_weights(finish_sotu(half))
    assert_weights_are_said(client, "not measured yet: the weights wait for their turn to be read.")
    assert "weights: waiting for their turn." in page(client, "/m/tiny/progress/")
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, rows_done=2, renewed_at=now, lease_until=now + SOON)
    assert_weights_are_said(client, "not measured yet: the weights are being read.")
    assert "weights: 2 of 3 layers read." in page(client, "/m/tiny/progress/")
    Measurement.objects.filter(kind="weights").update(asked_at=now - 10 * SOON)
    Job.objects.filter(pk=job.pk).update(renewed_at=now - 9 * SOON)
    assert "layers read. No measuring worker has answered for more than" in page(client, "/m/tiny/progress/")
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED, error="The disk is full.")
    assert_weights_are_said(client, "not measured: reading the weights failed. The disk is full.")


def test_weights_of_a_survey_that_failed_or_is_damaged_say_so(client: Client, half: LanguageModel) -> None:
    Job.objects.filter(survey__dataset="sotu").update(state=Job.State.FAILED, error="The disk is full.")
    assert_weights_are_said(
        client,
        "not measured yet: weights are read after the survey of sotu. "
        "sotu: stopped after 0 of 8 rows. The disk is full.",
    )
    (artifact_path(finish_sotu(half)) / "manifest.json").unlink()
    assert_weights_are_said(
        client, "not measured yet: weights are read after the survey of sotu, which is lost or damaged."
    )


def test_weights_of_a_model_without_a_survey_in_depth_say_so(client: Client, db: None) -> None:
    model = build_model()
    assert_weights_are_said(
        client, "not measured: weights are read after a survey of sotu; none is pinned for this model."
    )
    build_survey(model, "sotu")
    assert_weights_are_said(
        client, "not measured: weights are read after surveys in depth alone, and that of sotu is none."
    )


def finish_repeated(model: LanguageModel, *, standing_out: bool) -> None:
    values = np.linspace(0, 0.1, model.n_all_heads).reshape(model.n_layers, model.n_heads)
    if standing_out:
        values[1, 2] = 0.9
    finish(Survey.objects.get(dataset="repeated-random"), metrics={"induction_repeated": values})


@pytest.mark.parametrize("standing_out", [False, True])
def test_a_head_is_not_judged_by_one_metric(client: Client, half: LanguageModel, standing_out: bool) -> None:
    assert "No metric of this head has been measured yet." in page(client, "/m/tiny/L1H2/")
    finish_repeated(half, standing_out=standing_out)
    content = page(client, "/m/tiny/L1H2/")
    assert "1 of 13 metrics is measured so far. What is unusual about this head is said when more" in content
    for words in ("Most unusual", "among the extremes", "among the highest", "1 metric ", "Induction (repeated) is"):
        assert words not in content
    Job.objects.filter(survey__dataset="sotu").update(state=Job.State.FAILED, error="The disk is full.")
    failed = page(client, "/m/tiny/L1H2/")
    assert "Only 1 of 13 metrics is measured, too few to say what is unusual about this head." in failed


def test_many_metrics_are_counted(client: Client, half: LanguageModel) -> None:
    survey = finish_sotu(half)
    ask_for_weights(survey)
    found = re.findall(
        r"(?:Most unusual of the|In none of the) 11 metrics measured so far", page(client, "/m/tiny/L1H2/")
    )
    assert len(found) == 1
    Measurement.objects.all().delete()
    Job.objects.filter(survey__dataset="repeated-random").update(state=Job.State.FAILED, error="The disk is full.")
    content = page(client, "/m/tiny/L1H2/")
    assert re.search(r"(?:Most unusual of the|In none of the) 11 metrics measured(?: is|:)", content)


def test_a_measured_head_has_its_metrics_counted(client: Client, model: LanguageModel) -> None:
    leads = [page(client, f"/m/tiny/{head}/") for head in model_heads(model)]
    assert any("In none of the 13 metrics is this head among the extremes." in content for content in leads)
    assert all("six metrics" not in content for content in leads)


def model_heads(model: LanguageModel) -> list[str]:
    return [f"L{layer}H{head}" for layer in range(model.n_layers) for head in range(model.n_heads)]


def test_heads_are_not_compared_by_one_figure(client: Client, half: LanguageModel) -> None:
    def similar() -> str:
        content = page(client, "/m/tiny/L1H2/")
        return content[content.index("Behaves like") :].split("</section>")[0]

    assert "by 5 or more, and none that all heads have are measured so far." in similar()
    finish_repeated(half, standing_out=True)
    assert "Waits for more figures: heads are compared by 5 or more, and 1 that all heads have is" in similar()
    assert "/m/tiny/L" not in similar()
    assert client.get("/m/tiny/L1H2.json").json()["similar"]["heads"] == []
    finish_sotu(half)
    assert "smallest distance in 12 figures" in similar()
    assert len(client.get("/m/tiny/L1H2.json").json()["similar"]["heads"]) == 5


def test_a_layer_says_each_reason_once_and_leaves_empty_columns_out(client: Client, half: LanguageModel) -> None:
    def heads() -> str:
        content = page(client, "/m/tiny/L1/")
        return content[content.index('<section class="card" id="heads">') :].split("</section>")[0]

    content = heads()
    assert "no figure" not in content.replace("There is no figure of these heads.", "")
    assert content.count("<li>") == 3
    assert content.count("the survey of sotu is not finished.") == 1
    assert (
        "<li>Induction (text), previous token, first token, self, duplicate token, entropy, entropy off sink, "
        "distance, distance off sink, largest off sink, output norm: "
        "not measured yet: the survey of sotu is not finished.</li>"
    ) in content
    assert content.count("<th scope") == 1 + half.n_heads
    finish_repeated(half, standing_out=False)
    content = heads()
    assert re.findall(r'<th scope="col">(?:<a [^>]*>)?([^<]*)', content) == ["head", "induction (repeated)"]
    assert content.count(" of 12</span>") == half.n_heads
    assert "Metrics without a figure have no column." in content
    assert content.count("<li>") == 2


def test_a_metric_that_no_head_of_a_layer_has_is_said(client: Client, half: LanguageModel) -> None:
    metrics = random_metrics(half, DatasetKind.NATURAL, seed=5)
    metrics["self"][1] = np.nan
    metrics["entropy"][1, 2] = np.nan
    finish(Survey.objects.get(dataset="sotu"), metrics=metrics)
    content = page(client, "/m/tiny/L1/")
    assert "Self: could not be computed for any head of L1." in content
    assert content.count(">no figure<") == 1, "entropy of one head"


def test_a_measured_layer_has_nothing_to_say_of_absent_columns(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1/")
    assert "no column" not in content
    assert content.count(" of 12</span>") == 13 * model.n_heads
