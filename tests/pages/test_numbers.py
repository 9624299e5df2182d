from __future__ import annotations

import dataclasses
import re

import pytest
from django.test import Client

from analysis.metrics import HEAD_METRICS
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Pin, Survey
from wiki.pages.numbers import figure_and_error, metric_value, percent, short, with_error

from .building import build_measured_model

METRICS = {metric.key: metric for metric in HEAD_METRICS}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.889, ".89"),
        (0.9996, "1.00"),
        (2.414, "2.41"),
        (61.79, "61.8"),
        (0.0, "0"),
        (0.001, "<.01"),
        (-0.001, ">-.01"),
        (-0.25, "-.25"),
    ],
)
def test_two_decimals_without_a_leading_zero(value: float, text: str) -> None:
    assert short(value) == text


def test_a_small_metric_is_never_shown_as_zero() -> None:
    assert metric_value(METRICS["self"], 0.003) == ".003"
    assert metric_value(METRICS["self"], 0.00001) == "<.001"


def test_a_mean_stands_with_its_standard_error_and_unit() -> None:
    assert with_error(METRICS["entropy"], 2.414, 0.021) == "2.41 ± .02 nats"
    assert with_error(METRICS["self"], 0.889, 0.0001) == ".8890 ± .0001"
    assert with_error(METRICS["ov_copying"], -0.5, None) == "-.50"


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.0123, 0.004, (".012", ".004")),
        (0.0123, 0.0004, (".0123", ".0004")),
        (0.003, 0.02, (".003", ".020")),
        (0.00001, 0.0003, ("<.0001", ".0003")),
        (-0.25, 0.003, ("-.250", ".003")),
        (61.79, 0.6, ("61.8", ".6")),
        (61.79, 0.03, ("61.79", ".03")),
        (123.4, 12.3, ("123.4", "12.3")),
        (0.0, 0.01, ("0", ".01")),
        (0.5, 0.0, (".50", "0")),
        (0.5, 1e-9, (".500000", "<.000001")),
        (0.5, float("nan"), (".50", "unknown")),
        (0.5, None, (".50", "")),
    ],
)
def test_a_standard_error_is_never_less_precise_than_its_value(
    value: float, error: float | None, shown: tuple[str, str]
) -> None:
    assert figure_and_error(value, error) == shown


def test_thousands_are_apart_on_every_page(client: Client, model: LanguageModel) -> None:
    spec = dataclasses.replace(Survey.objects.get(dataset="sotu").parsed_spec, rows=4096, shard_rows=2048)
    survey = Survey.objects.create(hash=spec.hash, model=model, dataset="sotu", spec=spec.to_json())
    Pin.objects.filter(dataset="sotu").update(survey=survey)
    Job.objects.create(survey=survey, kind="survey-shard", shard=0, state=Job.State.DONE)
    Job.objects.create(survey=survey, kind="survey-shard", shard=1)
    for path in ("/", "/m/tiny/", "/m/tiny/L1H2/", f"/s/{survey.hash}/"):
        content = client.get(path).content.decode()
        assert "sotu: 2,048 of 4,096 rows measured." in content, path
        assert "2,048 of 4,096 rows</progress>" in content, path
    assert "4,096</td>" in client.get(f"/s/{survey.hash}/").content.decode()
    assert "Up to 2,000 characters" in client.get("/m/tiny/text/").content.decode()


def test_ranks_beyond_a_thousand_have_their_thousands_apart(client: Client, db: None) -> None:
    build_measured_model("wide", n_layers=300)
    for path in ("/m/wide/L1H2/", "/m/wide/L1/", "/m/wide/L1KV1/", "/m/wide/?metric=self"):
        content = client.get(path).content.decode()
        assert " of 1,200" in content, path
        assert not re.search(r" of 1200\b|\b1200 heads", content), path
    content = client.get("/m/wide/text/kept/bundled-texts.0/?q=8&k=6").content.decode()
    assert "of 1,200 heads give it more than .50" in content
    assert "All 1,200 heads of" in content
    assert not re.search(r"\b1200\b", content)


def test_places_in_documents_have_their_thousands_apart(client: Client, model: LanguageModel) -> None:
    for path in ("/m/tiny/L1H2/", "/m/tiny/L1N5/"):
        content = client.get(path).content.decode()
        assert ", tokens 2,000–2," in content, path
        assert "tokens 2000" not in content, path


def test_layers_have_their_name_in_every_map(client: Client, model: LanguageModel) -> None:
    for path in ("/m/tiny/?metric=self", "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6"):
        table = client.get(path).content.decode().split('<table class="map', maxsplit=1)[1].split("</table>")[0]
        assert re.findall(r'<th scope="row">(?:<a [^>]*>)?(\w+)<', table) == ["L0", "L1", "L2"], path
    for name, query in (("map", "metric=self"), ("who-attends", "text=bundled-texts.0&q=8&k=6")):
        response = client.get(f"/m/tiny/figures/{name}.svg?{query}")
        assert response.status_code == 200
        assert re.findall(r">(L?[012])</text>", response.content.decode())[:3] == ["L0", "L1", "L2"], name


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.125, "12.5 %"), (1.0, "100.0 %"), (0.0006, "0.1 %"), (0.0004, "< 0.1 %"), (1e-9, "< 0.1 %"), (0.0, "0.0 %")],
)
def test_a_small_share_is_never_shown_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text
