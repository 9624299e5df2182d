"""Home says what is so: while nothing, something and everything of a model is measured."""

from __future__ import annotations

import re
from datetime import timedelta

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from analysis.schema import DatasetKind
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Survey
from wiki.experiments.results import artifact_path
from wiki.texts.models import Kind
from wiki.texts.moderation import hide, tag_page
from wiki.texts.writing import create_page

from .building import build_measured_model, build_model, build_survey, finish, random_metrics


def page(client: Client, path: str = "/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def build_half_measured_model(slug: str = "tiny") -> LanguageModel:
    """A model of whose three surveys one is finished, one waits and one has measured 3 of 8 rows."""
    model = build_model(slug)
    finish(build_survey(model, "bundled-texts"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    waiting, running = build_survey(model, "repeated-random"), build_survey(model, "sotu")
    soon = timezone.now() + timedelta(seconds=30)
    Job.objects.create(survey=waiting, kind="survey-shard", shard=0)
    Job.objects.create(
        survey=running, kind="survey-shard", shard=0, state=Job.State.RUNNING, rows_done=3, lease_until=soon
    )
    return model


def test_a_model_that_is_being_measured_says_how_far(client: Client, db: None) -> None:
    build_half_measured_model()
    content = page(client)
    assert '<a href="/m/tiny/">The tiny model</a>: 1 of 3 surveys finished' in content
    assert '<progress value="3" max="8" aria-label="Survey of sotu">3 of 8 rows</progress>' in content
    assert "sotu: 3 of 8 rows measured." in content
    assert "repeated-random: waiting for its turn." in content
    assert "bundled-texts: all" not in content
    assert "Heads to begin with are named when the surveys of repeated-random and sotu are finished." in content
    assert "can be read" not in content
    unfinished = client.get("/index.json").json()["models"][0]["surveys"]["unfinished"]
    assert [(each["dataset"], each["rows_done"], each["rows"]) for each in unfinished] == [
        ("repeated-random", 0, 8),
        ("sotu", 3, 8),
    ]


def test_progress_at_home_moves_without_reload_and_says_what_has_landed(client: Client, db: None) -> None:
    model = build_half_measured_model()
    assert 'hx-get="/progress/?seen=1" hx-trigger="every 1s"' in page(client)
    assert "vendor/htmx" in page(client)
    Job.objects.filter(state=Job.State.RUNNING).update(rows_done=5)
    response = client.get("/progress/?seen=1")
    assert "sotu: 5 of 8 rows measured." in response.content.decode()
    assert "<html" not in response.content.decode()
    assert response.headers["Cache-Control"] == "no-store"
    assert "HX-Trigger" not in response.headers
    finish(Survey.objects.get(dataset="sotu"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    landed = client.get("/progress/?seen=1")
    assert landed.headers["HX-Trigger"] == "landed"
    assert "New figures have landed" in landed.content.decode()
    finish(Survey.objects.get(dataset="repeated-random"), metrics=random_metrics(model, DatasetKind.REPEATED, seed=0))
    assert "hx-get" not in client.get("/progress/?seen=2").content.decode()


def test_home_stops_asking_where_nothing_can_change(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "sotu")
    Job.objects.create(survey=survey, kind="survey-shard", shard=0, state=Job.State.FAILED, error="The disk is full.")
    content = page(client)
    assert "The disk is full." in content
    assert "No head to begin with: measuring sotu failed." in content
    assert "hx-get" not in content
    assert "vendor/htmx" not in content


def test_home_of_finished_surveys_shows_no_progress(client: Client, model: LanguageModel) -> None:
    content = page(client)
    assert "<progress" not in content
    assert "hx-get" not in content
    assert client.get("/index.json").json()["models"][0]["surveys"]["unfinished"] == []


def test_why_no_head_is_named_is_said(client: Client, model: LanguageModel) -> None:
    for survey in Survey.objects.all():
        (artifact_path(survey) / "manifest.json").unlink()
    assert "its surveys are lost or damaged; they are measured anew at the next start of Loupe" in page(client)
    build_model("bare")
    assert "None of its heads has been surveyed." in page(client)


def test_home_counts_all_parts_of_all_models(client: Client, db: None) -> None:
    assert "Here are" not in page(client)
    build_model("one")
    assert "every model, layer, attention head and neuron has a page" in page(client)
    assert "Here are 3 layers, 12 heads and 48 neurons of 1 model." in page(client)
    build_model("two", n_layers=100)
    assert "Here are 103 layers, 412 heads and 1,648 neurons of 2 models." in page(client)


def test_more_models_being_measured_mean_no_more_queries(
    client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_half_measured_model("one")
    for path in ("/", "/progress/?seen=1", "/index.json"):
        with django_assert_num_queries(7 if path == "/" else 5):
            client.get(path)
    build_half_measured_model("two")
    build_measured_model("three")
    for path in ("/", "/progress/?seen=1", "/index.json"):
        with django_assert_num_queries(7 if path == "/" else 5):
            client.get(path)


def test_home_begins_with_guides_and_shows_what_was_written_last(client: Client, db: None) -> None:
    assert "New here?" not in page(client)
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    guide = create_page(alice, Kind.ARTICLE, "Words.", title="How to read")
    tag_page(guide, alice, ["guide"])
    hidden = create_page(alice, Kind.ARTICLE, "Words.", title="An insult")
    hide(hidden, User.objects.create_user("moderator", role=Role.MODERATOR), reason="An insult")
    content = page(client)
    assert 'New here? Begin with <a href="/w/how-to-read/">How to read</a>.' in content
    assert content.count("How to read") == 2
    assert "An insult" not in content


def test_a_profile_shows_what_was_written_last(client: Client, db: None) -> None:
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    create_page(alice, Kind.ARTICLE, "Words.", title="How to read")
    assert '<a href="/w/how-to-read/">How to read</a>' in page(client, "/people/alice/")
