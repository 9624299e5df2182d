"""The preview, and what a link may name while it is typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.markdown.vectors import assert_allowed, xss_vectors
from tests.pages.building import build_model
from wiki.accounts.forms import username_validators
from wiki.accounts.models import Role, User
from wiki.components.completing import components_like
from wiki.components.models import LanguageModel
from wiki.lib.prefix import begins_with
from wiki.markdown import Kind as LinkKind
from wiki.markdown import links_of
from wiki.texts.models import Alias, Kind, Page, Visibility
from wiki.texts.views.editing_aids import PREVIEWS_A_MINUTE
from wiki.texts.writing import create_page, rename_article

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _alone(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.ROOT_URLCONF = "tests.texts.editing_site"
    cache.clear()


@pytest.fixture
def writing(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def previewed(client: Client, text: str, **asked: str) -> str:
    response = client.post("/write/preview/", {"text": text}, query_params=asked, headers={"X-Fragment": "preview"})
    assert response.status_code == 200
    return response.content.decode()


def completed(client: Client, typed: str, kind: str = "link", model: str = "") -> list[str]:
    response = client.get("/complete/", {"q": typed, "kind": kind, "model": model})
    assert response.status_code == 200
    return [item["insert"] for item in response.json()["items"]]


def test_a_preview_is_the_text_as_it_would_be_shown(writing: Client, gpt2: LanguageModel) -> None:
    html = previewed(writing, "[[L5H1]] and L5H2 and $x$", model="gpt2")
    assert '<a class="wikilink" href="/m/gpt2/L5H1/">L5H1</a>' in html
    assert 'data-component="L5H2" data-start="13" data-end="17"' in html
    assert '<span class="math inline">x</span>' in html
    assert "<html" not in html
    assert "L5H2</span>" not in previewed(writing, "L5H2"), "without a model it names nothing"


def test_without_scripts_a_preview_is_a_page(writing: Client) -> None:
    response = writing.post("/write/preview/", {"text": "*seen*"})
    assert "<em>seen</em>" in response.content.decode()
    assert "<h1>Preview</h1>" in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_nothing_is_kept_of_a_preview(writing: Client) -> None:
    previewed(writing, "[[somewhere]]")
    assert not Page.objects.exists()


def test_only_who_writes_is_shown_a_preview(client: Client, alice: User, db: None) -> None:
    assert client.post("/write/preview/", {"text": "a"}).status_code == 403
    client.force_login(User.objects.create_user("rita", role=Role.READER))
    assert client.post("/write/preview/", {"text": "a"}).status_code == 403
    client.force_login(alice)
    assert client.get("/write/preview/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post("/write/preview/", {"text": "a"}).status_code == 403


def test_a_text_that_cannot_be_read_says_why(writing: Client) -> None:
    response = writing.post("/write/preview/", {"text": "> " * 30 + "a"}, headers={"X-Fragment": "preview"})
    assert response.status_code == 400
    assert "expected quotes and lists at most" in response.content.decode()


def test_previews_are_throttled_by_person(writing: Client, bob: User) -> None:
    for _ in range(PREVIEWS_A_MINUTE):
        writing.post("/write/preview/", {"text": "a"}, headers={"X-Fragment": "preview"})
    refused = writing.post("/write/preview/", {"text": "a"}, headers={"X-Fragment": "preview"})
    if refused.status_code == 200:  # a minute ended meanwhile
        pytest.skip("a minute ended while this test ran")
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert "expected at most 60 previews a minute; wait " in refused.content.decode()
    writing.force_login(bob)
    previewed(writing, "a")


def test_no_vector_leaves_what_is_allowed_in_a_preview(writing: Client, gpt2: LanguageModel) -> None:
    text = "\n\n".join(xss_vectors())
    html = previewed(writing, text, model="gpt2")
    assert_allowed(html.replace(' class="text"', ""))
    assert_allowed(previewed(writing, "[[L5H1]]", model='"><script>').replace(' class="text"', ""))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("L5H1", ["L5H1", "L5H10", "L5H11"]),
        ("5.1", ["L5H1", "L5H10", "L5H11"]),
        ("a5.h1", ["L5H1", "L5H10", "L5H11"]),
        ("blocks.5.attn.hook_z[1]", ["L5H1"]),
        ("l5h", [f"L5H{head}" for head in range(10)]),
        ("L1", ["L1", "L10", "L11", *(f"L1H{head}" for head in range(7))]),
        ("L0H0", ["L0H0"]),
        ("L3N30", ["L3N30", *(f"L3N{number}" for number in range(300, 309))]),
        ("m3.n3071", ["L3N3071"]),
        ("L5K", [f"L5KV{head}" for head in range(10)]),
        ("L12", []),
        ("L5H12", []),
        ("5", []),
        ("", []),
        ("x", []),
    ],
)
def test_components_are_completed_in_any_notation(gpt2: LanguageModel, typed: str, expected: list[str]) -> None:
    assert [str(component) for component in components_like(typed, gpt2.sizes, limit=10)] == expected


def test_links_complete_components_models_and_articles(client: Client, alice: User, gpt2: LanguageModel) -> None:
    build_model("gpt2-tiny")
    build_model("other")
    create_page(alice, Kind.ARTICLE, "a", title="Induction heads")
    create_page(alice, Kind.ARTICLE, "a", title="Gpt2 reads, writes")
    assert completed(client, "2.0", model="gpt2") == ["L2H0", "gpt2-tiny/L2H0", "other/L2H0"]
    assert completed(client, "L2H3") == ["gpt2/L2H3", "gpt2-tiny/L2H3", "other/L2H3"]
    assert completed(client, "gpt2/L11H1") == ["gpt2/L11H1", "gpt2/L11H10", "gpt2/L11H11"]
    assert completed(client, "gpt2/") == ["gpt2", "gpt2-tiny"]
    assert completed(client, "gpt") == ["gpt2", "gpt2-tiny", "Gpt2 reads, writes"]
    assert completed(client, "Induction H") == ["Induction heads"]
    assert completed(client, "INDUCTION") == ["Induction heads"]
    assert completed(client, "heads") == []
    assert completed(client, "ind", kind="embed") == []
    assert completed(client, "gpt2-tiny/L1H2?metric=ent", kind="embed") == [
        "gpt2-tiny/L1H2?metric=entropy",
        "gpt2-tiny/L1H2?metric=entropy_off_sink",
    ]


def test_an_earlier_title_completes_to_the_one_of_now(client: Client, alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "a", title="Duplicate heads")
    rename_article(page, alice, "Copies")
    assert completed(client, "dup") == completed(client, "cop") == ["Copies"]
    create_page(alice, Kind.ARTICLE, "a", title="Copycats")
    assert completed(client, "cop") == ["Copies", "Copycats"]


def test_what_is_hidden_completes_for_nobody_else(client: Client, alice: User, bob: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "a", title="Secret heads")
    Page.objects.filter(pk=page.pk).update(visibility=Visibility.HIDDEN)
    assert completed(client, "sec") == []
    client.force_login(bob)
    assert completed(client, "sec") == []
    client.force_login(alice)
    assert completed(client, "sec") == ["Secret heads"]


def test_people_complete_by_the_beginning_of_their_name(client: Client, alice: User, bob: User) -> None:
    User.objects.create_user("alan", is_active=False)
    User.objects.create_user("al_bert")
    assert completed(client, "al", kind="person") == ["al_bert", "alice"]
    assert completed(client, "al_", kind="person") == ["al_bert"]
    assert completed(client, "%", kind="person") == []


@pytest.mark.parametrize("typed", ["a" * 101, "a\0b", "a\nb", "%", "_", "\\", "[[", "']--", "\U0010ffff", "é" * 100])
@pytest.mark.parametrize("kind", ["link", "embed", "person"])
def test_whatever_is_typed_is_answered(client: Client, gpt2: LanguageModel, typed: str, kind: str) -> None:
    assert completed(client, typed, kind, model="gpt2") == []
    assert completed(client, "zzz", kind, model=typed) == []


def test_an_unknown_kind_is_refused_with_a_sentence(client: Client, db: None) -> None:
    response = client.get("/complete/", {"q": "a", "kind": "tag"})
    assert response.status_code == 400
    assert response.json() == {"error": "Completing what is typed: expected kind=link, embed, person, got “tag”."}


@pytest.mark.parametrize("n", [1, 15])
def test_more_rows_ask_no_more_queries(
    client: Client, alice: User, n: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for i in range(n):
        build_model(f"l5-{i}")
        create_page(alice, Kind.ARTICLE, "a", title=f"L5 {i}")
        User.objects.create_user(f"l5{i}")
    with django_assert_max_num_queries(5):
        assert completed(client, "L5", model="l5-0")
    with django_assert_max_num_queries(1):
        assert len(completed(client, "l5", kind="person")) == min(n, 10)


@pytest.mark.parametrize("field", ["username", "key"])
def test_beginnings_are_looked_up_in_an_index(alice: User, field: str) -> None:
    User.objects.bulk_create(User(username=f"u{i}") for i in range(2000))
    page = create_page(alice, Kind.ARTICLE, "a", title="Aa")
    Alias.objects.bulk_create(Alias(page=page, key=f"a{i}") for i in range(2000))
    objects = User.objects if field == "username" else Alias.objects
    with connection.cursor() as cursor:  # what there is to choose from decides how a planner goes about it
        cursor.execute(f"ANALYZE {objects.model._meta.db_table}")
    plan = objects.filter(begins_with(field, "a17" if field == "key" else "u17")).order_by().values(field).explain()
    if connection.vendor == "postgresql":
        assert "Index Cond" in plan
        assert "~>=~" in plan, "the index that knows beginnings"
    else:
        assert "SEARCH" in plan
        assert ">? AND" in plan


NAMES = ["ab", "Alice", "a-b", "a_b", "a--b__c", "0a", "a0", "9" * 150, "a" + "_-" * 74 + "b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text", ["@{}", "by @{}.", "(@{})", "@{}, and", "**@{}**", "_@{}_", "@{}’s", "|@{}|\n|-|", "@{}:"]
)
def test_every_name_that_accounts_allow_can_be_mentioned(name: str, text: str) -> None:
    for validate in username_validators:
        validate(name)
    (link,) = links_of(text.format(name))
    assert (link.kind, link.target) == (LinkKind.MENTION, name)


def test_what_can_be_written_is_said_on_a_page(client: Client, db: None) -> None:
    page = client.get("/help/writing/")
    assert page.status_code == 200
    for words in ("Writing texts", "![[gpt2/L5H1?metric=induction]]", "circuit"):
        assert words in page.text
    assert 'class="refusal"' not in page.text


def test_the_page_on_writing_is_found_from_articles_and_editors(client: Client, alice: User) -> None:
    assert 'href="/help/writing/"' in client.get("/w/").text
    client.force_login(alice)
    assert 'href="/help/writing/"' in client.get("/write/article/").text
    assert client.get("/help/writing/").text.count("<h1>Writing texts</h1>") == 1


def test_headings_on_writing_follow_that_of_the_page(client: Client, db: None) -> None:
    levels = re.findall(r"<h(\d)", client.get("/help/writing/").text)
    assert levels[:2] == ["1", "2"]
    assert set(levels) == {"1", "2"}
