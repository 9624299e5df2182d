from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest
from django.test import Client

from analysis.metrics import LAYER_METRICS, NEURON_METRICS
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.results import open_survey

from .building import WORDS, build_model, build_survey
from .building_neurons import activations_of

PATH = "/m/tiny/L1"


def page(client: Client, path: str = f"{PATH}/", *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return re.sub(r"\s+", " ", response.content.decode())


def data_of(client: Client, query: str = "") -> dict:
    return json.loads(client.get(f"{PATH}.json{query}").content)


def shown_neurons(content: str) -> list[int]:
    return [int(neuron) for neuron in re.findall(r'<th scope="row"><a href="/m/\w+/L1N(\d+)/', content)]


def survey_of(dataset: str) -> Survey:
    return Survey.objects.get(dataset=dataset, model="tiny")


@pytest.mark.parametrize("text", ["bundled-texts", "repeated-random"])
def test_each_head_has_its_strongest_attention_off_the_first_token_in_words(
    client: Client, model: LanguageModel, text: str
) -> None:
    content = page(client, f"{PATH}/?text={text}.0")
    strongest = data_of(client, f"?text={text}.0")["patterns"]["strongest_off_sink"]
    for head in range(4):
        pattern = open_survey(survey_of(text)).pattern(0, Component(1, head=head)).astype(int)
        pattern[:, 0] = -1
        query, key = divmod(int(pattern.argmax()), pattern.shape[1])
        assert strongest[f"L1H{head}"] == {"weight": pattern[query, key] / 255, "query": query, "key": key}
        weight = f"{pattern[query, key] / 255:.2f}".removeprefix("0")
        assert re.search(
            rf'href="/m/tiny/L1H{head}/\?text={text}.0">.*?{weight} from “[^”]*” {query} to “[^”]*” {key}<', content
        )


def test_patterns_of_all_heads_are_one_immutable_array_of_bytes(client: Client, model: LanguageModel) -> None:
    response = client.get(data_of(client)["patterns"]["bytes"])
    assert "immutable" in response.headers["Cache-Control"]
    survey = open_survey(survey_of("bundled-texts"))
    expected = b"".join(survey.pattern(0, Component(1, head=head)).tobytes() for head in range(4))
    assert response.content == expected
    assert len(expected) == 4 * len(WORDS) ** 2


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("patterns/0/L3.u8", "Looking for L3 in tiny"),
        ("patterns/1/L1.u8", "it kept 1 rows"),
        ("neurons/L1.f32", "it did not ask for neurons"),
    ],
)
def test_bytes_that_are_not_there_are_refused(client: Client, model: LanguageModel, path: str, sentence: str) -> None:
    response = client.get(f"/s/{survey_of('bundled-texts').hash}/{path}")
    assert response.status_code == 404
    assert sentence in response.content.decode()


def test_neurons_are_floats_in_the_order_of_the_metrics(client: Client, model: LanguageModel) -> None:
    response = client.get(f"/s/{survey_of('sotu').hash}/neurons/L1.f32")
    values = np.frombuffer(response.content, "<f4").reshape(len(NEURON_METRICS), 16)
    live = activations_of(model, 1)[:, 1:]
    keys = [metric.key for metric in NEURON_METRICS]
    assert values[keys.index("maximum")] == pytest.approx(live.max((0, 1)))
    assert values[keys.index("share_active")] == pytest.approx((live > 0).mean((0, 1)))
    assert np.isnan(values[keys.index("kurtosis"), 5])


def test_neurons_are_sorted_both_ways_with_absent_values_last(client: Client, model: LanguageModel) -> None:
    maxima = activations_of(model, 1)[:, 1:].max((0, 1))
    by_maximum = [int(neuron) for neuron in np.argsort(-maxima)]
    assert shown_neurons(page(client, f"{PATH}/?sort=maximum")) == by_maximum
    assert shown_neurons(page(client, f"{PATH}/?sort=maximum&order=up")) == by_maximum[::-1]
    for order in ("up", "down"):
        content = page(client, f"{PATH}/?sort=kurtosis&order={order}")
        assert shown_neurons(content)[-1] == 5
        assert f'aria-sort="{"ascending" if order == "up" else "descending"}"' in content


def test_neurons_are_filtered_by_a_range_of_a_metric(client: Client, model: LanguageModel) -> None:
    shares = (activations_of(model, 1)[:, 1:] > 0).mean((0, 1))
    low, high = np.quantile(shares, [0.3, 0.8])
    query = f"?where=share_active&min={low:.4f}&max={high:.4f}&sort=share_active"
    kept = [
        int(n) for n in np.argsort(-shares, kind="stable") if round(low, 4) <= np.float32(shares[n]) <= round(high, 4)
    ]
    content = page(client, f"{PATH}/{query}")
    assert 0 < len(kept) < 16
    assert shown_neurons(content) == kept
    assert f"of {len(kept)} neurons that match, 16 in all" in content
    table = data_of(client, query)["neurons"]
    assert table["matching"] == len(kept)
    assert [int(name.removeprefix("L1N")) for name in table["neurons"]] == kept
    assert "None of the 16 neurons matches." in page(client, f"{PATH}/?where=share_active&min=2")


