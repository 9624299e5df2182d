"""Search on both databases: names exact, words by stem, filters, and nothing of what one may not see."""

from __future__ import annotations

import html.parser
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.search.indexing import Facet
from wiki.search.models import Entry
from wiki.search.snippets import snippet_of
from wiki.texts.drafts import keep_draft
from wiki.texts.models import Kind, Page, Visibility
from wiki.texts.moderation import hide, retract, tag_page, unhide
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

pytestmark = pytest.mark.both_databases


def found(client: Client, q: str, **filters: str) -> dict[str, Any]:
    response = client.get("/search.json", {"q": q, **filters})
    assert response.status_code == 200, response.content
    assert client.get("/search/", {"q": q, **filters}).status_code == 200
    return response.json()


def names(client: Client, q: str, **filters: str) -> list[str]:
    return [text["name"] for text in found(client, q, **filters)["texts"]]


def article(author: User, title: str, text: str) -> Page:
    return create_page(author, Kind.ARTICLE, text, title=title)


@pytest.fixture
def texts(alice: User, bob: User, gpt2: LanguageModel) -> None:
    create_page(alice, Kind.NOTE, "It attends to the previous token.", about="gpt2/L5H1")
    create_page(bob, Kind.SUMMARY, "Copies names of the indirect object.", about="gpt2/L9H9")
    article(alice, "Induction heads", "They need a previous token head such as [[gpt2/L5H1]], says @bob.")
    article(
        bob, "Attention sinks", "The first token, previous to all, gets what nobody needs. See blocks.5.attn.hook_z[1]."
    )


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("previous token", {"note on gpt2/L5H1 by alice", "Induction heads", "Attention sinks"}),
        ('"previous token"', {"note on gpt2/L5H1 by alice", "Induction heads"}),
        ("PREVIOUS  tokens", {"note on gpt2/L5H1 by alice", "Induction heads", "Attention sinks"}),
        ("previous -sinks", {"note on gpt2/L5H1 by alice", "Induction heads"}),
        ('previous -"previous token"', {"Attention sinks"}),
        ("attending", {"note on gpt2/L5H1 by alice"}),
        ("attend copy", set()),
        ("copy name", {"summary of gpt2/L9H9"}),
        ("nowhere", set()),
    ],
)
def test_words_phrases_and_what_is_left_out(client: Client, texts: None, q: str, expected: set[str]) -> None:
    assert set(names(client, q)) == expected


def test_what_a_page_is_found_by_beside_its_words_follows_it(
    client: Client, texts: None, alice: User, bob: User
) -> None:
    page = Page.objects.get(title="Induction heads")
    tag_page(page, alice, ["circuits", "¿qué?"])
    assert names(client, "previous", tag="¿qué?") == names(client, "previous", tag="circuits") == ["Induction heads"]
    tag_page(page, alice, ["circuits"])
    assert names(client, "previous", tag="¿qué?") == []
    assert names(client, "L5H1 previous", author="alice", tag="circuits") == ["Induction heads"]
    assert names(client, "L5H1 previous", author="bob", tag="circuits") == []
    assert names(client, "previous", author="nobody") == []
    save_revision(page, bob, "They need [[gpt2/L9H9]] in the previous layer.", base_version=1)
    assert "Induction heads" not in names(client, "gpt2/L5H1 previous")
    assert "Induction heads" in names(client, "gpt2/L9H9 previous")
    # who changed it did not begin it
    assert names(client, "previous", author="bob") == ["Attention sinks"]


@pytest.mark.parametrize("facet", [Facet.TAG.of("circuits"), Facet.TAG.of("circuits")[1:], "facets", "facets:§t"])
def test_nobody_types_what_stands_beside_the_words(client: Client, texts: None, alice: User, facet: str) -> None:
    tag_page(Page.objects.get(title="Induction heads"), alice, ["circuits"])
    assert names(client, facet) == []
    assert len(names(client, f"previous -{facet}")) == 3


NOTATIONS = ["L5H1", "l5h1", "L5.H1", "5.1", "a5.h1", "blocks.5.attn.hook_z[1]", "blocks.5.attn.hook_pattern[1]"]


