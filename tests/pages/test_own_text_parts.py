"""A person's own text in the figures, the data and the views of heads, layers and neurons."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from analysis.schema import PromotedSpec
from analysis.store import promoted_path, publish, write_arrays
from wiki.components.models import LanguageModel
from wiki.experiments import results
from wiki.experiments.models import Job, Measurement

from .building import random_pattern
from .building_heads import token_text
from .building_texts import TOKENS, build_prompt, neuron_steps, promoted, prompt_pattern
from .test_head_page import read
from .test_own_text import words_of


def rows_of(client: Client, path: str) -> list[dict[str, str]]:
    """The table of a figure's CSV."""
    _, _, table = client.get(path).content.decode().split("\n", 2)
    return list(csv.DictReader(io.StringIO(table)))


def data_of(client: Client, path: str) -> dict[str, Any]:
    return dict(json.loads(client.get(path).content))


@pytest.mark.parametrize("part", ["L1H2/", "L1H2/?view=value&sink=hidden&q=3&examples=60", "L1/", "L1N5/", "L1KV1/"])
def test_every_figure_that_a_page_links_is_there(client: Client, model: LanguageModel, part: str) -> None:
    prompt = build_prompt(model)
    name = f"text={prompt.hash[:12]}"
    content = client.get(f"/m/tiny/{part}{'&' if '?' in part else '?'}{name}").content.decode()
    links = {html.unescape(link) for link in re.findall(r'href="(/m/tiny/[^"]*figures/[^"]*)"', content)}
    assert len(links) >= 6 or part == "L1KV1/"
    for link in links:
        response = client.get(link)
        assert response.status_code == 200, link
        body = response.content.decode()
        if ".svg" in link:
            assert ElementTree.fromstring(body).tag.endswith("svg")  # noqa: S314 (our own)
        if "text=" in link and "examples=" not in link:
            assert f"text {prompt.hash[:8]}" in body, "the source is the text, not a survey"
            assert "survey " not in body


