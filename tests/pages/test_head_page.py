from __future__ import annotations

import json
import re

import numpy as np
import pytest
import safetensors
from django.test import Client

from analysis.metrics import HEAD_METRICS
from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Survey
from wiki.experiments.results import artifact_path, open_survey

from .building import WORDS, build_measured_model, build_model, build_survey, finish, random_metrics, random_pattern


def page(client: Client, path: str, *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return re.sub(r"\s+", " ", response.content.decode())


def read(source: str, array: str, *, file: str) -> np.ndarray:
    """A whole array as safetensors themselves read it: of the survey of a dataset, or of the weights."""
    spec = Measurement.objects.get(kind="weights") if source == "weights" else survey_of(source)
    folder = artifact_path(survey_of("sotu")).parent.parent / ("weights" if source == "weights" else "surveys")
    with safetensors.safe_open(folder / spec.hash / f"{file}.safetensors", "numpy") as opened:
        return np.asarray(opened.get_tensor(array))


def survey_of(dataset: str) -> Survey:
    return Survey.objects.get(dataset=dataset)


def test_data_has_every_metric_with_its_rank_in_table_order(client: Client, model: LanguageModel) -> None:
    data = json.loads(client.get("/m/tiny/L1H2.json").content)
    assert data["component"] == "L1H2"
    assert data["kv_head"] == 1
    assert [text["text"] for text in data["patterns"]] == ["bundled-texts.0", "repeated-random.0"]
    assert len(client.get(data["patterns"][0]["bytes"]).content) == len(data["patterns"][0]["tokens"]) ** 2
    assert data["absent"] == {}
    assert list(data["metrics"]) == [metric.key for metric in HEAD_METRICS]
    for metric in HEAD_METRICS:
        figure = data["metrics"][metric.key]
        if metric.dataset_kind is None:
            values, dataset = read("weights", metric.key, file="summary"), ""
        else:
            dataset = "repeated-random" if metric.key == "induction_repeated" else "sotu"
            values = read(dataset, f"head.{metric.key}", file="summary")
        assert figure == {
            "value": pytest.approx(values[1, 2]),
            "rank": 1 + sum(value > values[1, 2] for value in values.ravel()),
            "of": 12,
            "dataset": dataset,
            "queries": 1000 if dataset else 0,
            "error": 0.01 if metric.is_mean else None,
            "uniform": {"induction": 0.031, "duplicate_token": 0.042}.get(metric.key),
            "label": metric.label,
            "unit": metric.unit,
        }


def test_data_says_where_its_numbers_come_from(client: Client, model: LanguageModel) -> None:
    provenance = json.loads(client.get("/m/tiny/L1H2.json").content)["provenance"]
    assert provenance["model"] == {"slug": "tiny", "hash": model.hash}
    assert list(provenance["surveys"]) == ["repeated-random", "bundled-texts", "sotu"]
    sotu = provenance["surveys"]["sotu"]
    assert sotu["survey"] == survey_of("sotu").hash
    assert (sotu["finished"], sotu["rows"], sotu["tokens"], sotu["device"]) == (True, 8, 72, ["cpu"])


def test_page_shows_the_figures_of_the_data(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/")
    for metric in json.loads(client.get("/m/tiny/L1H2.json").content)["metrics"].values():
        assert f"{metric['rank']} of 12" in content
    assert survey_of("sotu").hash[:8] in content
    assert "Nobody has said what this does yet" in content


def test_heads_that_share_keys_and_values_are_named(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/")
    assert 'KV group <a href="/m/tiny/L1KV1/">L1KV1</a>' in content
    assert '<a href="/m/tiny/L1H3/">L1H3</a>' in content


def test_nothing_is_said_of_groups_where_every_head_has_its_own_keys(client: Client, db: None) -> None:
    build_measured_model("own", n_kv_heads=4)
    assert "KV group" not in page(client, "/m/own/L1H2/")


def test_neighbours_go_on_in_the_next_layer(client: Client, model: LanguageModel) -> None:
    assert '<a rel="next" href="/m/tiny/L1H0/">' in page(client, "/m/tiny/L0H3/")
    assert '<a rel="prev" href="/m/tiny/L0H3/">' in page(client, "/m/tiny/L1H0/")
    assert 'rel="prev"' not in page(client, "/m/tiny/L0H0/")
    assert 'rel="next"' not in page(client, "/m/tiny/L2H3/")


def test_locked_query_lists_its_strongest_keys_without_javascript(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/?text=bundled-texts.0&q=8")
    pattern = open_survey(survey_of("bundled-texts")).pattern(0, Component(1, head=2))
    strongest = int(np.argmax(pattern[8]))
    assert '“<span data-part="name">sat</span>”, position <span data-part="position">8</span>' in content
    weight = f"{pattern[8, strongest] / 255:.2f}".removeprefix("0")
    assert f'<td>{strongest}</td> <td class="mono">{weight}</td>' in content
    assert "Locked:" in content


def test_line_breaks_are_shown_as_a_sign(client: Client, model: LanguageModel) -> None:
    assert ">↵</a>" in page(client, "/m/tiny/L1H2/?text=bundled-texts.0")


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("q=99", "position “99” of this text"),
        ("q=-1", "position “-1” of this text"),
        ("q=²", "position “²” of this text"),
        ("text=nonsense&q=3", "the text “nonsense”"),
        ("k=0", "a key (k=) without its query (q=)"),
        ("q=", ""),
        ("sink=maybe", ""),
    ],
)
def test_an_impossible_view_is_the_plain_one_and_says_so(
    client: Client, model: LanguageModel, query: str, missing: str
) -> None:
    content = page(client, f"/m/tiny/L1H2/?{query}", status=404 if missing else 200)
    assert "Locked:" not in content
    assert "Shown first because" in content
    said = f"The link names {missing}, which is not here" if missing else "The link names"
    assert (said in content) == bool(missing)


def test_a_key_comes_at_or_before_its_query_on_the_page_and_in_its_data_and_figure(
    client: Client, model: LanguageModel
) -> None:
    assert "The link names" not in page(client, "/m/tiny/L1H2/?q=5&k=5")
    content = page(client, "/m/tiny/L1H2/?q=5&k=6", status=404)
    assert "The link names position “6” at or before its query, which is not here" in content
    assert "Locked:" in content, "the query is there"
    for path in ("/m/tiny/L1H2.json", "/m/tiny/L1H2/figures/pattern.svg", "/m/tiny/L1H2/figures/pattern.csv"):
        assert client.get(f"{path}?q=5&k=5").status_code == 200
        assert client.get(f"{path}?q=5&k=6").status_code == 404


HALF_MEASURED = {"nothing": 0, "a survey without texts": 1, "a survey with texts": 2}


def build_half_measured(how_far: int) -> None:
    """A model of which `how_far` of three surveys are finished, and whose weights nobody has read."""
    model = build_model()
    first, second, _ = (
        build_survey(model, dataset, pattern_rows=rows)
        for dataset, rows in (("repeated-random", 0), ("bundled-texts", 1), ("sotu", 0))
    )
    if how_far >= 1:
        finish(first, metrics={})
    if how_far == 2:
        patterns = [random_pattern(model, len(WORDS), seed=0)]
        finish(second, metrics={}, patterns=patterns, texts=[{"title": "T", "tokens": list(WORDS)}])


@pytest.mark.parametrize("how_far", HALF_MEASURED.values(), ids=HALF_MEASURED)
@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("L1H2{}?text=nope.9", "the text “nope.9”"),
        ("L1H2{}?q=999", "position “999” of {}"),
        ("L1H2{}?view=zzz", "the view “zzz”"),
        ("L1H2{}?examples=zzz", "the examples “zzz”"),
        ("L1{}?text=nope.9", "the text “nope.9”"),
        ("L1{}?where=zzz", "the metric “zzz”"),
        ("L1N3{}?text=nope.9", "the text “nope.9”"),
        ("L1N3{}?examples=zzz", "the examples “zzz”"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing_while_a_model_is_being_measured_too(
    client: Client, db: None, how_far: int, path: str, missing: str
) -> None:
    build_half_measured(how_far)
    address = f"/m/tiny/{path}"
    words = missing.format("this text" if how_far == 2 else "a text")
    assert f"The link names {words}, which " in page(client, address.format("/"), status=404)
    assert client.get(address.format(".json")).status_code == 404
    plain = address.split("?", maxsplit=1)[0]
    assert "The link names" not in page(client, plain.format("/"))
    assert client.get(plain.format(".json")).status_code == 200


def test_the_first_text_is_of_the_kind_on_which_the_head_stands_out(client: Client, db: None) -> None:
    model = build_model()
    finish(
        build_survey(model, "bundled-texts", pattern_rows=1),
        metrics={},
        patterns=[random_pattern(model, 9, seed=0)],
        texts=[{"title": "T", "tokens": list(WORDS)}],
    )
    values = np.zeros((model.n_layers, model.n_heads))
    values[1, 2] = 0.9
    repeated = ["<bos>", *(f" w{i % 4}" for i in range(8))]
    finish(
        build_survey(model, "repeated-random", pattern_rows=1),
        metrics={"induction_repeated": values},
        patterns=[random_pattern(model, 9, seed=1)],
        texts=[{"title": "R", "tokens": repeated}],
    )
    assert 'href="?text=repeated-random.0#attends" aria-current="true"' in page(client, "/m/tiny/L1H2/")
    assert 'href="?text=bundled-texts.0#attends" aria-current="true"' in page(client, "/m/tiny/L1H3/")


def test_a_head_that_rests_on_the_first_token_says_so(client: Client, db: None) -> None:
    model = build_model()
    values = random_metrics(model, DatasetKind.NATURAL, seed=0)
    values["first_token"][:] = 0.2
    values["first_token"][1, 2] = 0.9
    finish(build_survey(model, "sotu"), metrics=values)
    assert "gets 90.0 % of its attention on sotu" in page(client, "/m/tiny/L1H2/")
    assert "At rest" not in page(client, "/m/tiny/L1H3/")


def test_hiding_the_first_token_keeps_weights_and_says_so(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/?text=bundled-texts.0&q=8&sink=hidden")
    pattern = open_survey(survey_of("bundled-texts")).pattern(0, Component(1, head=2)) / 255
    assert f'ceiling="{pattern[:, 1:].max():.6f}"' in content
    assert "weights are unchanged" in content
    assert "&lt;bos&gt;</td>" not in content
    assert "text=bundled-texts.0&amp;q=8#attends" in content  # the way back keeps the query


@pytest.mark.parametrize("query", ["9", "0000005", "-1", "1.5", "²", "x", "9" * 400, "\0"])
def test_a_query_that_cannot_be_locks_nothing(client: Client, model: LanguageModel, query: str) -> None:
    content = client.get("/m/tiny/L1H2/", {"q": query}).content.decode()
    assert "Shown first because" in content
    assert "Locked:" not in content
