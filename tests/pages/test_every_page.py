from __future__ import annotations

import html.parser

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.components.models import LanguageModel
from wiki.experiments.models import Job

from .building import build_measured_model, build_model, build_survey

PAGES = [
    "/",
    "/m/tiny/",
    "/m/tiny/?metric=entropy&top=all&end=lowest&x=entropy&y=ov_copying",
    "/m/tiny/L1/",
    "/m/tiny/L1/?sort=mean&order=up&where=share_active&min=.2&x=mean&y=maximum&text=repeated-random.0",
    "/m/tiny/L1N5/",
    "/m/tiny/L1N5/?examples=bottom",
    "/m/tiny/L1H2/",
    "/m/tiny/L1H2/?text=repeated-random.0&q=3&sink=hidden",
    "/m/tiny/text/kept/bundled-texts.0/",
    "/m/tiny/text/kept/bundled-texts.0/?q=8&k=6",
    "/m/tiny/L1H2/?view=row&examples=60",
    "/m/tiny/L1KV1/",
    "/w/replications/",
    "/m/tiny/progress/",
    "/progress/",
]
# Five for what a page shows, two for the version under which it is kept, and five for what people say of it.
N_QUERIES = 12


class InlineParts(html.parser.HTMLParser):
    """Collects what a strict Content-Security-Policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        inline = [name for name in names if name == "style" or name.startswith("on")]
        is_data = names.get("type") == "application/json"
        if tag == "style" or inline or (tag == "script" and not names.get("src") and not is_data):
            self.found.append(f"{tag} {inline}")


def inline_parts(content: bytes) -> list[str]:
    parser = InlineParts()
    parser.feed(content.decode())
    return parser.found


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_inline_style_or_script_and_a_strict_policy(
    client: Client, model: LanguageModel, path: str
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert inline_parts(response.content) == []
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy


@pytest.mark.parametrize("path", PAGES)
def test_page_of_an_unmeasured_model_has_no_inline_style_or_script(client: Client, db: None, path: str) -> None:
    build_survey(build_model(), "sotu")
    response = client.get(path)
    names_a_text = "/kept/" in path or "text=" in path
    assert response.status_code == (404 if names_a_text else 200)
    assert inline_parts(response.content) == []


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        "/index.json",
        "/m/tiny.json",
        "/m/tiny/scatter.json",
        "/m/tiny/L1.json",
        "/m/tiny/L1N5.json",
        "/m/tiny/L1H2.json",
    ],
)
def test_more_layers_mean_no_more_queries(
    client: Client, db: None, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_measured_model("small")
    build_measured_model("tiny", n_layers=12)
    with django_assert_num_queries(N_QUERIES, exact=False) as small:
        client.get(path.replace("tiny", "small"))
    with django_assert_num_queries(len(small.captured_queries)):
        client.get(path)


def test_more_models_mean_no_more_queries_at_home(
    client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_measured_model("one")
    with django_assert_num_queries(5):
        client.get("/")
    build_measured_model("two")
    with django_assert_num_queries(5):
        client.get("/")


@pytest.mark.parametrize("path", PAGES)
def test_pages_refuse_to_be_written_to(client: Client, model: LanguageModel, path: str) -> None:
    assert client.post(path).status_code == 405
    response = Client(enforce_csrf_checks=True).post(path)
    assert response.status_code == 403
    assert "expected one from this site, got one without its token" in response.content.decode()
    assert inline_parts(response.content) == []


@pytest.mark.parametrize("path", PAGES)
def test_pages_of_finished_surveys_read_no_jobs(
    client: Client, model: LanguageModel, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Job.objects.bulk_create(
        Job(survey=survey, kind="survey-shard", shard=shard, state=Job.State.DONE)
        for survey in model.surveys.all()
        for shard in range(50)
    )
    with django_assert_num_queries(N_QUERIES, exact=False) as queries:
        client.get(path)
    rows = 'finished_at" IS NULL'
    assert all(rows in query["sql"] for query in queries.captured_queries if 'FROM "experiments_job"' in query["sql"])