def test_the_pattern_as_a_file_is_that_of_the_text(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    pattern = prompt_pattern(model)[1, 2] / 255
    rows = rows_of(client, f"/m/tiny/L1H2/figures/pattern.csv?text={prompt.hash[:12]}")
    assert len(rows) == np.count_nonzero(pattern)
    for row in rows:
        assert float(row["attention"]) == pytest.approx(pattern[int(row["query"]), int(row["key"])], abs=1e-6)
    of_layer = rows_of(client, f"/m/tiny/L1/figures/patterns.csv?text={prompt.hash[:12]}")
    ours = [float(row["attention"]) for row in of_layer if row["head"] == "L1H2"]
    assert ours == pytest.approx([float(row["attention"]) for row in rows], abs=1e-4)


def lengths(dataset: str) -> np.ndarray:
    """What L1H2 writes for each query and key of a kept text, as safetensors read it."""
    seed = {"bundled-texts": 4, "repeated-random": 2}[dataset]
    pattern = random_pattern(LanguageModel.objects.get(), 9, seed=seed)[1, 2] / 255
    return np.asarray(pattern * read(dataset, "value_norm.0", file="layer-1")[2].astype(float))


def test_lengths_have_one_scale_and_own_texts_do_not_change_it(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    ceiling = max(lengths(dataset).max() for dataset in ("bundled-texts", "repeated-random"))
    figure = f"{ceiling:.1f}" if ceiling >= 10 else f"{ceiling:.2f}"
    own = f"text={prompt.hash[:12]}"
    for text in ("text=bundled-texts.0", "text=repeated-random.0", own):
        content = words_of(client, f"/m/tiny/L1H2/?{text}&view=value")
        assert f'ceiling="{ceiling:.6f}"' in content
        assert f"The darkest shade is {figure}, the largest length on the 2 texts kept of this head" in content
        assert ("the scale is the same on all of them" in content) == (text != own)
        assert ("what is longer on your text has it too" in content) == (text == own)
        svg = client.get(f"/m/tiny/L1H2/figures/pattern.svg?{text}&view=value").content.decode()
        assert f'text-anchor="end">{figure}</text>' in svg
        assert "the largest length on the 2 texts kept" in svg
    # every value of the own text is 1 long: its darkest cell is as dark as its attention on the scale of the others
    svg = client.get(f"/m/tiny/L1H2/figures/pattern.svg?{own}&view=value").content.decode()
    darkest = max(map(float, re.findall(r'<path fill="#0b6e6e" fill-opacity="([\d.]+)"', svg)))
    expected = round(20 * np.sqrt(prompt_pattern(model)[1, 2].max() / 255 / ceiling)) / 20
    assert darkest == pytest.approx(expected)
    assert darkest < 0.5


def test_plain_attention_as_a_file_goes_to_1_as_on_the_page(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    svg = client.get(f"/m/tiny/L1H2/figures/pattern.svg?text={prompt.hash[:12]}").content.decode()
    assert 'text-anchor="end">1</text>' in svg


def follower_of(prompt: Measurement, **job: Any) -> None:
    """Let the computing of promoted tokens be under way, its job so."""
    shutil.rmtree(promoted_path(results._store(), prompt.hash))
    follower = Measurement.objects.get(pk=PromotedSpec.from_json(prompt.spec).hash)
    follower.finished_at = None
    follower.save(update_fields=["finished_at"])
    Job.objects.filter(measurement=follower).update(**job)


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ({"state": Job.State.QUEUED}, "Waiting for its turn to be computed."),
        ({"state": Job.State.RUNNING, "rows_done": 2}, "Being computed: 2 of 3 layers."),
    ],
)
def test_promoted_tokens_that_are_being_computed_say_so_and_land(
    client: Client, model: LanguageModel, job: dict[str, Any], sentence: str
) -> None:
    prompt = build_prompt(model)
    follower_of(prompt, **job)
    page = words_of(client, f"/m/tiny/L1H2/?text={prompt.hash[:12]}&q=3")
    assert sentence in page
    assert "does not add up" not in page
    poll = re.findall(r'id="promoted-progress" hx-get="([^"]*)" hx-trigger="every 1s"', page)
    assert poll == [f"/m/tiny/text/{prompt.hash}/promoted/"]
    assert "vendor/htmx" in page
    waiting = client.get(poll[0])
    assert sentence in waiting.content.decode()
    assert f'hx-get="{poll[0]}"' in waiting.content.decode()
    assert "HX-Trigger" not in waiting.headers
    assert waiting.headers["Cache-Control"] == "no-store"
    data = data_of(client, f"/m/tiny/L1H2.json?text={prompt.hash[:12]}&q=3")
    assert data["shown"]["promoted"] == {"absent": sentence}
    Measurement.objects.filter(pk=PromotedSpec.from_json(prompt.spec).hash).update(finished_at=timezone.now())
    landed = client.get(poll[0])
    assert landed.headers["HX-Trigger"] == "landed"
    assert "hx-get" not in landed.content.decode()


def test_promoted_tokens_that_failed_say_why_and_nothing_asks_on(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    follower_of(prompt, state=Job.State.FAILED, error="The worker ran out of memory.")
    page = words_of(client, f"/m/tiny/L1H2/?text={prompt.hash[:12]}")
    assert "Not computed: The worker ran out of memory." in page
    assert "hx-get" not in page
    fragment = client.get(f"/m/tiny/text/{prompt.hash}/promoted/").content.decode()
    assert "Not computed: The worker ran out of memory." in fragment
    assert "hx-get" not in fragment


def test_promoted_tokens_that_were_lost_or_never_asked_for_are_said_to_be(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    shutil.rmtree(promoted_path(results._store(), prompt.hash))
    path = f"/m/tiny/L1H2/?text={prompt.hash[:12]}"
    assert "What was computed is lost or damaged." in words_of(client, path)
    Measurement.objects.get(pk=PromotedSpec.from_json(prompt.spec).hash).delete()
    cache.clear()
    assert "Not computed: it was not asked for." in words_of(client, path)


def test_a_head_whose_output_is_normalised_says_so_on_the_text(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    path = promoted_path(results._store(), prompt.hash)
    shutil.rmtree(path)
    with publish(path, meta={"spec": prompt.spec}) as folder:
        for layer in range(model.n_layers):
            write_arrays(folder, {}, file=f"layer-{layer}")
    page = words_of(client, f"/m/tiny/L1H2/?text={prompt.hash[:12]}")
    assert "in models of the family llama what heads write does not add up to the residual stream" in page


def test_data_of_a_head_has_the_view_that_the_address_chooses(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    pattern = prompt_pattern(model)[1, 2] / 255
    data = data_of(client, f"/m/tiny/L1H2.json?text={prompt.hash[:12]}&q=5&view=row")
    shown = data["shown"]
    assert (shown["text"], shown["view"], shown["query"], shown["locked"]) == (prompt.hash[:12], "row", 5, True)
    # every value is as long as any other, so that shares of a row are attention
    assert shown["weights"] == pytest.approx((pattern[5] / pattern[5].sum()).tolist(), abs=1e-6)
    tokens, logits = promoted(model, 1)
    assert [name for name, _ in shown["promoted"]["tokens"]] == [
        token_text(token).strip() or "↵" for token in tokens[2, 5].tolist()
    ]
    assert [logit for _, logit in shown["promoted"]["tokens"]] == pytest.approx(logits[2, 5].tolist(), abs=1e-4)
    assert prompt.hash in shown["source"]
    own = data["patterns"][-1]
    assert own["text"] == prompt.hash[:12]
    assert client.get(own["bytes"]).content == prompt_pattern(model)[1, 2].tobytes()
    plain = data_of(client, "/m/tiny/L1H2.json?text=bundled-texts.0&q=8&sink=hidden")["shown"]
    assert plain["weights"][0] == 0
    assert plain["view"] == "attention"
    assert plain["first_token_hidden"]


def test_data_and_files_of_a_neuron_have_its_values_on_the_text(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    values = (neuron_steps(model, 1)[5].astype(float) * 0.02).tolist()
    data = data_of(client, f"/m/tiny/L1N5.json?text={prompt.hash[:12]}")["own_text"]
    assert (data["text"], data["tokens"]) == (prompt.hash, list(TOKENS))
    assert data["activations"] == [None, *(pytest.approx(value, abs=1e-5) for value in values[1:])]
    assert prompt.hash in data["source"]
    assert data_of(client, "/m/tiny/L1N5.json")["own_text"] is None
    rows = rows_of(client, f"/m/tiny/L1N5/figures/own-text.csv?text={prompt.hash[:12]}")
    assert [row["token"] for row in rows] == list(TOKENS)
    assert rows[0]["activation"] == ""
    assert [float(row["activation"]) for row in rows[1:]] == pytest.approx(values[1:], abs=1e-5)
    svg = ElementTree.fromstring(  # noqa: S314 (our own)
        client.get(f"/m/tiny/L1N5/figures/own-text.svg?text={prompt.hash[:12]}").content.decode()
    )
    drawn = "".join(svg.itertext())
    for token in TOKENS:
        assert token.replace("\n", "↵") in drawn
    for query in ("", "?text=zzz", "?text=0123456789ab"):
        response = client.get(f"/m/tiny/L1N5/figures/own-text.csv{query}")
        assert response.status_code == 404
        assert "hash of a measured text" in response.content.decode()


@pytest.mark.parametrize("query", ["q=x", "q=99", "q=3&k=5", "k=2"])
def test_data_of_a_pair_that_cannot_be_is_refused(client: Client, model: LanguageModel, query: str) -> None:
    response = client.get(f"/m/tiny/text/{build_prompt(model).hash}.json?{query}")
    assert response.status_code == 404
    assert "expected a query and a key at or before it (q=, k=), got " in response.json()["error"]


def test_examples_of_a_neuron_keep_the_text(client: Client, model: LanguageModel) -> None:
    name = build_prompt(model).hash[:12]
    page = words_of(client, f"/m/tiny/L1N5/?text={name}")
    tabs = re.findall(r'href="(\?examples=[^"]*#examples)"', page)
    assert len(tabs) == 7
    assert all(f"&amp;text={name}#" in tab for tab in tabs)
    assert "which is no measured text" not in page
    assert "js/colored-tokens" in page
    missing = words_of(client, "/m/tiny/L1N5/?text=0123456789ab", status=404)
    assert "The link names the text “0123456789ab”, which is no measured text of somebody’s own." in missing
