"""Pages that are kept are the pages that would be made now."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from analysis.schema import DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement, Pin, Survey
from wiki.experiments.results import artifact_path
from wiki.pages import caching

from .building import build_measured_model, build_survey, finish, random_metrics
from .building_texts import build_prompt

PAGES = [
    "/m/tiny/",
    "/m/tiny/?metric=entropy",
    "/m/tiny/L1/",
    "/m/tiny/L1H2/",
    "/m/tiny/L1H2/?text=repeated-random.0&q=3&sink=hidden",
    "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6",
]
KEPT_QUERIES = 3


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"
    cache.clear()


def n_kept() -> int:
    return len(cache._list_cache_files())


@pytest.mark.parametrize("path", PAGES)
def test_a_kept_page_is_the_same_and_asks_little(
    client: Client, model: LanguageModel, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = client.get(path)
    assert made.status_code == 200
    with django_assert_num_queries(KEPT_QUERIES, exact=False):
        kept = client.get(path)
    assert kept.content == made.content
    for name in ("Content-Type", "ETag", "Cache-Control", "Content-Security-Policy"):
        assert kept.headers[name] == made.headers[name], name
    cache.clear()
    assert client.get(path).content == made.content


def test_pages_of_other_addresses_and_models_are_others(client: Client, model: LanguageModel) -> None:
    build_measured_model("other")
    for _ in range(2):
        assert "L1H3" in client.get("/m/tiny/L1H3/").content.decode()
        assert "<h1>L1H2</h1>" in client.get("/m/tiny/L1H2/").content.decode()
        assert "The other model" in client.get("/m/other/").content.decode()
        assert "The tiny model" in client.get("/m/tiny/").content.decode()


def test_who_has_the_page_already_is_told_so(client: Client, model: LanguageModel) -> None:
    tag = client.get("/m/tiny/L1H2/").headers["ETag"]
    for _ in range(2):
        answer = client.get("/m/tiny/L1H2/", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
    assert client.get("/m/tiny/L1H3/", headers={"If-None-Match": tag}).status_code == 200


def test_a_newly_pinned_survey_shows_at_once(client: Client, model: LanguageModel) -> None:
    before = client.get("/m/tiny/L1H2/")
    old = Survey.objects.get(dataset="sotu")
    Pin.objects.filter(dataset="sotu").delete()
    spec = dataclasses.replace(old.parsed_spec, rows=6)
    newer = Survey.objects.create(hash=spec.hash, model=model, dataset="sotu", spec=spec.to_json())
    finish(newer, metrics=random_metrics(model, DatasetKind.NATURAL, seed=77))
    Pin.objects.create(model=model, dataset="sotu", survey=newer)
    after = client.get("/m/tiny/L1H2/", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.content != before.content
    assert newer.hash[:8] in after.content.decode()
    assert old.hash[:8] not in after.content.decode()


def test_a_survey_measured_anew_shows_at_once(client: Client, model: LanguageModel) -> None:
    client.get("/m/tiny/")
    Survey.objects.filter(dataset="sotu").update(finished_at=None)
    assert "hx-get" in client.get("/m/tiny/").content.decode()
    Survey.objects.filter(dataset="sotu").update(finished_at=timezone.now() + timedelta(seconds=1))
    client.get("/m/tiny/")
    assert n_kept() == 2


def test_pages_are_not_kept_while_anything_is_under_way(client: Client, model: LanguageModel) -> None:
    build_survey(model, "another")
    for path in PAGES:
        client.get(path)
    assert n_kept() == 0
    Pin.objects.filter(dataset="another").delete()
    Measurement.objects.filter(kind="weights").update(finished_at=None)
    Job.objects.create(measurement=Measurement.objects.get(kind="weights"), kind="weights", state=Job.State.RUNNING)
    client.get("/m/tiny/")
    assert n_kept() == 0
    Measurement.objects.filter(kind="weights").update(finished_at=timezone.now())
    client.get("/m/tiny/")
    assert n_kept() == 1


def test_a_text_that_is_measured_meanwhile_shows_at_once(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model, state="queued")
    path = f"/m/tiny/L1H2/?text={prompt.hash[:12]}&q=2"
    for _ in range(2):
        assert "The link names the text" in client.get(path).content.decode()
    assert n_kept() == 0
    Measurement.objects.filter(kind="prompt").delete()
    build_prompt(model)
    assert "Locked:" in client.get(path).content.decode()
    assert n_kept() == 1
    assert "Locked:" in client.get(path).content.decode()


def test_a_text_without_a_row_is_not_shown_from_the_cache(client: Client, model: LanguageModel) -> None:
    prompt = build_prompt(model)
    path = f"/m/tiny/text/{prompt.hash}/?q=5&k=2"
    assert client.get(path).content == client.get(path).content
    assert n_kept() == 1
    Measurement.objects.filter(kind__in=("prompt", "promoted")).delete()
    assert client.get(path).status_code == 404


def test_the_kept_page_of_a_text_asks_little(
    client: Client, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    path = f"/m/tiny/text/{build_prompt(model).hash}/?q=5&k=2"
    client.get(path)
    with django_assert_num_queries(4, exact=False):  # one more: what follows from the text
        client.get(path)


def test_a_page_that_found_damage_is_not_kept(client: Client, model: LanguageModel) -> None:
    damaged = artifact_path(Survey.objects.get(dataset="sotu")) / "summary.safetensors"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1] + b"\xff")
    assert "lost or damaged" in client.get("/m/tiny/L1H2/").content.decode()
    assert n_kept() == 0
    damaged.write_bytes(good)
    assert "lost or damaged" not in client.get("/m/tiny/L1H2/").content.decode()
    assert n_kept() == 1


def test_answers_for_one_reader_or_of_other_surveys_are_not_kept(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="sotu")
    client.get(f"/m/tiny/L1H2/?survey={survey.hash[:8]}")
    client.get("/m/tiny/L9H9/")
    client.get("/m/tiny/text/")
    client.get("/m/nowhere/")
    client.get("/m/tiny/?" + "x" * 201)
    client.cookies["sessionid"] = "somebody"
    client.get("/m/tiny/L1H2/")
    assert n_kept() == 0


@pytest.mark.parametrize(
    "path", ["/m/tiny/", "/m/tiny/L1/", "/m/tiny/L1N5/", "/m/tiny/L1H2/", "/m/tiny/text/kept/bundled-texts.0/"]
)
def test_queries_that_a_page_does_not_know_are_not_kept(client: Client, model: LanguageModel, path: str) -> None:
    for n in range(3):
        assert client.get(f"{path}?from={n}").status_code == 200
    client.get(f"{path}?x=entropy&x=entropy&q=1&q=1")
    assert n_kept() == 0
    client.get(path)
    assert n_kept() == 1


@pytest.mark.parametrize(
    "path",
    [
        *PAGES[1:],
        "/m/tiny/?top=all&end=lowest&x=entropy&y=ov_copying",
        "/m/tiny/L1/?text=repeated-random.0&sort=mean&order=up&where=mean&min=0&max=1&x=mean&y=maximum&page=1",
        "/m/tiny/L1N5/?examples=bottom",
        "/m/tiny/L1H2/?view=row&examples=60&example=3",
        "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6&all=1",
    ],
)
def test_every_view_that_pages_link_to_is_kept(client: Client, model: LanguageModel, path: str) -> None:
    client.get(path)
    assert n_kept() == 1


def test_other_code_makes_other_pages(client: Client, model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get("/m/tiny/")
    monkeypatch.setattr(caching, "code_fingerprint", lambda: "other code")
    client.get("/m/tiny/")
    assert n_kept() == 2
