"""The small card of a component."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from analysis.store import open_artifact
from tests.markdown.vectors import xss_vectors
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.results import artifact_path
from wiki.markdown import first_sentence
from wiki.pages.cards import Standing, card_of
from wiki.pages.metric_groups import HEAD_METRICS_BY_KEY
from wiki.texts.models import Kind, Page, Visibility
from wiki.texts.writing import create_page, save_revision

from .building import build_model


@pytest.fixture(autouse=True)
def _with_a_form(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.texts.editing_site"


@pytest.fixture
def alice(db: None) -> User:
    cache.clear()
    return User.objects.create_user("alice", role=Role.RESEARCHER)


def said(client: Client, path: str = "/m/tiny/L1H2/card/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", response.content.decode())).strip()


def test_a_card_says_what_it_does_how_it_stands_out_and_how_much_is_written(
    client: Client, model: LanguageModel, alice: User
) -> None:
    create_page(
        alice, Kind.SUMMARY, "**Looks** at ![[L1H2?metric=entropy]] and [[L0H0]]. It also [[rests]].", about="tiny/L1H2"
    )
    create_page(alice, Kind.NOTE, "See [[L1H2]] and [[tiny/L1H2]].", about="tiny/L1H2")
    create_page(alice, Kind.NOTE, "See [[L1H2]].", about="tiny/L0H0")
    values = open_artifact(artifact_path(model.surveys.get(dataset="sotu"))).read("head.entropy", file="summary")
    entropy = f"{values[1, 2]:.2f}".removeprefix("0")
    card = said(client)
    assert card.startswith(f"L1H2 head of The tiny model Looks at {entropy} ± .01 nats ·")
    assert re.search(r"and L0H0\. [A-Z][\w ()]+ [-.\d]+( ± [.\d]+)?( nats| tokens)? · \w+( lowest)? of 12 1 note", card)
    assert card.endswith("1 note · 1 page links here")


def test_cards_of_every_kind_of_component_are_there(client: Client, model: LanguageModel) -> None:
    for path in ("L1", "L1H2", "L1N5", "L1KV0"):
        assert "Nobody has said what this does yet." in said(client, f"/m/tiny/{path}/card/")
        assert "0 notes · 0 pages link here" in said(client, f"/m/tiny/{path}/card/")
    assert client.get("/m/tiny/L9H9/card/").status_code == 404
    assert client.get("/m/none/L1H1/card/").status_code == 404


def test_a_card_of_an_unmeasured_model_says_so(client: Client, db: None) -> None:
    build_model("bare")
    assert "Not measured: no survey of repeated-random is pinned for this model." in said(client, "/m/bare/L1H2/card/")


def test_a_kept_card_changes_with_what_is_said(client: Client, model: LanguageModel, alice: User) -> None:
    assert "Nobody" in said(client)
    page = create_page(alice, Kind.SUMMARY, "It looks back. Far.", about="tiny/L1H2")
    assert "It looks back. " in said(client)
    assert "Far" not in said(client)
    save_revision(page, alice, "It looks ahead.", base_version=1)
    assert "It looks ahead." in said(client)


def test_hidden_and_retracted_texts_are_on_no_card(client: Client, model: LanguageModel, alice: User) -> None:
    page = create_page(alice, Kind.SUMMARY, "It looks [[L1H2|back]].", about="tiny/L1H2")
    Page.objects.filter(pk=page.pk).update(visibility=Visibility.HIDDEN)
    assert "Nobody" in said(client)
    client.force_login(alice)
    assert "It looks back." in said(client)
    Page.objects.filter(pk=page.pk).update(visibility=Visibility.RETRACTED)
    assert "Nobody" in said(client)


@pytest.mark.parametrize("n", [1, 12])
def test_more_texts_ask_no_more_queries(
    model: LanguageModel, alice: User, n: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    embeds = " ".join(f"![[L{i % 3}H{i // 3}?metric=entropy]] [[L{i % 3}]] @alice" for i in range(n))
    create_page(alice, Kind.SUMMARY, embeds, about="tiny/L1H2")
    for _ in range(n):
        create_page(alice, Kind.NOTE, "See [[L1H2]].", about="tiny/L1H2")
        create_page(alice, Kind.NOTE, "See [[L1H2]].", about="tiny/L0H0")
    with django_assert_max_num_queries(12):
        card = card_of(model, model.heads(1)[2], user=alice)
    assert (card.n_notes, card.n_links) == (n, n)


@pytest.mark.parametrize(
    ("rank", "place"),
    [(1, "1st of 12"), (6, "6th of 12"), (7, "6th lowest of 12"), (11, "2nd lowest of 12"), (12, "lowest of 12")],
)
def test_a_place_is_counted_from_the_nearer_end(rank: int, place: str) -> None:
    assert Standing(HEAD_METRICS_BY_KEY["entropy"], ".5", rank, 12).place == place


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Title\n\nOne is .89 of 1.5. Two.", "One is .89 of 1.5."),
        ("It asks “why?” And *answers*!", "It asks “why?”"),
        ("Compare e.g. the next. (Two.)", "Compare e.g. the next."),
        ("a &lt;b&gt; <i> & c[^1]\n\n[^1]: d", "a <b> <i> & c"),
        ("- a list", ""),
        ("", ""),
        ("x" * 50, "x" * 39 + "…"),
    ],
)
def test_a_first_sentence_is_plain_text(text: str, expected: str) -> None:
    assert first_sentence(text, at_most=40, resolve=lambda targets: {}) == expected


def test_no_vector_makes_markup_on_a_card(client: Client, model: LanguageModel, alice: User) -> None:
    page = create_page(alice, Kind.SUMMARY, "a", about="tiny/L1H2")
    plain = re.sub(r"(?s)<strong>.*?</strong>", "", client.get("/m/tiny/L1H2/card/").content.decode())
    known = set(re.findall(r"<[^>]*>", plain))
    version = 1
    for vector in xss_vectors():
        if not vector.strip() or "\0" in vector:
            continue
        save_revision(page, alice, vector, base_version=version)
        version += 1
        markup = client.get("/m/tiny/L1H2/card/").content.decode()
        assert set(re.findall(r"<[^>]*>", re.sub(r"(?s)<strong>.*?</strong>", "", markup))) <= known | {
            '<span class="absent">'
        }
