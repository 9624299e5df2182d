"""What a head page says from a survey in depth and from weights, against the arrays as safetensors read them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html import unescape
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from analysis.store import weights_path
from wiki.components.models import LanguageModel
from wiki.experiments import results
from wiki.experiments.models import Measurement
from wiki.experiments.results import artifact_path

from .building import build_measured_model, build_model, build_survey, finish, random_pattern
from .building_heads import BASELINE, LENGTH, add_outputs, extend, token_text
from .test_every_page import N_QUERIES
from .test_head_page import page, read, survey_of

JSON = "/m/tiny/L1H2.json"
NORM_FOLLOWS = (
    "These lengths are before the norm that in this family follows the sum of all heads: what reaches the residual "
    "stream is scaled by it."
)
FIGURES = ("metrics", "pattern", "mass", "histogram", "examples", "composition")


def data_of(client: Client, path: str = "/m/tiny/L1H2.json") -> dict:  # type: ignore[type-arg]
    return dict(json.loads(client.get(path).content))


def said(response: HttpResponse) -> str:
    """The sentence of a refusal, of a page or of data."""
    return response.json()["error"] if "json" in response["Content-Type"] else unescape(response.content.decode())


def forget() -> None:
    """Read artifacts and pages anew."""
    results._opened.cache_clear()
    cache.clear()


def text_of(html: str) -> str:
    """Without tags, white space in one."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def card(content: str, name: str) -> str:
    return content.split(f'<section class="card" id="{name}">')[1].split("</section>", maxsplit=1)[0]


