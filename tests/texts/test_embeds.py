"""Embeds in texts, filled in with what was measured."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from analysis.store import open_artifact
from tests.markdown.vectors import assert_allowed, elements, xss_vectors
from tests.pages.building import build_measured_model, build_model, build_survey
from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.experiments.results import artifact_path
from wiki.texts.embeds import MAX_FIGURES
from wiki.texts.rendering import render_text

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def model(db: None) -> LanguageModel:
    return build_measured_model()


def html(text: str) -> str:
    return render_text(text, user=AnonymousUser(), prefix="text").html.strip()


def plain(text: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html(text)))


def test_a_number_of_a_head_is_what_the_survey_says(model: LanguageModel) -> None:
    survey = model.surveys.get(dataset="repeated-random")
    values = open_artifact(artifact_path(survey)).read("head.induction_repeated", file="summary")
    rank = 1 + int((values > values[1, 2]).sum())
    ending = {1: "st", 2: "nd", 3: "rd"}.get(rank, "th")
    expected = f"{values[1, 2]:.2f}".removeprefix("0")
    text = "It gives ![[tiny/L1H2?metric=induction_repeated]]."
    assert plain(text) == f"It gives {expected} ± .01 · {rank}{ending} of 12."
    (link,) = (element for element in elements(html(text)) if element.tag.endswith("}a"))
    assert link.attrib["href"] == "/m/tiny/L1H2/"
    assert f"1,000 queries of repeated-random, survey {survey.hash[:8]}." in link.attrib["title"]
    assert link.attrib["title"].startswith("Induction (repeated) of L1H2, tiny. Mean of A[q,q−49]")


def test_numbers_of_neurons_layers_and_weights_are_there_too(model: LanguageModel) -> None:
    assert re.fullmatch(r"[−-]?[\d.]+ ± [\d.]+ · \d+(st|nd|rd|th) of 48", plain("![[tiny/L1N5?metric=mean]]"))
    assert re.fullmatch(r"[\d.]+ ± [\d.]+ · \d+(st|nd|rd|th) of 3", plain("![[tiny/L1?metric=residual_norm]]"))
    assert re.fullmatch(r"-?\.\d+ · \d+(st|nd|rd|th) of 12", plain("![[tiny/L1H2?metric=ov_copying]]"))
    weights = model.measurements.get().hash
    assert f"Read from the weights, {weights[:8]}." in html("![[tiny/L1H2?metric=ov_copying]]")


@pytest.mark.parametrize(
    ("embed", "sentence"),
    [
        ("tiny/L1H2?metric=fame", "expected a metric among induction_repeated, induction, "),
        ("tiny/L1KV0?metric=entropy", "expected a metric among none, got “entropy”."),
        ("tiny/L1H2?figure=portrait", "expected one of composition, examples, histogram, mass, metrics, pattern."),
        ("tiny/L1KV0", "expected one of none."),
        ("tiny/L1H2?text=sotu.99", "got the text “sotu.99”."),
        ("tiny/L1H2?q=99", "got position “99” of this text."),
        ("tiny/L1H2?survey=0123456789", "expected 8 or more digits of the hash of one, got none that begins so."),
        ("bare/L0H0?metric=entropy", "entropy: not measured yet: the survey of sotu is not finished."),
        ("bare/L0H0", "no attention pattern has been kept yet."),
    ],
)
def test_what_is_not_there_says_so_in_one_sentence(model: LanguageModel, embed: str, sentence: str) -> None:
    build_survey(build_model("bare"), "sotu")
    assert sentence in plain(f"![[{embed}]]")
    assert "<img" not in html(f"![[{embed}]]")


def test_a_pattern_is_a_picture_of_that_very_state(model: LanguageModel, client: Client) -> None:
    text = "![[tiny/L1H2?text=repeated-random.0&q=5|Looks back]]"
    found = {element.tag.rpartition("}")[2]: element for element in elements(html(text))}
    picture, figure = found["img"].attrib, found["figure"].attrib
    assert picture["src"] == "/m/tiny/L1H2/figures/pattern.svg?text=repeated-random.0&q=5"
    assert "Attention pattern of L1H2 on “repeated tokens”, 9 by 9 tokens, row = query" in picture["alt"]
    assert "Framed: “w0”, position 5, attends to" in picture["alt"]
    drawing = client.get(picture["src"])
    assert drawing.status_code == 200
    size = f'width="{picture["width"]}" height="{picture["height"]}"'
    assert size.encode() in drawing.content
    assert b'stroke="#c2410c"' in drawing.content
    assert b'stroke="#c2410c"' not in client.get(picture["src"].removesuffix("&q=5")).content
    survey = model.surveys.get(dataset="repeated-random")
    assert f"survey {survey.hash[:8]} of repeated-random" in plain(text)
    links = [element.attrib["href"] for element in elements(html(text)) if element.tag.endswith("}a")]
    page, svg, csv = links
    assert page == "/m/tiny/L1H2/?text=repeated-random.0&q=5#attends"
    assert (svg, csv) == (picture["src"], picture["src"].replace(".svg", ".csv"))
    assert {client.get(link).status_code for link in links} == {200}
    live = client.get(figure["data-live"]).content.decode()
    assert "<attention-pattern embedded" in live
    assert ' query="5"  locked' in re.sub(r"\s*(query=\"5\")\s*", r" \1  ", live)


@pytest.mark.parametrize(
    ("embed", "figure", "title"),
    [
        ("tiny/L1H2?figure=mass", "/m/tiny/L1H2/figures/mass.svg", "L1H2"),
        ("tiny/L1N5", "/m/tiny/L1N5/figures/examples.svg", "Examples of L1N5"),
        ("tiny/L1N5?figure=histogram", "/m/tiny/L1N5/figures/histogram.svg", "Activation of L1N5"),
        ("tiny/L1", "/m/tiny/L1/figures/patterns.svg", "Attention of all heads of L1"),
        ("tiny?metric=entropy", "/m/tiny/figures/map.svg?metric=entropy", "Every head of tiny by entropy"),
        ("tiny?figure=layers", "/m/tiny/figures/layers.svg", ""),
    ],
)
def test_other_figures_are_pictures_too(
    model: LanguageModel, client: Client, embed: str, figure: str, title: str
) -> None:
    (picture,) = (element.attrib for element in elements(html(f"![[{embed}]]")) if element.tag.endswith("}img"))
    assert picture["src"] == figure
    assert title in picture["alt"]
    assert client.get(figure).status_code == 200


def test_another_survey_is_named_everywhere(model: LanguageModel) -> None:
    survey = model.surveys.get(dataset="sotu").hash[:12]
    number = html(f"![[tiny/L1H2?metric=entropy&survey={survey}]]")
    assert f'href="/m/tiny/L1H2/?survey={survey}"' in number
    assert html(f"![[tiny/L1H2?survey={survey}]]").count(f"survey={survey}") == 5


def test_a_figure_in_a_sentence_is_a_link(model: LanguageModel) -> None:
    assert html("see ![[tiny/L1H2?q=3]]") == '<p>see <a class="embed" href="/m/tiny/L1H2/?q=3">tiny/L1H2</a></p>'


def test_the_first_figures_of_a_text_are_shown_and_the_others_are_links(model: LanguageModel) -> None:
    text = "\n\n".join(f"![[tiny/L{i % 3}H{i % 4}?q={i // 12}]]" for i in range(MAX_FIGURES + 5))
    assert html(text).count("<img") == MAX_FIGURES
    assert html(text).count("<figure") == MAX_FIGURES + 5


@pytest.mark.parametrize("n", [1, 12])
def test_more_embeds_ask_no_more_queries(
    model: LanguageModel, n: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    heads = [f"tiny/L{i % 3}H{i // 3}" for i in range(n)]
    numbers = " ".join(f"![[{head}?metric=entropy]] ![[{head}?metric=fame]]" for head in heads)
    figures = "\n\n".join(f"![[{head}]]\n\n![[{head}?figure=mass]]\n\n![[{head}?survey=01234567]]" for head in heads)
    with django_assert_max_num_queries(10):
        html(f"{numbers}\n\n{figures}")


def test_no_vector_in_the_query_or_caption_of_an_embed_leaves_what_is_allowed(model: LanguageModel) -> None:
    for vector in xss_vectors():
        words = vector.replace("[", "(").replace("]", ")").replace("|", "").replace("\n", " ")[:250]
        for name in ("text", "q", "metric", "figure", "survey", "view"):
            assert_allowed(html(f"![[tiny/L1H2?{name}={words}]]\n\nin ![[tiny/L1H2?{name}={words}|{words}]]"))


@pytest.mark.parametrize("around", ["{}", "It gives {} here."])
@pytest.mark.parametrize(
    ("embed", "sentence"),
    [
        (
            "tiny/L1H2#induction_repeated",
            "expected what of it after “?”, as in ![[tiny/L1H2?metric=induction_repeated]], got “#induction_repeated”.",
        ),
        ("tiny/L1H2?histogram", "as in ![[tiny/L1H2?figure=histogram]], got “histogram”."),
        ("tiny/L1H2?metrik=entropy", "got “metrik”."),
        ("tiny?colour=red", "as in ![[tiny?figure=map]], got “colour”."),
        ("Induction", "Showing “Induction”: expected a model or a part of one that is here, as in ![[gpt2/L5H1]]"),
        ("@alice", "Showing “@alice”: expected a model or a part of one"),
    ],
)
def test_what_cannot_be_shown_says_how_it_is_written(
    model: LanguageModel, alice: User, around: str, embed: str, sentence: str
) -> None:
    text = around.format(f"![[{embed}]]")
    assert sentence in plain(text)
    assert "<img" not in html(text)


def test_a_known_view_in_a_sentence_stays_a_link(model: LanguageModel) -> None:
    assert plain("See ![[tiny/L1H2?text=sotu.0&q=5|this]].") == "See this."