@pytest.mark.parametrize("name", [*NOTATIONS, *(f"gpt2/{name}" for name in NOTATIONS), "[[gpt2/L5H1]]", "L5H1,"])
def test_a_component_is_found_by_every_notation_and_first_then_what_names_it(
    client: Client, texts: None, name: str
) -> None:
    data = found(client, name)
    assert data["components"] == [{"target": "gpt2/L5H1", "url": "/m/gpt2/L5H1/"}]
    shown = [text["name"] for text in data["texts"]]
    assert {*shown[:2]} == {"note on gpt2/L5H1 by alice", "Induction heads"}
    # a hook's name in a text is the head's, of no model in particular
    assert shown[2:] == ([] if "gpt2" in name else ["Attention sinks"])


def test_a_component_with_other_words_finds_the_texts_that_have_both(client: Client, texts: None) -> None:
    data = found(client, "gpt2/5.1 induction")
    assert [each["target"] for each in data["components"]] == ["gpt2/L5H1"]
    assert [text["name"] for text in data["texts"]] == ["Induction heads"]
    assert names(client, "gpt2/5.1 -induction") == ["note on gpt2/L5H1 by alice"]


def test_a_component_that_no_model_has_is_words(client: Client, texts: None) -> None:
    assert found(client, "gpt2/L50H1")["components"] == []
    assert found(client, "missing/L5H1")["components"] == []


def test_a_component_of_every_model_that_has_it(client: Client, texts: None) -> None:
    sizes = {"n_layers": 6, "n_heads": 2, "n_kv_heads": 2, "d_model": 8, "d_head": 4, "d_mlp": 16, "d_vocab": 9}
    LanguageModel.objects.create(slug="tiny", title="Tiny", hash="1" * 64, family="gpt2", n_parameters=1, **sizes)
    assert [each["target"] for each in found(client, "5.1")["components"]] == ["gpt2/L5H1", "tiny/L5H1"]
    assert [each["target"] for each in found(client, "5.1", model="tiny")["components"]] == ["tiny/L5H1"]
    assert [each["target"] for each in found(client, "L5H3")["components"]] == ["gpt2/L5H3"]


def test_people_and_models_are_found_by_name(client: Client, texts: None, alice: User) -> None:
    assert [each["name"] for each in found(client, "@alice")["people"]] == ["alice"]
    assert [each["slug"] for each in found(client, "GPT-2")["models"]] == ["gpt2"]
    assert found(client, "@alice", kind="article")["people"] == []
    alice.is_active = False
    alice.save()
    assert found(client, "alice")["people"] == []


def test_the_article_of_that_title_is_first_by_its_earlier_titles_too(
    client: Client, texts: None, alice: User, bob: User
) -> None:
    article(bob, "More of it", "sinks sinks sinks sinks attention sinks attention sinks attention")
    assert names(client, "attention sinks")[0] == "Attention sinks"
    page = Page.objects.get(key="attention-sinks")
    rename_article(page, alice, "Where attention rests")
    assert names(client, "attention sinks")[0] == "Where attention rests"
    assert names(client, "rests") == ["Where attention rests"]


def test_words_of_titles_count_more_than_those_of_texts(client: Client, alice: User, gpt2: LanguageModel) -> None:
    article(alice, "Other", "circuits circuits circuits and circuits")
    article(alice, "Circuits", "what they are")
    article(alice, "Another", "circuits again")
    assert names(client, "circuits")[0] == "Circuits"


def test_a_text_is_found_by_what_it_says_now(client: Client, alice: User, gpt2: LanguageModel) -> None:
    page = article(alice, "Heads", "before")
    save_revision(page, alice, "afterwards", base_version=1)
    assert (names(client, "before"), names(client, "afterwards")) == ([], ["Heads"])
    revert_to(page, alice, 1, base_version=2)
    assert (names(client, "before"), names(client, "afterwards")) == (["Heads"], [])


def test_what_is_not_saved_is_not_found(client: Client, alice: User) -> None:
    with transaction.atomic():
        article(alice, "Heads", "before")
        transaction.set_rollback(True)
    assert Entry.objects.count() == 0


