"""A text of one's own: what may be typed, how often, and what its permalink shows."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
from datetime import timedelta
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.cache import cache
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from analysis.schema import Component, JobKind, PromptSpec
from analysis.store import promoted_path, prompt_path
from tests.pages.building_heads import token_text
from tests.pages.test_every_page import inline_parts
from wiki.components.models import LanguageModel
from wiki.experiments import results
from wiki.experiments.models import Job, Measurement, Survey
from wiki.experiments.results import open_survey
from wiki.pages import limits
from wiki.pages.own_text import neuron_on_text

from .building import build_measured_model, build_model
from .building_texts import TOKENS, TYPED, build_prompt, neuron_steps, promoted, prompt_pattern

FORM = "/m/tiny/text/"


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"
    cache.clear()


def ask(client: Client, text: str, **more: str) -> tuple[int, str, str]:
    """Status, where it leads to, and the page that came instead."""
    response = client.post(FORM, {"text": text, **more})
    return response.status_code, response.headers.get("Location", ""), response.content.decode()


def words_of(client: Client, path: str, *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content.decode()
    return re.sub(r"\s+", " ", response.content.decode())


def test_a_text_is_queued_as_it_was_typed_and_leads_to_its_permalink(client: Client, model: LanguageModel) -> None:
    status, address, _ = ask(client, "  The cat\r\nsat\ron 🐈 \u202e mats\t\n")
    spec = PromptSpec("tiny", model.hash, "  The cat\nsat\non 🐈 \u202e mats\t\n")
    assert (status, address) == (302, f"/m/tiny/text/{spec.hash}/")
    prompt = Measurement.objects.get(pk=spec.hash)
    assert (prompt.kind, prompt.spec, prompt.finished_at) == ("prompt", spec.to_json(), None)
    assert Job.objects.get(measurement=prompt).state == "queued"


CONTROLS = "but line breaks and tabs, got U+"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Reading your text: expected 1 to 2,000 characters, got none."),
        (" \n\t ", "Reading your text: expected 1 to 2,000 characters, got none."),
        ("x" * 2001, "Reading your text: expected 1 to 2,000 characters, got 2,001."),
        ("x" * 100_000, "Reading your text: expected 1 to 2,000 characters, got 100,000."),
        ("ab\0c", f"{CONTROLS}0000 as character 3."),
        ("\x1b[31m", f"{CONTROLS}001B as character 1."),
        ("a\x7f", f"{CONTROLS}007F as character 2."),
        ("a\x9d", f"{CONTROLS}009D as character 2."),
    ],
)
def test_what_cannot_be_measured_is_refused_with_its_reason_and_comes_back(
    client: Client, model: LanguageModel, typed: str, sentence: str
) -> None:
    status, _, page = ask(client, typed)
    assert status == 400
    assert sentence in page
    (back,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert html.unescape(back) == typed
    assert not Measurement.objects.filter(kind="prompt").exists()


def test_2000_characters_are_measured_even_where_line_ends_are_sent_as_two(
    client: Client, model: LanguageModel
) -> None:
    assert ask(client, "x\r\n" * 1000)[0] == 302


def test_bytes_that_are_no_text_are_replaced_and_a_lone_surrogate_is_no_error(
    client: Client, model: LanguageModel
) -> None:
    body = b"text=a%ED%A0%80b%FF"
    response = client.post(FORM, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 302
    (prompt,) = Measurement.objects.filter(kind="prompt")
    assert set(prompt.spec["text"]) == {"a", "b", "\ufffd"}
    assert client.get(f"{FORM}?text=%ED%A0%80%00").status_code == 200


def test_megabytes_are_refused_with_a_page(client: Client, model: LanguageModel) -> None:
    response = client.post(FORM, {"text": "x" * 3_000_000})
    assert response.status_code == 400
    page = response.content.decode()
    assert "expected at most 2.5 MB, got more" in page
    assert "</html>" in page


def test_the_form_is_prefilled_and_a_leading_line_break_survives(client: Client, model: LanguageModel) -> None:
    page = client.get(FORM, {"text": '\n<b>"x"&'}).content.decode()
    assert "\n\n&lt;b&gt;&quot;x&quot;&amp;</textarea>" in page
    prompt = build_prompt(model)
    assert f">\n{TYPED}</textarea>" in client.get(f"{FORM}?again={prompt.hash[:12]}").content.decode()


def test_the_form_needs_this_sites_token(model: LanguageModel) -> None:
    assert Client(enforce_csrf_checks=True).post(FORM, {"text": "x"}).status_code == 403


def test_the_eleventh_new_text_of_a_minute_has_to_wait_and_is_kept(client: Client, model: LanguageModel) -> None:
    for n in range(10):
        assert ask(client, f"text {n}")[0] == 302
    response = client.post(FORM, {"text": "one more"})
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    page = response.content.decode()
    assert f"ask again in {response.headers['Retry-After']} second" in page
    assert "one more</textarea>" in page
    assert not Measurement.objects.filter(spec__text="one more").exists()
    assert ask(client, "text 3")[0] == 302, "what was asked for before is not limited"
    assert client.post(FORM, {"text": "one more"}, REMOTE_ADDR="192.0.2.7").status_code == 302, "others are not"
    assert client.post(FORM, {"text": "even more"}, headers={"X-Forwarded-For": "192.0.2.9"}).status_code == 429


def test_a_client_is_the_address_that_the_proxy_wrote(client: Client, model: LanguageModel, settings: Settings) -> None:
    settings.HTTPS = True

    def status(text: str, forwarded: str) -> int:
        return client.post(FORM, {"text": text}, headers={"X-Forwarded-For": forwarded}).status_code

    for n in range(10):
        assert status(f"text {n}", f"10.0.0.{n}, 2001:db8::{n}") == 302
    assert status("more", "10.9.9.9, 2001:db8::ffff:1") == 429, "one customer has 64 bits"
    assert status("more", "10.9.9.9, 2001:db8:0:1::1") == 302


def test_a_minute_later_texts_are_measured_again(
    client: Client, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TEXTS_A_MINUTE", 1)
    now = 1_700_000_040.0
    monkeypatch.setattr("wiki.pages.limits.time.time", lambda: now)
    assert ask(client, "one")[0] == 302
    assert ask(client, "two")[0] == 429
    now += 60
    assert ask(client, "two")[0] == 302


def test_a_measured_text_is_shown_at_once_and_nothing_is_queued(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    jobs = Job.objects.count()
    for _ in range(15):
        assert ask(client, TYPED)[1] == f"/m/tiny/text/{prompt.hash}/"
    assert ask(client, TYPED, next="L1H2")[1] == f"/m/tiny/L1H2/?text={prompt.hash[:12]}#attends"
    assert Job.objects.count() == jobs


def test_a_lost_artifact_is_said_and_measured_anew_when_asked(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    (prompt_path(results._store(), prompt.hash) / "manifest.json").unlink()
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/")
    assert "What was measured on this text is lost or damaged." in page
    assert "Measure it again" in page
    assert ask(client, TYPED)[0] == 302
    prompt.refresh_from_db()
    assert prompt.finished_at is None
    assert "Waiting for its turn." in words_of(client, f"/m/tiny/text/{prompt.hash}/")


def test_a_waiting_page_polls_and_a_finished_one_wakes_it(client: Client, model: LanguageModel) -> None:
    _, address, _ = ask(client, TYPED, next="L1H2")
    assert address.endswith("/?next=L1H2")
    page = words_of(client, address)
    poll = re.findall(r'hx-get="([^"]+)"', page)[0]
    assert "Waiting for its turn." in page
    assert inline_parts(client.get(address).content) == []
    fragment = client.get(poll)
    assert "HX-Trigger" not in fragment.headers
    assert f'hx-get="{poll}"' in fragment.content.decode()
    Measurement.objects.all().delete()
    prompt = build_prompt(model)
    fragment = client.get(poll)
    assert fragment.headers["HX-Trigger"] == "landed"
    assert "hx-get" not in fragment.content.decode()
    assert client.get(address).headers["Location"] == f"/m/tiny/L1H2/?text={prompt.hash[:12]}#attends"


@pytest.mark.parametrize("where", ["L9H9", "nonsense", "L1H2<", "\0"])
def test_a_component_that_is_not_there_leads_to_the_permalink(client: Client, model: LanguageModel, where: str) -> None:
    prompt = build_prompt(model)
    assert ask(client, TYPED, next=where)[1] == f"/m/tiny/text/{prompt.hash}/"


def test_a_failed_text_says_why_and_can_be_changed_and_tried_again(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model, state="failed", error="Reading a text: expected <255> tokens.")
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/")
    assert "Reading a text: expected &lt;255&gt; tokens." in page
    assert "Try again</button>" in page
    assert "hx-get" not in page
    assert f"/m/tiny/text/{prompt.hash}/" == ask(client, TYPED)[1]
    assert Job.objects.get(measurement=prompt).state == "queued"


def test_a_page_says_when_no_worker_answers(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model, state="queued")
    past = timezone.now() - timedelta(seconds=120)
    Measurement.objects.filter(pk=prompt.pk).update(asked_at=past)
    Job.objects.filter(measurement=prompt).update(dispatched_at=past)
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/")
    assert "No measuring worker has answered for more than 30 seconds. The text is kept" in page


def test_short_names_lead_to_the_whole_address(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    response = client.get(f"/m/tiny/text/{prompt.hash[:8]}/?q=3")
    assert (response.status_code, response["Location"]) == (302, f"/m/tiny/text/{prompt.hash}/?q=3")
    for name in ("0" * 8, prompt.hash[:7], "kept/sotu.0"):
        assert client.get(f"/m/tiny/text/{name}/").status_code == 404


def test_a_text_of_another_model_is_not_here(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(build_measured_model("other"))
    response = client.get(f"/m/tiny/text/{prompt.hash}/")
    assert response.status_code == 404
    assert "Texts are kept for 30 days." in response.content.decode()


def ranked(weights: np.ndarray) -> list[tuple[str, float]]:
    """Heads by weight, equals in order, the slow way."""
    found = [
        (f"L{layer}H{head}", float(weights[layer, head]))
        for layer in range(weights.shape[0])
        for head in range(weights.shape[1])
    ]
    return sorted(found, key=lambda each: -each[1])


def expected_cell(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2f}".removeprefix("0") if value >= 0.005 else "&lt;.01"


def test_heads_are_ranked_by_their_attention_from_the_query_to_the_key(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    weights = prompt_pattern(model)[:, :, 5, 2] / 255
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/?q=5&k=2")
    assert "From “on”, position 5, to “cat”, position 2" in page
    table = page[page.index('id="rank-title"') :]
    rows = re.findall(r'<a href="([^"]+)">(L\dH\d+)</a></td><td class="mono">([^<]+)</td>', table)
    assert [(name, figure) for _, name, figure in rows] == [
        (name, expected_cell(value)) for name, value in ranked(weights)
    ]
    assert rows[0][0] == f"/m/tiny/{rows[0][1]}/?text={prompt.hash[:12]}&amp;q=5#attends"
    best, most = ranked(weights)[0]
    assert f"The most is {most:.2f}".replace("0.", ".") + f", by {best}." in page
    cells = dict(re.findall(r'aria-label="(L\dH\d): attention ([^,]+), rank', page))
    assert cells == {name: expected_cell(value) for name, value in ranked(weights)}
    assert inline_parts(page.encode()) == []
    followed = client.get(html.unescape(rows[0][0]))
    assert "Locked:" in followed.content.decode()


def test_the_first_choice_is_the_query_and_the_second_the_key(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    address = f"/m/tiny/text/{prompt.hash}/"
    page = words_of(client, address)
    assert "Choose a query token" in page
    links = re.findall(r'<a class="token[^"]*" href="([^"]+)"', page)
    assert links == [f"?q={position}#pair" for position in range(len(TOKENS))]
    page = words_of(client, address + "?q=3")
    links = re.findall(r'<a class="token[^"]*" href="([^"]+)"', page)
    assert links == [f"?q=3&amp;k={position}#pair" for position in range(4)]
    assert page.count('<span class="token later"') == len(TOKENS) - 4
    most = prompt_pattern(model)[:, :, 3].max((0, 1))
    shades = [int(shade) for shade in re.findall(r'<a class="token a(\d+)', page)]
    assert shades == [round(20 * float(value / 255) ** 0.5) for value in most[:4]]
    key = int(np.argmax(most))
    head = np.argwhere(prompt_pattern(model)[:, :, 3, key] == most[key])[0]
    first = re.search(r'<tbody> <tr>.*?<td>(\d+)</td>.*?<td class="mono">(L\dH\d)</td>', page)
    assert first
    assert first.groups() == (str(key), f"L{head[0]}H{head[1]}")


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("q=99", "position “99” of this text"),
        ("q=²", "position “²” of this text"),
        ("q=3&k=4", "position “4” at or before its query"),
        ("q=3&k=x", "position “x” at or before its query"),
        ("k=2", "a key (k=) without its query (q=)"),
        ("q=0003&k=1", "position “0003” of this text"),
    ],
)
def test_a_pair_that_cannot_be_is_said_to_be_missing(
    client: Client, model: LanguageModel, query: str, missing: str
) -> None:
    page = words_of(client, f"/m/tiny/text/{build_prompt(model).hash}/?{query}", status=404)
    assert f"The link names {missing}, which is not here." in page
    assert 'id="ranking"' not in page


def test_texts_that_surveys_kept_have_the_same_page(client: Client, model: LanguageModel) -> None:
    page = words_of(client, FORM)
    assert 'href="/m/tiny/text/kept/bundled-texts.0/">The cat</a>' in page
    assert 'href="/m/tiny/text/kept/bundled-texts.0/">The cat</a>' in words_of(client, "/m/tiny/")
    result = open_survey(Survey.objects.get(dataset="bundled-texts"))
    data = json.loads(client.get("/m/tiny/text/kept/bundled-texts.0.json?q=8&k=6").content)
    assert data["text"] == "bundled-texts.0"
    for name, value in data["heads"].items():
        assert value == round(float(result.pattern(0, Component.parse(name))[8, 6]) / 255, 4)
    assert list(data["heads"]) == [name for name, _ in ranked(result.attention_from(0, 8)[:, :, 6])]
    assert len(data["heads"]) == 12
    page = words_of(client, "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6")
    assert "?text=bundled-texts.0&amp;q=8#attends" in page
    response = client.get("/m/tiny/text/kept/bundled-texts.7/")
    assert response.status_code == 404
    assert "expected one of bundled-texts.0, repeated-random.0." in response.content.decode()


def test_a_model_without_kept_texts_says_so(client: Client, db: None) -> None:
    build_model()
    assert "No survey of this model has kept a text yet." in words_of(client, FORM)


def test_only_twenty_heads_are_listed_until_all_are_asked_for(client: Client, db: None) -> None:
    model = build_measured_model("tiny", n_layers=6)
    address = f"/m/tiny/text/{build_prompt(model).hash}/?q=5&k=2"
    page = words_of(client, address)
    assert page.count('<tr><td class="soft">') == 20
    assert "Show all 24" in page
    assert words_of(client, f"{address}&all=1").count('<tr><td class="soft">') == 24


def test_the_data_has_what_the_page_has_and_says_how_far_an_unfinished_text_is(
    client: Client, model: LanguageModel
) -> None:
    prompt = build_prompt(model)
    data = json.loads(client.get(f"/m/tiny/text/{prompt.hash}.json?q=5&k=2").content)
    assert (data["tokens"], data["query"], data["key"]) == (list(TOKENS), 5, 2)
    assert data["heads"]["L1H2"] == round(float(prompt_pattern(model)[1, 2, 5, 2]) / 255, 4)
    assert data["most"] == [round(float(value) / 255, 4) for value in prompt_pattern(model)[:, :, 5].max((0, 1))]
    assert data["spec"]["text"] == TYPED
    waiting = build_prompt(model, "another", state="running")
    data = json.loads(client.get(f"/m/tiny/text/{waiting.hash}.json").content)
    assert (data["finished"], data["progress"]) == (False, "Being measured.")
    kept = json.loads(client.get("/m/tiny/text.json").content)
    assert [text["text"] for text in kept["texts"]] == ["bundled-texts.0", "repeated-random.0"]


def test_the_map_can_be_had_as_svg_and_csv(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/?q=5&k=2")
    svg, table = (html.unescape(url) for url in re.findall(r'href="(/m/tiny/figures/who-attends[^"]+)"', page))
    drawn = ElementTree.fromstring(client.get(svg).content)  # noqa: S314 (our own)
    titles = [cell.findtext("{*}title") for cell in drawn.iter("{http://www.w3.org/2000/svg}rect") if len(cell)]
    weights = prompt_pattern(model)[:, :, 5, 2] / 255
    assert len(titles) == 12
    assert titles[6] == f"L1H2: {html.unescape(expected_cell(float(weights[1, 2])))}"
    lines = client.get(table).content.decode().splitlines()
    assert prompt.hash in lines[1]
    rows = list(csv.DictReader(lines[2:]))
    assert [(row["head"], float(row["attention"])) for row in rows] == [
        (name, round(value, 4)) for name, value in ranked(weights)
    ]
    for query in ("", "?text=bundled-texts.0", "?text=nonsense&q=1&k=1"):
        assert client.get(f"/m/tiny/figures/who-attends.csv{query}").status_code == 404


def test_a_damaged_text_says_so_in_place_of_figures(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    damaged = prompt_path(results._store(), prompt.hash) / "layer-1.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    page = words_of(client, f"/m/tiny/text/{prompt.hash}/?q=5&k=2")
    assert "Verifying" in page
    assert 'id="ranking"' not in page


def test_the_head_page_shows_the_text_with_its_bytes_at_an_immutable_address(
    client: Client, model: LanguageModel
) -> None:
    prompt = build_prompt(model)
    page = words_of(client, f"/m/tiny/L1H2/?text={prompt.hash[:8]}&q=5")
    assert "Locked:" in page
    assert 'aria-current="true">your text</a>' in page
    assert 'href="/m/tiny/text/?next=L1H2"' in page
    response = client.get(f"/t/{prompt.hash}/patterns/L1H2.u8")
    assert f'src="/t/{prompt.hash}/patterns/L1H2.u8"' in page
    assert response.content == prompt_pattern(model)[1, 2].tobytes()
    assert "immutable" in response.headers["Cache-Control"]
    assert client.get(f"/t/{prompt.hash}/patterns/L9H2.u8").status_code == 404
    assert client.get(f"/t/{'0' * 64}/patterns/L1H2.u8").status_code == 404
    waiting = build_prompt(model, "another", state="queued")
    assert client.get(f"/t/{waiting.hash}/patterns/L1H2.u8").status_code == 404
    assert "The link names the text" in words_of(client, f"/m/tiny/L1H2/?text={waiting.hash[:8]}", status=404)


def test_what_a_head_would_write_and_promotes_on_the_text_is_at_immutable_addresses(
    client: Client, model: LanguageModel
) -> None:
    prompt = build_prompt(model)
    norms = client.get(f"/t/{prompt.hash}/norms/L1H2.f32")
    assert np.frombuffer(norms.content, dtype="<f4").tolist() == [1.0] * len(TOKENS)
    answer = client.get(f"/t/{prompt.hash}/promoted/L1H2.json")
    tokens, logits = promoted(model, 1)
    data = json.loads(answer.content)
    assert data["tokens"] == [[token_text(token) for token in row] for row in tokens[2].tolist()]
    assert data["logits"] == [[round(float(logit), 4) for logit in row] for row in logits[2]]
    assert "immutable" in norms.headers["Cache-Control"]
    assert "immutable" in answer.headers["Cache-Control"]
    shutil.rmtree(promoted_path(results._store(), prompt.hash))
    gone = client.get(f"/t/{prompt.hash}/promoted/L1H2.json")
    assert gone.status_code == 404
    assert "not computed yet" in json.loads(gone.content)["error"]


def test_the_part_of_the_neuron_page_is_drawn_with_what_it_says(model: LanguageModel) -> None:
    own = neuron_on_text(model, build_prompt(model).hash, Component(1, neuron=5))
    assert own
    drawn = render_to_string("pages/_own_text_neuron.html", {"own": own})
    assert inline_parts(drawn.encode()) == []
    tokens = re.findall(r'<button type="button" class="t (\S+?)( extreme)?" title="([^"]+)" tabindex="(\S+)">', drawn)
    steps = neuron_steps(model, 1)[5].astype(float)
    largest = np.abs(steps).max()
    for position, (step, (shade, frame, title, stop)) in enumerate(zip(steps, tokens, strict=True)):
        level = round(20 * float(np.sqrt(abs(step) / largest)))
        assert shade == ("unknown" if position == 0 else f"{'m' if step < 0 and level else 'a'}{level}")
        figure = "not kept" if position == 0 else shown(step * 0.02)
        assert title == f"{figure} at position {position}"
        assert bool(frame) == (position in (1 + np.argmax(steps[1:]), 1 + np.argmin(steps[1:])))
        assert stop == ("0" if frame and " extreme" not in "".join(each[1] for each in tokens[:position]) else "-1")
    assert own.url in drawn
    assert '<span class="said mono" role="status"></span>' in drawn


def shown(value: float) -> str:
    """A number as pages write it."""
    sign = "-" if value < 0 else ""
    return "0" if value == 0 else f"{sign}{abs(value):.2f}".replace("0.", ".", 1)


def test_a_neurons_activations_on_the_text_are_read_with_their_scale(model: LanguageModel) -> None:
    prompt = build_prompt(model)
    found = neuron_on_text(model, prompt.hash[:8], Component(1, neuron=5))
    assert found
    steps = neuron_steps(model, 1)[5].astype(float)
    assert np.isnan(found.values[0])
    assert found.values[1:].tolist() == pytest.approx((steps[1:] * 0.02).tolist(), abs=1e-5)
    assert found.largest == pytest.approx(np.abs(steps).max() * 0.02, abs=1e-5)
    assert f"highest on “{TOKENS[int(np.argmax(steps[1:])) + 1].strip() or '↵'}”" in found.summary
    assert neuron_on_text(model, "nonsense", Component(1, neuron=5)) is None


@pytest.mark.parametrize("path", ["/m/tiny/text/", "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6", "/m/tiny/text.json"])
def test_more_layers_and_texts_mean_no_more_queries(
    client: Client, db: None, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_measured_model("small")
    model = build_measured_model("tiny", n_layers=12)
    for n in range(3):
        build_prompt(model, f"text {n}")
    with django_assert_num_queries(6, exact=False) as small:
        client.get(path.replace("tiny", "small"))
    with django_assert_num_queries(len(small.captured_queries)):
        client.get(path)


def test_the_pages_of_a_text_ask_little(
    client: Client, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    prompt = build_prompt(model)
    with django_assert_num_queries(7, exact=False):
        client.get(f"/m/tiny/text/{prompt.hash}/?q=5&k=2")
    assert prompt.kind == JobKind.PROMPT.value