def test_six_metrics_have_cards_with_their_errors_and_the_others_a_table(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/")
    titles = re.findall(r'<div class="metric"> <h2> <a [^>]*>([^<]*)</a>', content)
    assert titles == [
        "induction (repeated)",
        "induction (text)",
        "previous token",
        "copying (OV)",
        "first token",
        "self",
    ]
    value = read("sotu", "head.induction", file="summary")[1, 2]
    assert f'<p class="value">{short(value)} <span class="error">± .01</span></p>' in content
    assert "uniform attention would give .03" in content
    table = text_of(card(content, "metrics"))
    distance = read("sotu", "head.distance_mean", file="summary")
    assert f"distance , tokens {short(distance[1, 2])} ± .01" in table
    assert f"–{short(distance.max())}" in table


def test_shares_of_attention_are_those_of_the_survey(client: Client, model: LanguageModel) -> None:
    shares = read("sotu", "head.mass", file="summary")[1, 2]
    content = card(page(client, "/m/tiny/L1H2/"), "mass")
    assert re.findall(r'<td class="mono">(\S+) <span class="soft">± (\S+)</span>', content) == [
        (short(share), ".02") for share in shares
    ]
    widths = [float(width) for width in re.findall(r'<rect class="m\d" x="[^"]*" y="0" width="([^"]*)"', content)]
    assert np.allclose(np.array(widths) + 2, 600 * shares, atol=0.06)
    found = data_of(client)["mass"]["shares"]
    assert [share["value"] for share in found.values()] == pytest.approx(list(shares))


@pytest.mark.parametrize(("view", "sink"), [("value", ""), ("value", "hidden"), ("row", ""), ("row", "hidden")])
def test_keys_of_a_value_weighted_view_are_attention_times_length(
    client: Client, model: LanguageModel, view: str, sink: str
) -> None:
    content = page(client, f"/m/tiny/L1H2/?text=bundled-texts.0&q=8&view={view}&sink={sink}")
    weighted = {}
    for dataset, seed in (("bundled-texts", 4), ("repeated-random", 2)):
        pattern = random_pattern(model, 9, seed=seed)[1, 2] / 255
        weighted[dataset] = pattern * read(dataset, "value_norm.0", file="layer-1")[2].astype(float)
    shown = weighted["bundled-texts"].copy()
    if view == "row":
        shown /= shown.sum(1, keepdims=True)
    first = 1 if sink else 0
    order = [int(key) for key in np.argsort(-shown[8]) if shown[8, key] > 0 and key >= first][:6]
    keys = re.findall(r'<td>(\d+)</td> <td class="mono">([^<]+)</td>', content)
    assert [int(key) for key, _ in keys] == order
    assert keys[0][1] == (short(shown[8, order[0]]) if shown[8, order[0]] < 10 else f"{shown[8, order[0]]:.1f}")
    if view == "value":
        ceiling = max(array[:, first:].max() for array in weighted.values())
        assert "the scale is the same on all of them" in content
    else:
        ceiling = shown[:, 1:].max() if sink else 1
        assert "rows cannot be compared with each other" in content
    assert f'ceiling="{ceiling:.6f}"' in content


def test_a_view_that_is_not_there_is_said_to_be_missing(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/?view=nonsense", status=404)
    assert "The link names the view “nonsense”, which is not here" in content
    assert ' view="' not in content.split("<attention-pattern")[1].split(">")[0]


def test_links_of_the_page_keep_what_they_do_not_change(client: Client, model: LanguageModel) -> None:
    state = {"text": "bundled-texts.0", "view": "value", "sink": "hidden", "examples": "60", "q": "5"}
    survey = survey_of("sotu").hash[:12]
    content = client.get("/m/tiny/L1H2/", {**state, "survey": survey}).content.decode()
    links = [unescape(link) for link in re.findall(r'href="(\?[^"]*)"', content)]
    assert len(links) > 15
    for link in links:
        changed = {name for name, value in state.items() if parse_qs(urlsplit(link).query).get(name) != [value]}
        # another text has other positions
        assert len(changed) <= 1 or changed == {"text", "q"}, link
        assert f"survey={survey}" in link


def test_tokens_that_the_output_promotes_are_those_of_the_query(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1H2/?text=bundled-texts.0&q=5")
    tokens = read("bundled-texts", "promoted.0", file="layer-1")[2]
    logits = read("bundled-texts", "promoted_logit.0", file="layer-1")[2]
    listed = text_of(content.split('data-part="promoted">')[1].split("</ol>")[0]).split()
    names = [token_text(token).strip() or "↵" for token in tokens[5]]
    assert listed[::2] == names
    assert [float(logit.replace("−", "-")) for logit in listed[1::2]] == pytest.approx(list(logits[5]), abs=0.0051)
    response = client.get(data_of(client)["patterns"][0]["promoted"])
    assert "immutable" in response.headers["Cache-Control"]
    data = response.json()
    assert data["tokens"] == [[token_text(token) for token in row] for row in tokens]
    assert np.allclose(data["logits"], logits, atol=1e-4)


def test_lengths_of_values_are_float32_at_an_address_that_never_changes(client: Client, model: LanguageModel) -> None:
    response = client.get(data_of(client)["patterns"][0]["value_norms"])
    norms = read("bundled-texts", "value_norm.0", file="layer-1")[2]
    assert np.array_equal(np.frombuffer(response.content, "<f4"), norms)
    assert "immutable" in response.headers["Cache-Control"]


def test_what_was_not_computed_says_so(client: Client, db: None) -> None:
    model = build_model()
    survey = build_survey(model, "bundled-texts", pattern_rows=1)
    texts = [{"title": "T", "tokens": [f" w{i}" for i in range(9)]}]
    finish(survey, metrics={}, patterns=[random_pattern(model, 9, seed=0)], texts=texts)
    content = page(client, "/m/tiny/L1H2/")
    assert "Not computed: this survey kept no outputs of heads." in content
    assert "does not add up" not in content
    for name in ("mass", "examples", "tokens"):
        assert "not measured: no survey of sotu is pinned for this model." in card(content, name)
    assert (
        "Too few figures to compare heads by: expected 5 or more, and none that all heads have are measured." in content
    )
    data = data_of(client)
    assert data["patterns"][0]["promoted"] is None
    for part in (data["mass"], data["examples"], data["histogram"], data["top_tokens"], data["composition"]):
        assert "not measured" in part["absent"]
    for name in ("mass", "histogram", "examples", "composition", "metrics"):
        assert client.get(f"/m/tiny/L1H2/figures/{name}.csv").status_code == 404


def test_token_texts_that_are_missing_are_said_to_be(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "bundled-texts", pattern_rows=1)
    texts = [{"title": "T", "tokens": [f" w{i}" for i in range(9)]}]
    finish(survey, metrics={}, patterns=[random_pattern(survey.model, 9, seed=0)], texts=texts)
    add_outputs(survey)
    assert "the texts of this model’s tokens are missing" in page(client, "/m/tiny/L1H2/")


@pytest.mark.parametrize(("interval", "slots"), [("top", (0, 10)), ("80", (10, 13)), ("20", (19, 22))])
def test_examples_are_those_of_the_interval(
    client: Client, model: LanguageModel, interval: str, slots: tuple[int, int]
) -> None:
    content = card(page(client, f"/m/tiny/L1H2/?examples={interval}"), "examples")
    rows, scores, queries = (
        read("sotu", f"head.example_{name}", file="layer-1")[2, slice(*slots)] for name in ("row", "score", "query")
    )
    there = rows >= 0
    assert 0 < there.sum() < len(rows)
    assert [int(row) for row in re.findall(r'<li id="row-(\d+)">', content)] == rows[there].tolist()
    assert re.findall(r'<strong class="mono">([^<]+)</strong>', content) == [short(score) for score in scores[there]]
    tokens = read("sotu", "tokens", file="rows").reshape(-1, LENGTH)
    framed = [unescape(token) for token in re.findall(r'<span class="shaded a\d+ framed">([^<]*)</span>', content)]
    expected = [token_text(tokens[row, query]) for row, query in zip(rows[there], queries[there], strict=True)]
    assert [token.replace("↵", "\n") for token in framed] == expected
    examples = data_of(client)["examples"]
    assert len(examples) == (read("sotu", "head.example_row", file="layer-1")[2] >= 0).sum()
    assert examples[0]["tokens"] == [token_text(token) for token in tokens[examples[0]["row"]]]


def test_an_example_is_shown_in_full_on_demand_and_can_be_run_as_own_text(client: Client, model: LanguageModel) -> None:
    row = int(read("sotu", "head.example_row", file="layer-1")[2, 10])
    content = card(client.get(f"/m/tiny/L1H2/?examples=80&example={row}").content.decode(), "examples")
    tokens = read("sotu", "tokens", file="rows").reshape(-1, LENGTH)[row]
    item = content.split(f'<li id="row-{row}">')[1].split("</li>")[0]
    shown = [unescape(token).replace("↵", "\n") for token in re.findall(r'class="shaded[^>]*>([^<]*)<', item)]
    assert shown == [token_text(token) for token in tokens]
    link = unescape(re.findall(r'href="(/m/tiny/text/[^"]*)"', item)[0])
    assert parse_qs(urlsplit(link).query)["text"] == ["".join(token_text(token) for token in tokens[1:])]
    assert "the example of row “99”" in client.get("/m/tiny/L1H2/?example=99").content.decode()


def test_histogram_top_tokens_and_what_weights_say_equal_the_arrays(client: Client, model: LanguageModel) -> None:
    data = data_of(client)
    assert data["histogram"] == read("sotu", "head.histogram", file="layer-1")[2].tolist()
    for side in ("query", "key"):
        tokens, means = (read("sotu", f"head.{side}_{name}", file="layer-1")[2] for name in ("tokens", "means"))
        names, values = zip(*data["top_tokens"][side], strict=True)
        assert list(names) == [token_text(token).strip() or "↵" for token in tokens]
        assert list(values) == pytest.approx(means.tolist())
    for i, entry in enumerate(data["ov"]):
        assert entry["own_rank"] == read("weights", "head.ov_own_rank", file="layer-1")[2, i]
        logits = read("weights", "head.ov_logits", file="layer-1")[2, i]
        assert [logit for _, logit in entry["promoted"]] == pytest.approx(logits.tolist())
    scores = read("weights", "head.qk_scores", file="layer-1")[2]
    for i, entry in enumerate(data["qk"]["queries"]):
        for offset, keys in enumerate(entry["keys"]):
            assert [score for _, score in keys] == pytest.approx(scores[offset, i].tolist())
    assert data["qk"]["offsets"] == ["1 position before", "8 positions before"]


def test_compositions_are_those_of_the_weights_beside_the_baseline(client: Client, model: LanguageModel) -> None:
    content = card(page(client, "/m/tiny/L1H2/"), "reads-writes")
    ratios = read("weights", "head.k_composition", file="layer-1")[2, 0]
    heads = read("weights", "head.k_composition_heads", file="layer-1")[2, 0]
    row = content.split("K-composition</th>")[1].split("</tr>")[0]
    expected = [
        (f"L0H{head}", f"{ratio:.3f}".removeprefix("0")) for head, ratio in zip(heads[:4], ratios[:4], strict=True)
    ]
    assert re.findall(r'<a href="/m/tiny/(L0H\d)/">\1</a> <span class="mono">([^<]+)</span>', row) == expected
    assert ".1250 ± .0375" in content
    assert data_of(client)["composition"]["baseline"]["mean"] == BASELINE["mean"]
    assert text_of(card(page(client, "/m/tiny/L0H2/"), "reads-writes")).count("No head comes before this one.") == 3


def test_a_composition_that_the_weights_cannot_say_has_its_reason(client: Client, model: LanguageModel) -> None:
    store = artifact_path(survey_of("sotu")).parent.parent
    path = weights_path(store, Measurement.objects.get(kind="weights").hash)
    extend(path, {}, {"absent": {"q_composition": "Queries are normalised.", "qk_tokens": "Scores are no form."}})
    content = page(client, "/m/tiny/L1H2/")
    assert "Queries are normalised." in card(content, "reads-writes")
    assert "Scores are no form." in card(content, "tokens")


def test_similar_heads_are_the_nearest_in_standardised_figures(client: Client, model: LanguageModel) -> None:
    data = data_of(client)
    columns = []
    for key in data["metrics"]:
        dataset = data["metrics"][key]["dataset"]
        name = f"head.{key}" if dataset else key
        columns.append(read(dataset or "weights", name, file="summary").astype(float).ravel())
    columns += list(read("sotu", "head.mass", file="summary").reshape(12, 6).T)
    distances = []
    for head in range(12):
        terms = [((column[head] - column[6]) / np.std(column)) ** 2 for column in columns]
        distances.append((sum(terms) / len(terms)) ** 0.5)
    order = sorted((head for head in range(12) if head != 6), key=distances.__getitem__)[:5]
    assert data["similar"]["figures"] == len(columns) == 19
    assert data["similar"]["heads"] == [[f"L{i // 4}H{i % 4}", pytest.approx(distances[i])] for i in order]
    assert "A suggestion by statistics" in page(client, "/m/tiny/L1H2/")


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_linked_and_there_as_svg_and_as_csv(client: Client, model: LanguageModel, name: str) -> None:
    content = page(client, "/m/tiny/L1H2/")
    for form in ("svg", "csv"):
        links = re.findall(rf'href="(/m/tiny/L1H2/figures/{name}\.{form}[^"]*)"', content)
        assert links
        body = client.get(unescape(links[0])).content.decode()
        assert "L1H2" in body
        if form == "svg":
            assert ElementTree.fromstring(body).tag.endswith("svg")  # noqa: S314 (our own)
        else:
            rows = list(csv.reader(line for line in body.splitlines(keepends=True) if not line.startswith("# ")))
            assert len(rows) > 5
            assert {len(row) for row in rows} == {len(rows[0])}


def test_the_numbers_of_figures_are_those_of_the_arrays(client: Client, model: LanguageModel) -> None:
    def rows(name: str, query: str = "") -> list[dict[str, str]]:
        lines = client.get(f"/m/tiny/L1H2/figures/{name}.csv{query}").content.decode().splitlines(keepends=True)[2:]
        return list(csv.DictReader(lines))

    shares = read("sotu", "head.mass", file="summary")[1, 2]
    assert [float(row["share"]) for row in rows("mass")] == pytest.approx(list(shares))
    assert [int(row["sequences"]) for row in rows("histogram")] == data_of(client)["histogram"]
    pattern = random_pattern(model, 9, seed=4)[1, 2] / 255
    for row in rows("pattern", "?text=bundled-texts.0"):
        assert float(row["attention"]) == pytest.approx(pattern[int(row["query"]), int(row["key"])], abs=1e-6)
    assert {row["composition"] for row in rows("composition")} == {"Q-composition", "K-composition", "V-composition"}


def test_a_kv_head_says_for_which_key_its_compositions_are(client: Client, model: LanguageModel) -> None:
    content = text_of(page(client, "/m/tiny/L1KV1/"))
    assert content.count("; keys as for a key 1 position before") == 2, "once for each of its heads"
    value = content.split("V-composition:")[1].split("Weights without structure")[0]
    assert "position" not in value, "a value is read alike at every distance"


@pytest.mark.parametrize(
    "query",
    ["text=zzz", "text=0123456789ab", "view=zzz", "text=bundled-texts.0&q=99", "text=bundled-texts.0&q=x"],
)
@pytest.mark.parametrize("path", ["/m/tiny/L1H2/figures/pattern.svg", "/m/tiny/L1H2/figures/pattern.csv", JSON])
def test_what_a_figure_cannot_show_is_refused_and_never_replaced(
    client: Client, model: LanguageModel, path: str, query: str
) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 404
    assert "of L1H2: expected a text, a view and a position that are here, got " in said(response)


@pytest.mark.parametrize("path", ["/m/tiny/L1H2/figures/examples.svg", "/m/tiny/L1H2/figures/examples.csv", JSON])
def test_examples_that_there_are_not_are_refused(client: Client, model: LanguageModel, path: str) -> None:
    response = client.get(f"{path}?examples=zzz")
    assert response.status_code == 404
    assert "expected one of top, 80, 60, 40, 20, got “zzz”" in said(response)


@pytest.mark.parametrize(
    ("path", "query", "got"),
    [
        ("figures/map.csv", "metric=zzz", "“zzz”"),
        ("figures/map.svg", "metric=zzz", "“zzz”"),
        ("figures/finder.csv", "metric=zzz", "“zzz”"),
        ("figures/finder.csv", "top=zzz", "“zzz” heads"),
        ("figures/finder.csv", "end=zzz", "the “zzz”"),
        ("figures/scatter.csv", "x=zzz", "“zzz”"),
        ("figures/scatter.svg", "y=zzz", "“zzz”"),
        ("scatter.json", "x=zzz", "“zzz”"),
        ("L1/figures/neurons.csv", "x=zzz", "the metric “zzz”"),
        ("L1/figures/patterns.csv", "text=zzz", "the text “zzz”"),
    ],
)
def test_a_metric_that_there_is_not_is_refused(
    client: Client, model: LanguageModel, path: str, query: str, got: str
) -> None:
    response = client.get(f"/m/tiny/{path}?{query}")
    assert response.status_code == 404
    assert f"got {got}." in said(response)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/m/tiny.json", "metric=zzz&top=zzz"),
        ("/m/tiny.json", "top=zzz"),
        ("/m/tiny.json", "x=zzz"),
        ("/m/tiny/L1.json", "sort=zzz"),
        ("/m/tiny/L1.json", "text=zzz"),
        ("/m/tiny/L1N5.json", "text=zzz"),
        ("/m/tiny/L1N5.json", "examples=zzz"),
    ],
)
def test_data_of_what_there_is_not_is_refused(client: Client, model: LanguageModel, path: str, query: str) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 404
    assert "zzz" in said(response)
    assert client.get(path).status_code == 200


def test_lengths_in_a_family_where_a_norm_follows_say_so(client: Client, model: LanguageModel) -> None:
    path = "/m/tiny/L1H2/?text=repeated-random.0&view="
    for view in ("", "value", "row"):
        assert NORM_FOLLOWS not in text_of(page(client, path + view))
    extend(artifact_path(survey_of("sotu")), {}, {"absent": {"output_norm": "a norm follows"}})
    forget()
    for view in ("value", "row"):
        assert NORM_FOLLOWS in text_of(page(client, path + view))
        svg = client.get(f"/m/tiny/L1H2/figures/pattern.svg?text=repeated-random.0&view={view}").content.decode()
        assert NORM_FOLLOWS in text_of(svg)
        assert data_of(client, f"{JSON}?view={view}")["shown"]["note"] == NORM_FOLLOWS
    assert NORM_FOLLOWS not in text_of(page(client, path))


def test_what_heads_promote_in_such_a_family_is_not_computed(client: Client, model: LanguageModel) -> None:
    survey = survey_of("repeated-random")
    finish_again = random_pattern(model, 9, seed=2)
    artifact = artifact_path(survey)
    survey.finished_at = None
    shutil.rmtree(artifact)
    texts = [{"title": "repeated tokens", "tokens": [f" w{i}" for i in range(9)]}]
    finish(survey, metrics={}, patterns=[finish_again], texts=texts)
    path = "/m/tiny/L1H2/?text=repeated-random.0"
    assert "Not computed: this survey kept no outputs of heads." in page(client, path)
    extend(artifact_path(survey_of("sotu")), {}, {"absent": {"output_norm": "a norm follows"}})
    forget()
    content = page(client, path)
    assert "in models of the family llama what heads write does not add up to the residual stream" in content
    assert "kept no outputs" not in content


def test_data_and_footers_say_which_reading_of_the_weights_they_show(client: Client, model: LanguageModel) -> None:
    weights = Measurement.objects.get(kind="weights")
    for name in ("L1", "L1H2", "L1N5", "L1KV1"):
        assert data_of(client, f"/m/tiny/{name}.json")["provenance"]["weights"]["weights"] == weights.hash
        footer = page(client, f"/m/tiny/{name}/").split('<footer class="provenance">')[1]
        assert f'read as <span class="mono">{weights.hash[:8]}</span>' in footer
    weights.delete()
    cache.clear()
    for name in ("L1", "L1H2", "L1N5", "L1KV1"):
        assert data_of(client, f"/m/tiny/{name}.json")["provenance"]["weights"]["absent"].startswith("not measured")
        assert "read as" not in page(client, f"/m/tiny/{name}/").split('<footer class="provenance">')[1]


def test_a_kv_head_has_a_page_that_every_spelling_leads_to(client: Client, model: LanguageModel) -> None:
    assert client.get("/jump/", {"q": "l1.kv1", "model": "tiny"}).headers["Location"] == "/m/tiny/L1KV1/"
    assert client.get("/m/tiny/l1kv1/").headers["Location"] == "/m/tiny/L1KV1/"
    content = page(client, "/m/tiny/L1KV1/")
    for head in ("L1H2", "L1H3"):
        assert f'<a href="/m/tiny/{head}/">{head}</a>' in content
    assert "L1H1" not in content
    assert "one W_K and one W_V between them" in content
    data = data_of(client, "/m/tiny/L1KV1.json")
    assert list(data["heads"]) == ["L1H2", "L1H3"]
    assert data["heads"]["L1H2"]["composition"] == data_of(client)["composition"]
    missing = client.get("/m/tiny/L1KV2/")
    assert missing.status_code == 404
    assert "KV heads 0 to 1" in missing.content.decode()


@pytest.mark.parametrize("path", ["/m/tiny/L1H2/?view=value&examples=40", "/m/tiny/L1H2.json", "/m/tiny/L1KV1/"])
def test_more_layers_and_heads_mean_no_more_queries(
    client: Client, db: None, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_measured_model("small")
    build_measured_model("tiny", n_layers=6, n_heads=8)
    with django_assert_num_queries(N_QUERIES, exact=False) as small:
        assert client.get(path.replace("tiny", "small")).status_code == 200
    with django_assert_num_queries(len(small.captured_queries)):
        assert client.get(path).status_code == 200
