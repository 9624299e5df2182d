"""Pages of models that attend both ways, or have no MLP, with what was really measured of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from analysis.schema import JobKind
from tests.browsing import watched_page
from wiki.components.models import LanguageModel
from wiki.experiments.first_surveys import register_model
from wiki.experiments.models import Measurement, Pin, Survey

from .measured import ATTENTION, BRACKETS, Measured

PARTS = ("", "L0/", "L1/", "L1H0/", "L1KV1/", "text/")


def registered(measured: Measured, settings: Settings) -> LanguageModel:
    """The site's rows of what is measured."""
    settings.DATA_DIR = measured.data
    model = register_model(measured.card)
    for dataset, spec in measured.specs.items():
        survey = Survey.objects.create(
            hash=spec.hash, model=model, dataset=dataset, spec=spec.to_json(), finished_at=timezone.now()
        )
        Pin.objects.create(model=model, dataset=dataset, survey=survey)
    Measurement.objects.create(
        hash=measured.weights.hash,
        kind=JobKind.WEIGHTS.value,
        model=model,
        spec=measured.weights.to_json(),
        finished_at=timezone.now(),
    )
    return model


@pytest.fixture
def brackets_model(brackets: Measured, settings: Settings, db: None) -> LanguageModel:
    return registered(brackets, settings)


@pytest.fixture
def attention_model(attention: Measured, settings: Settings, db: None) -> LanguageModel:
    return registered(attention, settings)


def words(client: Client, address: str, *, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, (address, response.status_code)
    return " ".join(response.content.decode().split())


def data(client: Client, address: str) -> Any:
    return json.loads(client.get(address).content)


def test_every_page_of_the_classifier_is_there(client: Client, brackets_model: LanguageModel) -> None:
    for part in (*PARTS, "L1N3/", "L2H1/?q=0&view=value", "?metric=induction&x=self&y=entropy", "random-neuron/"):
        expected = 302 if part == "random-neuron/" else 200
        words(client, f"/m/{BRACKETS}/{part}", status=expected)


def test_every_page_of_attention_alone_is_there(client: Client, attention_model: LanguageModel) -> None:
    for part in (*PARTS, "L2H3/?q=5", "?metric=ov_copying"):
        words(client, f"/m/{ATTENTION}/{part}")
    assert "no neurons, for they are attention alone" in words(client, f"/m/{ATTENTION}/L0N0/", status=404)
    assert "its layers are attention alone" in words(client, f"/m/{ATTENTION}/random-neuron/", status=404)


def test_what_a_classifier_lacks_is_absent_with_its_reason(client: Client, brackets_model: LanguageModel) -> None:
    answer = data(client, f"/m/{BRACKETS}/L2H1.json")
    assert set(answer["absent"]) == {
        *("induction", "duplicate_token", "distance_mean", "distance_off_sink"),
        *("induction_repeated", "ov_copying"),
    }
    assert answer["absent"]["ov_copying"].startswith("not measured: this model ends in a classifier")
    assert answer["absent"]["induction"].startswith("not measured: this model attends to later tokens")
    assert answer["metrics"]["self"]["of"] == 6
    assert list(answer["mass"]["shares"]) == [
        *("first token", "self", "previous token", "next token", "later tokens", "other")
    ]
    assert answer["shown"]["promoted"]["absent"].startswith("Not measured: this model ends in a classifier")
    assert answer["ov"]["absent"].startswith("not measured: this model ends in a classifier")
    layer = data(client, f"/m/{BRACKETS}/L1.json")
    assert set(layer["absent"]) == {"lens_agreement", "lens_divergence"}
    assert set(layer["residual"]) >= {"attention_written", "mlp_written"}
    page = words(client, f"/m/{BRACKETS}/L1N3/")
    assert "What it promotes: not measured: this model ends in a classifier" in page


def test_the_model_page_says_what_was_measured_and_names_no_logit_lens(
    client: Client, brackets_model: LanguageModel
) -> None:
    page = words(client, f"/m/{BRACKETS}/?metric=self")
    assert "Measured on strings of brackets:" in page
    assert "Logit lens: not measured: this model ends in a classifier" in page
    assert "natural text:" not in page


def test_a_later_key_is_refused_where_attention_is_causal(client: Client, attention_model: LanguageModel) -> None:
    page = words(client, f"/m/{ATTENTION}/L0H0/?text=bundled-texts.0&q=2&k=5", status=404)
    assert "position “5” at or before its query" in page


def test_a_later_key_is_locked_and_its_attention_told(client: Client, brackets_model: LanguageModel) -> None:
    page = words(client, f"/m/{BRACKETS}/L0H0/?text=bracket-examples.0&q=2&k=9")
    assert "which is not here" not in page
    shown = data(client, f"/m/{BRACKETS}/L0H0.json?text=bracket-examples.0&q=2&k=9")["shown"]
    assert (shown["query"], shown["key"]) == (2, 9)
    assert min(shown["weights"][3:]) > 0
    assert sum(shown["weights"]) == pytest.approx(1, abs=0.05)
    beyond = words(client, f"/m/{BRACKETS}/L0H0/?text=bracket-examples.0&q=2&k=14", status=404)
    assert "position “14” of this text" in beyond
    pair = words(client, f"/m/{BRACKETS}/text/kept/bracket-examples.0/?q=2&k=9")
    assert "From “(”, position 2, to “)”, position 9" in pair
    assert "after the query" not in pair


def test_a_string_of_an_example_is_typed_without_its_end(client: Client, brackets_model: LanguageModel) -> None:
    for part in ("L1H0", "L1N3"):
        page = words(client, f"/m/{BRACKETS}/{part}/")
        links = [piece.split('"')[0] for piece in page.split('href="') if "text/?text=" in piece.split('"')[0]]
        assert links
        assert not [link for link in links if "end" in link]


def test_a_layer_of_attention_alone_says_that_it_has_no_neurons(client: Client, attention_model: LanguageModel) -> None:
    page = words(client, f"/m/{ATTENTION}/L1/")
    assert "4 attention heads and no neurons." in page
    assert "None: the layers of this model are attention alone." in page
    assert "Not measured: the layers of this model are attention alone, without an MLP." in page
    answer = data(client, f"/m/{ATTENTION}/L1.json")
    assert set(answer["absent"]) == {"mlp_written", "neurons"}
    assert data(client, f"/m/{ATTENTION}/L1H0.json")["absent"] == {}


def test_the_drawn_pattern_has_what_comes_after_the_query(
    brackets_model: LanguageModel, live_server: LiveServer, browser: Browser, tmp_path: Path
) -> None:
    with watched_page(browser.new_context(color_scheme="light")) as page:
        page.goto(f"{live_server.url}/m/{BRACKETS}/L0H0/?text=bracket-examples.0")
        page.locator("attention-pattern[ready]").wait_for()
        pixels = page.locator("attention-pattern canvas").evaluate(
            """(canvas) => {
                const { data, width, height } =
                    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return [width, height, [...data]];
            }"""
        )
    width, height, values = pixels
    light = np.asarray(values).reshape(height, width, 4)[..., :3].mean(-1)
    n = 14
    places = [int((i + 0.5) * width / n) for i in range(n)]
    later = [light[places[q], places[k]] for q in range(n) for k in range(q + 1, n)]
    assert np.mean(np.asarray(later) < 250) > 0.9
