from __future__ import annotations

from django.test import Client
from django.utils import timezone

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.results import open_survey

from .building import build_model, build_survey
from .test_every_page import inline_parts


def test_pattern_bytes_are_those_of_the_artifact_and_never_change(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="bundled-texts")
    response = client.get(f"/s/{survey.hash}/patterns/0/L2H1.u8")
    pattern = open_survey(survey).pattern(0, Component(2, head=1))
    assert response.content == pattern.tobytes()
    assert len(response.content) == 81
    assert response.headers["Content-Length"] == "81"
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_pattern_that_is_not_there_is_refused_with_a_sentence(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="bundled-texts")
    for path, sentence in [
        ("patterns/7/L2H1.u8", "it kept 1 rows"),
        ("patterns/0/L9H1.u8", "Looking for L9H1 in tiny"),
    ]:
        response = client.get(f"/s/{survey.hash}/{path}")
        assert response.status_code == 404
        assert sentence in response.content.decode()


def test_unfinished_survey_has_no_patterns_yet(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "bundled-texts", pattern_rows=1)
    response = client.get(f"/s/{survey.hash}/patterns/0/L2H1.u8")
    assert response.status_code == 404
    assert "has no patterns yet: bundled-texts: waiting for its turn." in response.content.decode()


def test_survey_page_and_data_say_what_was_asked_and_how_far_it_is(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="sotu")
    content = client.get(f"/s/{survey.hash}/").content
    assert inline_parts(content) == []
    assert survey.spec["dataset_hash"] in content.decode()
    assert "all 8 rows measured" in content.decode()
    data = client.get(f"/s/{survey.hash}.json").json()
    assert data["spec"] == survey.spec
    assert data["finished"] is True
    assert data["provenance"]["tokens"] == 72


def test_unfinished_survey_has_a_page(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "sotu")
    assert "waiting for its turn" in client.get(f"/s/{survey.hash}/").content.decode()
    assert client.get(f"/s/{survey.hash}.json").json()["finished"] is False


def test_the_page_of_an_unfinished_survey_asks_how_far_it_is_until_it_is_finished(client: Client, db: None) -> None:
    survey = build_survey(build_model(), "sotu")
    url = f"/s/{survey.hash}/progress/"
    assert f'hx-get="{url}"' in client.get(f"/s/{survey.hash}/").content.decode()
    response = client.get(url)
    assert f'hx-get="{url}"' in response.content.decode()
    assert "HX-Trigger" not in response.headers
    Survey.objects.update(finished_at=timezone.now())
    response = client.get(url)
    assert "hx-get" not in response.content.decode()
    assert response.headers["HX-Trigger"] == "landed"
    assert "hx-get" not in client.get(f"/s/{survey.hash}/").content.decode()


def test_the_digits_that_pages_print_lead_to_the_survey(client: Client, model: LanguageModel) -> None:
    survey = Survey.objects.get(dataset="sotu")
    response = client.get(f"/s/{survey.hash[:8]}/")
    assert (response.status_code, response.headers["Location"]) == (302, f"/s/{survey.hash}/")
    response = client.get("/s/00000000/")
    assert response.status_code == 404
    assert "expected the beginning of the hash of one, got none that begins so" in response.text
