"""`?survey=` names another survey than the pinned one: all links on the page go on with it."""

from __future__ import annotations

import html.parser
import json
import re
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from analysis.schema import JobKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement, Pin, Survey

from .building import build_measured_model, build_survey, finish, random_pattern

TOKENS = ["<bos>", "One", " of", " these", " is", " one"]

PAGES = [
    "/m/tiny/",
    "/m/tiny/?metric=entropy&top=all&end=lowest&x=entropy&y=ov_copying",
    "/m/tiny/L1/",
    "/m/tiny/L1/?sort=mean&order=up&where=share_active&min=.2&x=mean&y=maximum&text=repeated-random.0",
    "/m/tiny/L1H2/",
    "/m/tiny/L1H2/?text=repeated-random.0&q=3&sink=hidden&view=row&examples=60",
    "/m/tiny/L1KV1/",
    "/m/tiny/L1N5/",
    "/m/tiny/L1N5/?examples=bottom",
]
# Addresses that the pages of a survey lead to: the model, its parts, their figures and data. Texts have their own.
PART = re.compile(r"/m/tiny(/|\.json|/(?!text/)[\w-]+(/.*|\.json)?)")


class Addresses(html.parser.HTMLParser):
    """Collects every address of a page but those of forms."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = ("href", "src", "hx-get", "data-hx-get")
        self.found += [value for name, value in attrs if name in names and value and not value.startswith("#")]


def addresses(client: Client, path: str) -> list[str]:
    """The parts of the model that a page leads to, at whole addresses."""
    response = client.get(path)
    assert response.status_code == 200, path
    parser = Addresses()
    parser.feed(response.content.decode())
    return [found for found in (urljoin(path, each) for each in parser.found) if PART.fullmatch(urlsplit(found).path)]


def named(address: str) -> list[str]:
    return parse_qs(urlsplit(address).query).get("survey", [])


def asked_with(path: str, survey: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}survey={survey}"


@pytest.mark.parametrize("path", PAGES)
def test_every_link_keeps_the_survey_of_the_page_and_names_none_elsewhere(
    client: Client, model: LanguageModel, path: str
) -> None:
    plain = addresses(client, path)
    assert not any(map(named, plain))
    name = Survey.objects.get(dataset="sotu").hash[:9]
    kept = addresses(client, asked_with(path, name))
    assert [address for address in kept if named(address) != [name]] == []
    # the same links, in the same order, to the same parts
    assert [urlsplit(address).path for address in kept] == [urlsplit(address).path for address in plain]
    kinds = {
        "component": r"/m/tiny/L\d+((H|KV|N)\d+)?/",
        "data": r"/m/tiny(/L\d+((H|KV|N)\d+)?)?\.json",
        **({} if "KV" in path else {"figure": r"/m/tiny/(L\d+\w*/)?figures/.*"}),
    }
    for kind, pattern in kinds.items():
        assert any(re.fullmatch(pattern, urlsplit(address).path) for address in kept), kind


def test_every_kind_of_link_is_there_to_be_tested(client: Client, model: LanguageModel) -> None:
    """Compositions, similar heads, examples and nearest neurons: the model has what the pages link by."""
    name = Survey.objects.get(dataset="sotu").hash[:8]
    for path, marks in {
        "/m/tiny/L2H2/": ('rel="next"', 'rel="prev"', "Behaves like", "K-composition"),
        "/m/tiny/L1N5/": ("writes alike, cosine", "data-hx-get"),
        "/m/tiny/": ("<circle", "metric-scatter"),
    }.items():
        content = client.get(asked_with(path, name)).content.decode()
        for mark in marks:
            assert mark in content, (path, mark)


@pytest.mark.parametrize("path", ["/m/tiny/L1H2/", "/m/tiny/L1KV1/"])
def test_heads_that_are_like_it_or_that_it_reads_keep_the_survey(
    client: Client, model: LanguageModel, path: str
) -> None:
    name = Survey.objects.get(dataset="sotu").hash[:8]
    content = client.get(asked_with(path, name)).content.decode()
    together = re.findall(r'<span class="together"><a href="([^"]+)">', content)
    assert together
    assert [named(address) for address in together] == [[name]] * len(together)


def test_points_of_the_scatter_lead_to_heads_of_the_same_survey(client: Client, model: LanguageModel) -> None:
    name = Survey.objects.get(dataset="sotu").hash[:8]
    for query, expected in (("", []), (f"?survey={name}", [name])):
        addresses = json.loads(client.get(f"/m/tiny/scatter.json{query}").content)["data"][0]["customdata"]
        assert len(addresses) == 12
        assert [named(address) for address in addresses] == [expected] * 12


@pytest.mark.parametrize("path", ["/m/tiny/random/", "/m/tiny/random-neuron/"])
def test_a_part_at_random_is_one_of_the_same_survey(client: Client, model: LanguageModel, path: str) -> None:
    assert named(client.get(f"{path}?survey=0123456789").headers["Location"]) == ["0123456789"]
    assert "?" not in client.get(path).headers["Location"]


@pytest.mark.parametrize("path", PAGES)
def test_the_data_of_a_page_are_asked_for_as_the_page_was(client: Client, model: LanguageModel, path: str) -> None:
    twin = f"{path.partition('?')[0].removesuffix('/')}.json"
    (data,) = (address for address in addresses(client, path) if urlsplit(address).path == twin)
    assert parse_qs(urlsplit(data).query) == parse_qs(urlsplit(path).query)
    assert client.get(data).status_code == 200


def test_data_of_a_page_of_neurons_are_of_that_page(client: Client, db: None) -> None:
    build_measured_model()
    path = "/m/tiny/L1/?sort=mean&order=up"
    content = client.get(path).content.decode()
    address = re.search(r'href="(/m/tiny/L1\.json[^"]*)"', content)
    assert address
    rows = re.findall(r">(L1N\d+)</a></th>", content)
    data = client.get(address[1].replace("&amp;", "&")).json()
    assert list(data["neurons"]["neurons"]) == rows
    assert data["neurons"]["sort"] == "mean"


def test_patterns_of_a_text_that_no_pinned_survey_kept_are_shown_wherever_links_lead(
    client: Client, model: LanguageModel
) -> None:
    survey = build_survey(model, "other-texts", pattern_rows=1)
    pattern = random_pattern(model, len(TOKENS), seed=8)
    finish(survey, metrics={}, patterns=[pattern], texts=[{"title": "One", "tokens": TOKENS}])
    Pin.objects.filter(survey=survey).delete()
    path = f"/m/tiny/L1/?text=other-texts.0&survey={survey.hash[:8]}"
    leads = [address for address in addresses(client, path) if "text=other-texts.0" in address]
    parts = {urlsplit(address).path for address in leads}
    assert {"/m/tiny/L1H0/", "/m/tiny/L1/figures/patterns.svg", "/m/tiny/L1/figures/patterns.csv"} <= parts
    for address in leads:
        response = client.get(address)
        assert response.status_code == 200, address
        assert "which is not here" not in response.content.decode(), address


def unfinished(model: LanguageModel) -> Survey:
    """A survey that is not pinned and that nobody has measured yet."""
    survey = build_survey(model, "other")
    Pin.objects.filter(survey=survey).delete()
    Job.objects.create(survey=survey, kind=JobKind.SURVEY_SHARD.value)
    return survey


def poll(client: Client, path: str) -> str:
    address = re.search(r'hx-get="([^"]+)"', client.get(path).content.decode())
    return address[1].replace("&amp;", "&") if address else ""


def test_a_page_of_an_unfinished_survey_waits_for_that_survey(client: Client, model: LanguageModel) -> None:
    survey = unfinished(model)
    path = f"/m/tiny/L1H2/?survey={survey.hash[:8]}"
    address = poll(client, path)
    assert named(address) == [survey.hash[:8]]
    answer = client.get(address)
    assert "HX-Trigger" not in answer.headers, "nothing has landed: the page is not loaded anew"
    assert address.replace("&", "&amp;") in answer.content.decode(), "and goes on asking for the same"
    finish(survey, metrics={})
    assert client.get(address).headers["HX-Trigger"] == "landed"
    assert poll(client, path) == ""


def test_a_page_waits_for_the_weights_while_they_are_read(client: Client, model: LanguageModel) -> None:
    weights = Measurement.objects.get(kind=JobKind.WEIGHTS.value)
    Measurement.objects.filter(pk=weights.pk).update(finished_at=None)
    job = Job.objects.create(measurement=weights, kind=weights.kind, state=Job.State.RUNNING, rows_done=2)
    address = poll(client, "/m/tiny/L1H2/")
    answer = client.get(address)
    assert "HX-Trigger" not in answer.headers
    assert "weights: 2 of 3 layers read." in answer.content.decode()
    Measurement.objects.filter(pk=weights.pk).update(finished_at=timezone.now())
    answer = client.get(address)
    assert answer.headers["HX-Trigger"] == "landed"
    assert "weights: " not in answer.content.decode()
    assert poll(client, "/m/tiny/L1H2/") == ""
    Measurement.objects.filter(pk=weights.pk).update(finished_at=None)
    job.state, job.error = Job.State.FAILED, "It broke."
    job.save()
    assert poll(client, "/m/tiny/L1H2/") == "", "what failed is not waited for"


def test_weights_that_land_while_a_survey_is_under_way_show(client: Client, model: LanguageModel) -> None:
    build_survey(model, "another")
    weights = Measurement.objects.get(kind=JobKind.WEIGHTS.value)
    Measurement.objects.filter(pk=weights.pk).update(finished_at=None)
    Job.objects.create(measurement=weights, kind=weights.kind)
    address = poll(client, "/m/tiny/L1H2/")
    assert "HX-Trigger" not in client.get(address).headers
    Measurement.objects.filter(pk=weights.pk).update(finished_at=timezone.now())
    assert client.get(address).headers["HX-Trigger"] == "landed"