def test_hidden_texts_are_found_by_who_may_see_them_and_drafts_by_nobody(
    client: Client, texts: None, alice: User, bob: User, moderator: User
) -> None:
    page = Page.objects.get(kind=Kind.NOTE)
    reply = create_page(bob, Kind.TALK, "Unheard of in a thread", parent=page)
    keep_draft(alice, "new/article/x", "Unheard of in a draft", title="Unheard of")
    hide(page, moderator, reason="spam")
    for person, expected in ((None, 0), (bob, 1), (alice, 2), (moderator, 2)):
        client.logout()
        if person:
            client.force_login(person)
        data = found(client, "gpt2/L5H1")
        assert sum("note" in text["name"] for text in data["texts"]) == (person in (alice, moderator))
        # the reply hangs on what is hidden: bob, who wrote it, sees it no more
        assert len(found(client, "unheard")["texts"]) == (person in (alice, moderator))
        assert client.get("/search/", {"q": "previous"}).content.count(b"Note on gpt2") == (expected == 2)
    unhide(page, moderator, reason="not spam")
    client.logout()
    assert names(client, "unheard") == ["talk about note on gpt2/L5H1 by alice"]
    assert reply.visibility == Visibility.PUBLISHED


def test_what_is_retracted_is_found_with_its_mark(client: Client, texts: None, alice: User) -> None:
    retract(Page.objects.get(kind=Kind.NOTE), alice, reason="wrong")
    assert [text["visibility"] for text in found(client, "attends")["texts"]] == ["retracted"]
    assert b'<span class="badge">retracted</span>' in client.get("/search/?q=attends").content


def test_filters(client: Client, texts: None, alice: User) -> None:
    tag_page(Page.objects.get(key="induction-heads"), alice, ["Circuits"])
    assert names(client, "previous", kind="article", author="alice") == ["Induction heads"]
    assert names(client, "previous", kind="note") == ["note on gpt2/L5H1 by alice"]
    assert names(client, "previous", tag="circuits") == ["Induction heads"]
    assert set(names(client, "previous", model="gpt2")) == {"note on gpt2/L5H1 by alice", "Induction heads"}
    Page.objects.filter(key="attention-sinks").update(updated_at="2020-02-03T12:00:00Z")
    assert names(client, "previous", since="2020-02-03", until="2020-02-03") == ["Attention sinks"]
    assert names(client, "previous", until="2020-02-02") == []
    assert found(client, "gpt2", kind="person")["models"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "nothing"},
        {"since": "yesterday"},
        {"until": "0001-01-01"},
        {"page": "0"},
        {"page": "9" * 30},
        {"page": "٣"},
        {"model": "\0"},
        {"author": "a\0b"},
        {"tag": "\0"},
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_a_sentence_and_the_words_stay(
    client: Client, texts: None, query: dict[str, str]
) -> None:
    response = client.get("/search/", {"q": "previous", **query})
    assert response.status_code == 400
    content = response.content.decode()
    assert "Searching: expected" in content
    assert 'value="previous"' in content
    assert client.get("/search.json", {"q": "previous", **query}).json()["error"].startswith("Searching: expected")


@pytest.mark.parametrize(
    "q",
    [
        "",
        " ",
        '"',
        '""',
        '"previous',
        'previous"',
        "-",
        "--",
        "-previous",
        '-"previous"',
        "AND OR NOT NEAR(",
        "previous AND",
        "title:previous",
        "previous*",
        "(((",
        "a' OR 1=1 --",
        "{title}: ^x",
        "\\",
        "previous\0token",
        "\0",
        "🙂",
        "🙂 previous",
        "previous & ! | <-> :*",
        "%_%",
        "x" * 10_000,
        "previous " * 1200,
        "é" * 3000,
        "注意力",
        "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
        "L99999H99999",
        "L" + "9" * 500 + "H1",
        "/" * 300,
        "@",
        "@" * 300,
    ],
)
def test_no_words_break_it(client: Client, texts: None, q: str) -> None:
    response = client.get("/search/", {"q": q})
    assert response.status_code == 200
    html.parser.HTMLParser().feed(response.content.decode())
    assert client.get("/search.json", {"q": q}).status_code == 200


def test_broken_syntax_is_words(client: Client, texts: None) -> None:
    assert set(names(client, '"previous')) == set(names(client, "previous"))
    assert set(names(client, "previous & ! |")) == set(names(client, "previous"))
    assert names(client, "previous\0token") == names(client, "previous token")
    assert set(names(client, "🙂 previous")) == set(names(client, "previous"))
    assert b"Only what shall not be there" in client.get("/search/?q=-previous").content
    assert b"only its first words" in client.get("/search/", {"q": "previous " * 1200}).content


def test_other_alphabets_and_accents(client: Client, alice: User) -> None:
    article(alice, "Café", "Внимание к токенам, 注意力机制 and naïve")
    for q in ("cafe", "CAFÉ", "внимание", "注意力", "機" if False else "机制", "naive", '"к токенам"'):
        assert names(client, q) == ["Café"], q
    assert names(client, "意注") == []


