from __future__ import annotations

import csv
import html
import io
import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.test import Client

from analysis.metrics import NEURON_METRICS
from analysis.schema import DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Survey
from wiki.experiments.results import artifact_path
from wiki.pages.neuron_values import figures_of

from .building import build_model, build_survey, finish, random_metrics
from .building_neurons import DOCUMENTS, LENGTH, TITLES, activations_of, token_text, tokens_of

PATH = "/m/tiny/L1N5"


def page(client: Client, path: str = f"{PATH}/", *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return re.sub(r"\s+", " ", response.content.decode())


def data_of(client: Client, path: str = f"{PATH}.json") -> dict:
    return json.loads(client.get(path).content)


def buttons(content: str) -> list[list[tuple[str, str, str]]]:
    """For each example, its tokens: classes, what hover and focus say, text."""
    found = re.findall(r"<colored-tokens.*?</colored-tokens>", content)
    return [
        [
            (classes, title, html.unescape(text))
            for classes, title, text in re.findall(
                r'<button type="button" class="t ([^"]*)" title="([^"]*)" tabindex="[^"]*">(.*?)</button>', example
            )
        ]
        for example in found
    ]


def test_statistics_are_those_of_the_activations_with_both_ranks(client: Client, model: LanguageModel) -> None:
    metrics = data_of(client, "/m/tiny/L1N6.json")["metrics"]
    assert list(metrics) == [metric.key for metric in NEURON_METRICS]
    means = np.stack([activations_of(model, layer)[:, 1:].mean((0, 1)) for layer in range(3)])
    mean = metrics["mean"]
    assert mean["value"] == pytest.approx(means[1, 6], abs=1e-6)
    assert (mean["rank"], mean["of"]) == (1 + sum(value > means[1, 6] for value in means.ravel()), 48)
    assert (mean["rank_in_layer"], mean["of_layer"]) == (1 + sum(value > means[1, 6] for value in means[1]), 16)
    shares = np.stack([(activations_of(model, layer)[:, 1:] > 0).mean((0, 1)) for layer in range(3)])
    assert metrics["share_active"]["value"] == pytest.approx(shares[1, 6])
    assert metrics["share_active"]["error"] == pytest.approx(0.012)
    assert metrics["maximum"]["error"] is None
    assert metrics["maximum"]["value"] == pytest.approx(activations_of(model, 1)[:, 1:, 6].max())


def test_page_shows_the_figures_of_the_data(client: Client, model: LanguageModel) -> None:
    content, metrics = page(client), data_of(client)["metrics"]
    for metric in metrics.values():
        assert f"<summary>{metric['rank']} of {metric['of']}</summary>" in content
        assert f"and {metric['rank_in_layer']} of {metric['of_layer']} of the layer" in content
    share = metrics["share_active"]["value"]
    assert f"Active on {100 * share:.1f} % of tokens" in content
    assert f'{100 * share:.1f} % <span class="error">± 1.2 %</span>' in content


@pytest.mark.parametrize(
    ("key", "value", "error", "shown"),
    [
        ("mean", -0.01934, 0.0038, ("-.019", ".004")),
        ("mean", 0.5, 0.0, (".50", "0")),
        ("mean", 12.345, 1.26, ("12.3", "1.3")),
        ("mean", 0.99996, 0.02, ("1.00", ".02")),
        ("share_active", 0.0002, 0.00004, ("0.020 %", "0.004 %")),
        ("share_active", 0.936, 0.002, ("93.6 %", "0.2 %")),
        ("maximum", 2.481, None, ("2.48", "")),
    ],
)
def test_a_mean_has_the_decimals_of_its_error(key: str, value: float, error: float, shown: tuple[str, str]) -> None:
    assert figures_of(next(metric for metric in NEURON_METRICS if metric.key == key), value, error) == shown


def test_a_statistic_that_could_not_be_computed_is_absent_with_a_reason(client: Client, model: LanguageModel) -> None:
    data = data_of(client)
    assert "kurtosis" not in data["metrics"]
    assert data["absent"] == {"kurtosis": "could not be computed for L1N5: its activation never varied."}
    assert "Kurtosis" not in page(client).split("could not be computed for L1N5")[1]
    assert data_of(client, "/m/tiny/L1N6.json")["metrics"]["kurtosis"]["of"] == 47


@pytest.mark.parametrize(("group", "sign"), [("top", 1), ("bottom", -1)])
def test_examples_are_the_extreme_rows_one_a_document(
    client: Client, model: LanguageModel, group: str, sign: int
) -> None:
    activations, tokens = activations_of(model, 1)[:, :, 5], tokens_of()
    best = {}
    for row in sorted(range(8), key=lambda row: -(activations[row, 1:] * sign).max()):
        best.setdefault(int(DOCUMENTS[row]), row)
    shown = buttons(page(client, f"{PATH}/?examples={group}"))
    examples = data_of(client)["examples"][group]
    assert [example["row"] for example in examples] == list(best.values())
    assert len(shown) == len(best)
    for example, line, (document, row) in zip(examples, shown, best.items(), strict=True):
        position = 1 + int((activations[row, 1:] * sign).argmax())
        start = min(max(position - 15, 0), 16)
        assert example["title"].startswith(TITLES[document])
        assert example["activation"] == pytest.approx(activations[row, position])
        assert example["tokens"] == [token_text(token) for token in tokens[row, start : start + 24]]
        assert [text for _, _, text in line] == [text.replace("\n", "↵") for text in example["tokens"]]
        step = np.abs(activations[row, start : start + 24]).max() / 127
        assert np.abs(example["activations"] - activations[row, start : start + 24]).max() <= step * 0.51
        framed = [title for classes, title, _ in line if "extreme" in classes]
        assert len(framed) == 1
        assert framed[0].endswith(f" at position {position}")
        classes = line[position - start][0]
        assert classes.startswith("a" if activations[row, position] > 0 else "m")


def test_shades_have_two_hues_and_follow_the_square_root(client: Client, model: LanguageModel) -> None:
    activations = activations_of(model, 1)[:, 1:, 5]
    largest = np.abs(activations).max()
    for example, line in zip(data_of(client)["examples"]["top"], buttons(page(client)), strict=True):
        for value, (classes, _, _) in zip(example["activations"], line, strict=True):
            level = round(20 * min(1, abs(value) / largest) ** 0.5)
            assert classes.split()[0] in ({f"a{level}"} if value > 0 or level == 0 else {f"m{level}"})


def test_an_interval_has_its_own_examples_and_an_empty_one_says_so(client: Client, model: LanguageModel) -> None:
    examples = data_of(client)["examples"]
    assert list(examples) == ["top", "bottom", "5", "4", "3", "2", "1"]
    assert [example["row"] for example in examples["1"]] == [0, 2]
    assert 'aria-current="true">0–20 %</a>' in page(client, f"{PATH}/?examples=1")
    assert "No text of the survey is in this interval." in page(client, f"{PATH}/?examples=5")


def test_unknown_examples_are_said_to_be_missing(client: Client, model: LanguageModel) -> None:
    content = page(client, f"{PATH}/?examples=%3Cscript%3E", status=404)
    assert "The link names the examples “&lt;script&gt;”, which are not here; these are the most positive." in content
    assert len(buttons(content)) == 4


def test_token_texts_are_escaped(client: Client, model: LanguageModel) -> None:
    content = page(client)
    assert "<b>&" not in content
    assert "&lt;b&gt;&amp;" in content


def test_full_text_is_a_page_and_a_fragment_with_the_window_shaded(client: Client, model: LanguageModel) -> None:
    example = data_of(client)["examples"]["top"][0]
    content = page(client, example["full_text"])
    (spans,) = buttons(content)
    expected = [token_text(token).replace("\n", "↵") for token in tokens_of()[example["row"]]]
    assert [text for _, _, text in spans] == expected
    assert {title for classes, title, _ in spans if "unknown" in classes} <= {
        f"not kept at position {i}" for i in range(LENGTH)
    }
    assert content.count('tabindex="0"') == 1 + content.count('tabindex="0" role="region"')
    assert 'class="said mono"' in content
    assert "js/colored-tokens" in content
    known = [i for i, (classes, _, _) in enumerate(spans) if "unknown" not in classes]
    assert set(range(example["first"], example["first"] + 24)) <= set(known)
    assert "extreme" in spans[example["position"]][0]
    fragment = client.get(example["full_text"], headers={"HX-Request": "true"})
    assert fragment.content.decode().startswith('<div class="full">')
    assert "HX-Request" in fragment.headers["Vary"]


@pytest.mark.parametrize("row", ["7777", "8", "99999999999999999999"])
def test_a_row_that_is_no_example_is_not_found(client: Client, model: LanguageModel, row: str) -> None:
    response = client.get(f"{PATH}/rows/{row}/")
    assert response.status_code == 404
    assert f"Looking for row {row} among the examples of L1N5: expected one of 0, " in response.content.decode()


def test_an_example_can_be_run_as_own_text(client: Client, model: LanguageModel) -> None:
    examples, content = data_of(client)["examples"]["top"], page(client)
    links = [html.unescape(link) for link in re.findall(r'href="(/m/tiny/text/\?text=[^"]*)"', content)]
    words = ["".join(example["tokens"][1 if example["first"] == 0 else 0 :]) for example in examples]
    assert [parse_qs(urlsplit(link).query)["text"] for link in links] == [[text] for text in words]
    assert any(text != text.strip() for text in words), "white space is part of the text"
    assert "%3Cbos%3E" not in content


def test_histogram_has_every_bin_and_says_what_the_ends_hold(client: Client, model: LanguageModel) -> None:
    live = activations_of(model, 1)[:, 1:, 5].ravel()
    histogram = data_of(client)["histogram"]
    assert sum(histogram["counts"]) == live.size
    assert histogram["low"] == pytest.approx(live.min() * 0.8)
    assert histogram["counts"][0] == np.count_nonzero(
        live < live.min() * 0.8 + np.ptp([live.min(), live.max()]) * 0.0125
    )
    content = page(client)
    bars = re.search(r'<path class="bars" d="([^"]*)"', content)
    assert bars
    assert bars[1].count("z") == np.count_nonzero(histogram["counts"])
    assert "which also hold what is outside" in content


def test_mean_tokens_stand_with_how_often_they_are_seen(client: Client, model: LanguageModel) -> None:
    live, tokens = activations_of(model, 1)[:, 1:, 5], tokens_of()[:, 1:]
    highest = data_of(client)["means"]["highest"]
    assert len(highest["tokens"]) == 10
    for text, value, count in zip(highest["tokens"], highest["values"], highest["counts"], strict=True):
        (token,) = (token for token in range(30) if token_text(token) == text)
        assert count == np.count_nonzero(tokens == token) >= 10
        assert value == pytest.approx(live[tokens == token].mean(), abs=1e-5)
    assert highest["values"] == sorted(highest["values"], reverse=True)
    assert "There is no standard error" in page(client)


def test_weights_give_tokens_with_gate_and_up_apart_and_nearest_neurons_with_links(
    client: Client, model: LanguageModel
) -> None:
    data, content = data_of(client), page(client)
    assert list(data["weights"]) == [
        "promoted_tokens",
        "suppressed_tokens",
        "gate_tokens",
        "up_tokens",
        "up_negative_tokens",
    ]
    for label in ("promoted", "suppressed", "exciting the gate", "exciting the up input", "lowest up input"):
        assert f">{label}</caption>" in content
    for kind in ("input", "output"):
        neurons = data["nearest"][kind]
        assert len(neurons) == 9
        for neuron in neurons:
            assert f'<a href="/m/tiny/{neuron["neuron"]}/">{neuron["neuron"]}</a>' in content
    assert f'promotes <span class="figure">“{data["weights"]["promoted_tokens"]["tokens"][0]}' in html.unescape(content)


def test_weights_that_are_not_read_yet_are_absent_with_the_reason(client: Client, model: LanguageModel) -> None:
    Measurement.objects.all().delete()
    data = data_of(client)
    assert data["weights"] == {}
    assert data["absent"]["weights"] == "not measured: the weights were not asked about."
    assert "Not measured: the weights were not asked about." in page(client)
    assert "promotes" not in page(client).split("</h1>")[1].split("</p>")[0]


def test_a_neuron_of_an_unfinished_survey_says_what_is_missing(client: Client, db: None) -> None:
    build_survey(build_model(), "sotu")
    data, content = data_of(client), page(client)
    assert data["metrics"] == {}
    assert data["absent"]["mean"] == "not measured yet: the survey of sotu is not finished."
    assert data["absent"]["examples"] == data["absent"]["mean"] or "token texts" in data["absent"]["examples"]
    assert "Statistics: not measured yet: the survey of sotu is not finished." in content
    assert "Neuron 5 of layer 1 of The tiny model." in content


def test_a_survey_that_is_not_in_depth_says_so(client: Client, db: None) -> None:
    finish(
        build_survey(build_model(), "sotu"), metrics=random_metrics(build_model("other"), DatasetKind.NATURAL, seed=1)
    )
    assert data_of(client)["absent"]["mean"] == "not measured: the survey of sotu did not ask for neurons."
    assert client.get(f"{PATH}/figures/histogram.svg").status_code == 404


def test_a_damaged_layer_is_named_and_the_rest_stays(client: Client, model: LanguageModel) -> None:
    file = artifact_path(Survey.objects.get(dataset="sotu")) / "layer-1.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(data)
    absent = data_of(client)["absent"]
    assert "layer-1.safetensors" in absent["histogram"]
    assert page(client).count("layer-1.safetensors") >= 1
    assert "mean" in data_of(client)["metrics"]


def test_neighbours_go_on_in_the_next_layer_and_random_goes_to_a_neuron(client: Client, model: LanguageModel) -> None:
    assert '<a rel="next" href="/m/tiny/L1N0/">' in page(client, "/m/tiny/L0N15/")
    assert '<a rel="prev" href="/m/tiny/L0N15/">' in page(client, "/m/tiny/L1N0/")
    assert 'rel="prev"' not in page(client, "/m/tiny/L0N0/")
    assert 'rel="next"' not in page(client, "/m/tiny/L2N15/")
    response = client.get("/m/tiny/random-neuron/")
    assert re.fullmatch(r"/m/tiny/L[0-2]N(1[0-5]|[0-9])/", response.headers["Location"])
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("typed", ["L1N5", "m1.n5", "blocks.1.mlp.hook_post[5]", "tiny/L1N5"])
def test_the_jump_box_goes_to_neurons(client: Client, model: LanguageModel, typed: str) -> None:
    assert client.get("/jump/", {"q": typed}).headers["Location"] == f"{PATH}/"


def test_every_figure_is_a_drawing_and_a_table(client: Client, model: LanguageModel) -> None:
    data = data_of(client)
    for name in ("histogram", "examples"):
        assert client.get(f"{PATH}/figures/{name}.svg").content.startswith(b"<svg")
    rows = list(csv.reader(client.get(f"{PATH}/figures/histogram.csv").content.decode().splitlines()[3:]))
    assert [int(row[2]) for row in rows] == data["histogram"]["counts"]
    _, _, table = client.get(f"{PATH}/figures/examples.csv?examples=1").content.decode().split("\n", 2)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 48
    assert [row["token"] for row in rows[:24]] == data["examples"]["1"][0]["tokens"]
    extremes = [float(row["activation"]) for row in rows if row["extreme"] == "1"]
    assert extremes == pytest.approx([example["activation"] for example in data["examples"]["1"]])
    response = client.get(f"{PATH}/figures/examples.svg?examples=9")
    assert response.status_code == 404
    assert "expected examples among top, bottom, 5, 4, 3, 2, 1, got “9”" in response.content.decode()


def test_another_survey_is_read_and_goes_on_in_the_links(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="sotu").hash[:12]
    content = page(client, f"{PATH}/?survey={survey}")
    assert f"?survey={survey}&amp;examples=bottom#examples" in content
    assert f"/rows/{data_of(client)['examples']['top'][0]['row']}/?survey={survey}" in content