def test_pages_cut_the_table_and_keep_the_view(
    client: Client, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wiki.pages.neuron_table.PER_PAGE", 5)
    everyone = [n for number in (1, 2, 3, 4) for n in shown_neurons(page(client, f"{PATH}/?sort=mean&page={number}"))]
    means = activations_of(model, 1)[:, 1:].mean((0, 1))
    assert everyone == [int(n) for n in np.argsort(-means)]
    content = page(client, f"{PATH}/?sort=mean&where=maximum&min=-5&text=repeated-random.0&page=2")
    assert "page 2 of 4" in content
    following = re.search(r'<a href="(\?[^"]*)">page 3 →</a>', content)
    assert following
    for part in ("sort=mean", "where=maximum", "min=-5", "text=repeated-random.0", "page=3"):
        assert part in following[1]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=beauty", "the metric “beauty”"),
        ("where=mean&min=x", "the number “x”"),
        ("where=mean&max=nan", "the number “nan”"),
        ("page=-1", "page “-1”"),
        ("page=99999999999999999999", "page 999,999,999 of the neurons"),
        ("x=%3Cb%3E", "the metric “&lt;b&gt;”"),
        ("text=nothing.0", "the text “nothing.0”"),
    ],
)
def test_what_the_link_names_and_is_not_here_is_said(
    client: Client, model: LanguageModel, query: str, words: str
) -> None:
    content = page(client, f"{PATH}/?{query}", status=404 if words else 200)
    assert (f"The link names {words}, which is not here" in content) == bool(words)
    assert sorted(shown_neurons(content)) == list(range(16))


def test_residual_statistics_are_those_of_the_arrays(client: Client, model: LanguageModel) -> None:
    residual, content = data_of(client)["residual"], page(client)
    assert list(residual) == [metric.key for metric in LAYER_METRICS]
    survey = open_survey(survey_of("sotu"))
    for metric in LAYER_METRICS:
        assert residual[metric.key]["value"] == survey.read(f"layer.{metric.key}", file="summary")[1]
        assert residual[metric.key]["error"] == survey.read(f"layer.{metric.key}.error", file="summary")[1]
        error = residual[metric.key]["error"]
        fewest = 1 if abs(residual[metric.key]["value"]) >= 10 else 2
        decimals = max(fewest, -math.floor(math.log10(error)))  # one digit of the error
        figure, error_figure = (f"{n:.{decimals}f}".removeprefix("0") for n in (residual[metric.key]["value"], error))
        assert f"{figure} {metric.unit}".strip() + f' <span class="error">± {error_figure}</span>' in content


def test_scatter_says_its_ends_and_its_correlation(client: Client, model: LanguageModel) -> None:
    content = page(client, f"{PATH}/?x=mean&y=maximum")
    live = activations_of(model, 1)[:, 1:]
    first, second = live.mean((0, 1)), live.max((0, 1))
    places = [np.argsort(np.argsort(values)) for values in (first, second)]
    correlation = 1 - 6 * ((places[0] - places[1]) ** 2).sum() / (16 * 255)
    assert f"Rank correlation {correlation:.2f}." in content
    assert "16 neurons; mean from" in content
    assert 'x="0"' in content
    assert "15 neurons; kurtosis" in page(client, f"{PATH}/?x=kurtosis&y=maximum")


def test_every_figure_is_a_drawing_and_a_table(client: Client, model: LanguageModel) -> None:
    for name in ("patterns", "neurons", "residual"):
        assert client.get(f"{PATH}/figures/{name}.svg").content.startswith(b"<svg")
    lines = client.get(f"{PATH}/figures/neurons.csv").content.decode().splitlines()[2:]
    rows = list(csv.DictReader(lines))
    assert [row["neuron"] for row in rows] == [f"L1N{neuron}" for neuron in range(16)]
    means = activations_of(model, 1)[:, 1:].mean((0, 1))
    assert [float(row["mean"]) for row in rows] == pytest.approx(means, abs=1e-6)
    assert rows[0]["share_active standard error"].startswith("0.012")
    rows = list(csv.DictReader(client.get(f"{PATH}/figures/patterns.csv").content.decode().splitlines()[2:]))
    pattern = open_survey(survey_of("bundled-texts")).pattern(0, Component(1, head=2))
    ours = [row for row in rows if row["head"] == "L1H2"]
    assert len(ours) == np.count_nonzero(pattern)
    assert float(ours[-1]["attention"]) == pytest.approx(pattern[8, int(ours[-1]["key position"])] / 255, abs=1e-4)
    rows = list(csv.DictReader(client.get(f"{PATH}/figures/residual.csv").content.decode().splitlines()[2:]))
    assert len(rows) == 3


def test_an_unmeasured_layer_says_what_is_missing(client: Client, db: None) -> None:
    build_survey(build_model(), "sotu")
    content, data = page(client), data_of(client)
    assert content.count("ot measured yet: the survey of sotu is not finished.") >= 2
    assert "No attention pattern of this layer has been kept yet." in content
    assert data["neurons"] is None
    assert data["absent"]["neurons"] == "not measured yet: the survey of sotu is not finished."
    for name in ("patterns", "neurons", "residual"):
        assert client.get(f"{PATH}/figures/{name}.csv").status_code == 404


def test_a_page_of_neurons_that_is_not_there_is_said_to_be_missing(client: Client, model: LanguageModel) -> None:
    response = client.get("/m/tiny/L1/?page=99")
    assert response.status_code == 404
    assert "The link names page 99 of the neurons, which is not here" in response.text