def test_snippets_mark_the_words_and_are_escaped(client: Client, alice: User, gpt2: LanguageModel) -> None:
    text = (
        "<script>alert(1)</script> "
        + "filler " * 200
        + "the **induction** [[gpt2/L5H1|head]] & <b>more</b> "
        + "x " * 300
    )
    create_page(alice, Kind.NOTE, text, about="gpt2/L1H1")
    assert names(client, "induction l5h1") == names(client, "induction") == ["note on gpt2/L1H1 by alice"]
    (shown,) = found(client, "induction heads")["texts"]
    assert shown["marked"] == ["induction", "head"]
    assert "the induction head & <b>more</b>" in shown["snippet"]
    assert len(shown["snippet"]) < 260
    content = client.get("/search/?q=induction+heads").content.decode()
    assert "<mark>induction</mark> <mark>head</mark> &amp; &lt;b&gt;more" in content
    assert "<b>more" not in content
    assert "<script>alert" not in client.get("/search/", {"q": "<script>alert(1)</script> filler"}).content.decode()


def test_pages_go_on_where_the_one_before_ended(client: Client, alice: User, gpt2: LanguageModel) -> None:
    for i in range(45):
        create_page(alice, Kind.NOTE, f"circuit number {i}", about="gpt2/L0H1")
    seen = []
    for page in ("1", "2", "3"):
        data = found(client, "circuit", page=page)
        assert data["n_texts"] == 45
        seen += [text["url"] for text in data["texts"]]
    assert len(seen) == len(set(seen)) == 45
    assert b'rel="next" href="?q=circuit&amp;page=3"' in client.get("/search/?q=circuit&page=2").content
    assert names(client, "circuit", page="4") == []


@pytest.mark.parametrize("q", ["circuit", "L0H1", "gpt2/0.1 circuit -nothing", "alice", '"circuit number" -absent'])
def test_more_rows_mean_no_more_queries(
    client: Client, alice: User, gpt2: LanguageModel, q: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def write(n: int) -> None:
        for i in range(n):
            page = create_page(alice, Kind.NOTE, f"circuit number {i} by alice", about="gpt2/L0H1")
            create_page(alice, Kind.TALK, "circuit number one, alice", parent=page)
            tag_page(page, alice, [f"tag-{i}"])

    write(2)
    with django_assert_num_queries(9, exact=False) as few:
        client.get("/search/", {"q": q})
    write(15)
    with django_assert_num_queries(len(few.captured_queries)):
        client.get("/search/", {"q": q})


def test_rebuilding_makes_the_same_words_again(client: Client, texts: None, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> list[str]:
        return [name for q in ("previous", "5.1", "names", "sinks") for name in names(client, q)]

    before = state()
    assert len(before) > 6
    Entry.objects.all().delete()
    assert len(state()) < len(before)
    call_command("rebuild_search")
    assert state() == before
    assert "4 pages" in capsys.readouterr().out


def test_the_longest_text_is_kept_and_found(client: Client, alice: User) -> None:
    article(alice, "Long", "first " + "ﷺﷺﷺ " * 15_000)
    article(alice, "Different", " ".join(f"word{i}" for i in range(20_000)))
    assert names(client, "first") == ["Long"]
    assert names(client, "word15000") == ["Different"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Seen: ![[gpt2/L5H1?text=2&q=5]] there.", "Seen: gpt2/L5H1 there."),
        ("Seen: ![[gpt2/L5H1?text=2&q=5|Looks back]] there.", "Seen: Looks back there."),
        ("Seen: ![[L5H1?metric=entropy]].", "Seen: L5H1."),
        ("It costs $5 and $10.", "It costs $5 and $10."),
        ("So $A_{qk} \\le \\mathrm{max}$ holds.", "So A_qk le max holds."),
        ("So\n\n$$\n\\frac{QK^T}{\\sqrt{d}}\\,\\alpha\n$$\n\nholds.", "So QK^T d alpha holds."),
        ("A [[same-role-as::gpt2/L5H5]] is it?", "A gpt2/L5H5 is it?"),
    ],
)
def test_snippets_show_embeds_and_maths_as_they_are_read(text: str, said: str) -> None:
    assert "".join(piece.text for piece in snippet_of(text, set())) == said
