"""Notes on something exact: made from an address, leading back to that very view, orphaned where it is gone."""

from __future__ import annotations

import html
import re

import pytest
from django.core.cache import cache
from django.test import Client

from wiki.accounts.models import Role
from wiki.components.models import LanguageModel
from wiki.experiments.models import Pin, Survey
from wiki.texts.anchors import anchor_of
from wiki.texts.models import Kind, Page
from wiki.texts.moderation import hide
from wiki.texts.writing import save_revision

from .building import build_survey, finish, random_pattern
from .building_written import article, note, person, summary

CELL = "about=tiny/L1H2&anchor=cell&text=bundled-texts.0&q=7&k=3&view=value"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


@pytest.fixture
def alice(client: Client, db: None) -> Client:
    client.force_login(person("alice"))
    return client


def write(client: Client, query: str, text: str = "Words.", **form: str) -> str:
    """Send the form; the address that it leads to."""
    response = client.post(f"/write/note/?{query}", {"text": text, **form})
    assert response.status_code == 302, re.findall(r'role="alert">([^<]*)', response.content.decode())
    return str(response.headers["Location"])


def refusal(client: Client, query: str, text: str = "Typed words.") -> str:
    response = client.post(f"/write/note/?{query}", {"text": text})
    assert response.status_code in (400, 404), response.status_code
    page = response.content.decode()
    if response.status_code == 400:
        assert f"\n{text}</textarea>" in page, "what was typed comes back"
        (sentence,) = re.findall(r'role="alert">([^<]*)', page)
        return html.unescape(sentence)
    return page


def newest() -> Page:
    return Page.objects.select_related("current").latest("pk")


def test_the_form_says_what_the_note_is_on(alice: Client, model: LanguageModel) -> None:
    page = alice.get(f"/write/note/?{CELL}").content.decode()
    assert "value-weighted attention from “cat”, position 7, to “sat”, position 3, on the text bundled-texts.0" in page


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("about=tiny/L1H2", "/m/tiny/L1H2/#note-{pk}"),
        ("about=tiny", "/m/tiny/#note-{pk}"),
        ("about=tiny/l1n5", "/m/tiny/L1N5/#note-{pk}"),
        (CELL, "/m/tiny/L1H2/?text=bundled-texts.0&view=value&q=7&k=3#attends"),
        (
            "about=tiny/L1H2&anchor=token&row=3&position=1&examples=60",
            "/m/tiny/L1H2/?examples=60&example=3#row-3",
        ),
        ("about=tiny/L1N5&anchor=token&row=3&position=1&examples=bottom", "/m/tiny/L1N5/rows/3/"),
        (
            "about=tiny/L1H2&anchor=figure&figure=pattern&state=text%3Dbundled-texts.0%26view%3Drow",
            "/m/tiny/L1H2/?text=bundled-texts.0&view=row#attends",
        ),
        ("about=tiny&anchor=figure&figure=map&state=metric%3Dentropy", "/m/tiny/?metric=entropy#map"),
    ],
)
def test_a_note_leads_back_to_the_very_view(alice: Client, model: LanguageModel, query: str, address: str) -> None:
    assert write(alice, query) == address.format(pk=newest().pk)
    assert alice.get(address.partition("#")[0]).status_code in (200, 404 if "/rows/" in address else 200)
    if "anchor" in query:
        part = "/m/" + query.partition("about=")[2].partition("&")[0] + "/"
        page = alice.get(part).content.decode()
        assert f'<a href="{html.escape(address)}">' in page
        data = alice.get(part.rstrip("/") + ".json").json()["texts"]["notes"][0]
        assert data["anchor"]["url"] == address
        assert data["fields"]["anchor"]["kind"] in query


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (CELL.replace("q=7", "q=99"), "expected q from 0 to 8, got “99”"),
        (CELL.replace("k=3", "k=8"), "a key at or before its query, got 8 after 7"),
        (CELL.replace("view=value", "view=sideways"), "expected a view, got “sideways”"),
        (CELL.replace("bundled-texts.0", "nothing.1"), "expected a text of L1H2, got “nothing.1”"),
        (CELL.replace("L1H2", "L1N2"), "expected a cell of a head"),
        ("about=tiny/L1H2&anchor=token&row=999&position=0", "expected row from 0 to 7"),
        ("about=tiny/L1H2&anchor=token&row=3&position=999", "expected position from 0"),
        ("about=tiny/L1H2&anchor=token&row=3&position=0&examples=best", "expected examples among top"),
        ("about=tiny/L1H2&anchor=figure&figure=elephant", "expected one of this page, got “elephant”"),
        ("about=tiny/L1H2&anchor=elephant", "got “elephant”"),
        ("about=tiny/L9H9", "it has layers 0 to 2"),
        ("about=nowhere", "no model of that name is here"),
        ("anchor=span&page=999&quote=x", "Looking for the text 999"),
        ("anchor=span&page=x&quote=x", "Looking for the text x"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_that_was_typed_is_lost(
    alice: Client, model: LanguageModel, query: str, sentence: str
) -> None:
    assert sentence in html.unescape(refusal(alice, query))
    assert not Page.objects.exists()


def test_an_empty_note_is_refused(alice: Client, model: LanguageModel) -> None:
    assert "expected some words" in refusal(alice, "about=tiny/L1H2", " ")


def test_a_form_that_is_sent_twice_is_one_note(alice: Client, model: LanguageModel) -> None:
    for _ in range(2):
        write(alice, CELL, submission="k")
    assert Page.objects.count() == 1


def test_who_may_not_write_gets_no_form(client: Client, model: LanguageModel) -> None:
    response = client.get(f"/write/note/?{CELL}")
    assert (response.status_code, response.headers["Location"][:16]) == (302, "/accounts/login/")
    client.force_login(person("reader", Role.READER))
    for response in (client.get(f"/write/note/?{CELL}"), client.post(f"/write/note/?{CELL}", {"text": "x"})):
        assert response.status_code == 403
        assert "expected somebody who may, got reader" in response.text
    assert client.put(f"/write/note/?{CELL}").status_code == 405
    assert not Page.objects.exists()


def test_who_may_write_no_more_gets_back_what_was_typed(client: Client, model: LanguageModel) -> None:
    address, sent = "/write/note/?about=tiny/L1H2", {"text": "Typed <words>."}
    response = client.post(address, sent)
    assert response.status_code == 403
    assert "your session ended" in response.text
    assert "Typed &lt;words&gt;." in response.text
    client.force_login(person("reader", Role.READER))
    response = client.post(address, sent)
    assert response.status_code == 403
    assert "Typed &lt;words&gt;." in response.text
    assert not Page.objects.exists()


def test_cells_with_notes_are_marked_on_their_text_alone(alice: Client, model: LanguageModel) -> None:
    write(alice, CELL)
    for n in range(5):
        note(f"newer {n}")
    mark = '<li data-query="7" data-key="3">'
    assert mark in alice.get("/m/tiny/L1H2/?text=bundled-texts.0").content.decode()
    assert mark not in alice.get("/m/tiny/L1H2/?text=repeated-random.0").content.decode()
    assert mark not in alice.get("/m/tiny/L1H1/?text=bundled-texts.0").content.decode()


def test_the_locked_cell_offers_a_note(client: Client, model: LanguageModel) -> None:
    page = html.unescape(client.get("/m/tiny/L1H2/?text=bundled-texts.0&view=value&q=7&k=3").content.decode())
    assert 'href="/write/note/?about=tiny/L1H2&anchor=cell&text=bundled-texts.0&view=value&q=7&k=3"' in page
    assert "Locked on the cell to “sat”, position 3" in page
    for wrong, words in (
        ("q=7&k=8", "position “8” at or before"),
        ("q=7&k=x", "position “x”"),
        ("k=3", "a key without its query"),
    ):
        response = client.get(f"/m/tiny/L1H2/?text=bundled-texts.0&{wrong}")
        assert f"The link names {words}" in response.content.decode()
    assert client.get("/m/tiny/L1H2.json?text=bundled-texts.0&q=7&k=8").status_code == 404
    assert client.get("/m/tiny/L1H2.json?text=bundled-texts.0&q=7&k=3").json()["shown"]["key"] == 3


def replace_texts(model: LanguageModel, *, title: str, tokens: list[str]) -> Survey:
    """Pin another survey of the texts that are kept."""
    old = Survey.objects.get(dataset="bundled-texts")
    Pin.objects.filter(dataset="bundled-texts").delete()
    survey = build_survey(model, "bundled-texts", pattern_rows=2)
    texts = [{"title": "Another", "tokens": ["<bos>", "x"]}, {"title": title, "tokens": tokens}]
    patterns = [random_pattern(model, len(text["tokens"]), seed=7) for text in texts]
    finish(survey, metrics={}, patterns=patterns, texts=texts)
    assert survey.hash != old.hash
    return old


def test_a_cell_is_found_where_its_text_moved_to(alice: Client, model: LanguageModel) -> None:
    write(alice, CELL)
    words = ["<bos>", "The", " cat", " sat", "\n", " on", " the", " cat", " sat"]
    replace_texts(model, title="The cat", tokens=words)
    page = html.unescape(alice.get("/m/tiny/L1H2/").content.decode())
    assert 'href="/m/tiny/L1H2/?text=bundled-texts.1&view=value&q=7&k=3#attends"' in page


def test_a_cell_of_a_replaced_survey_is_shown_in_that_and_orphaned_without_it(
    alice: Client, model: LanguageModel
) -> None:
    write(alice, CELL)
    old = replace_texts(model, title="The dog", tokens=["<bos>", "A", " dog"])
    page = html.unescape(alice.get("/m/tiny/L1H2/").content.decode())
    (address,) = set(re.findall(rf'href="(/m/tiny/L1H2/\?survey={old.hash[:16]}[^"]*q=7&k=3#attends)"', page))
    assert "Locked on the cell to “sat”" in alice.get(address.partition("#")[0]).content.decode()
    assert alice.get("/orphans.json").json()["orphans"] == []
    old.delete()
    (orphan,) = alice.get("/orphans.json").json()["orphans"]
    assert orphan["anchor"]["orphaned"] == "no survey that is here has this text"
    assert "note on tiny/L1H2 by alice" in alice.get("/orphans/").content.decode()


def test_a_passage_of_a_summary_is_noted_on_its_part(alice: Client, model: LanguageModel) -> None:
    said = summary("It **looks back** at names, and at names only, in all the texts.")
    where = write(alice, f"anchor=span&page={said.pk}&quote=looks+back+at+names")
    page = newest()
    assert (page.kind, page.about, where) == (Kind.NOTE, "tiny/L1H2", f"/a/{page.pk}/")
    shown = html.unescape(alice.get("/m/tiny/L1H2/").content.decode())
    assert f'href="/a/{said.pk}/#:~:text=looks%20back%20at%20names">“looks back at names”</a>' in shown


def test_a_passage_of_an_article_is_talked_about(alice: Client, db: None) -> None:
    page = article("Names are copied.", title="IOI")
    where = write(alice, f"anchor=span&page={page.pk}", quote="Names are")
    thread = newest()
    assert (thread.kind, thread.parent, where) == (Kind.TALK, page, f"/a/{thread.pk}/")
    assert getattr(anchor_of(thread.current), "quote", "") == "Names are"


def test_without_a_passage_the_form_asks_for_it(alice: Client, db: None) -> None:
    page = article("Names are copied.", title="IOI")
    response = alice.get(f"/write/note/?anchor=span&page={page.pk}")
    assert response.status_code == 200
    assert 'name="quote"' in response.content.decode()
    assert "expected words of revision 1" in refusal(alice, f"anchor=span&page={page.pk}&quote=Nothing+such")


def test_a_passage_that_was_rewritten_is_found_or_orphaned(alice: Client, db: None) -> None:
    page = article("In the beginning all names are copied by heads of the last layers.", title="IOI")
    write(alice, f"anchor=span&page={page.pk}&quote=names+are+copied")
    author = person("alice")
    rewritten = "More. In the beginning all names are moved by heads of the last layers."
    save_revision(page, author, rewritten, base_version=1)
    assert alice.get("/orphans.json").json()["orphans"] == []
    save_revision(page, author, "Something else.", base_version=2)
    (orphan,) = alice.get("/orphans.json").json()["orphans"]
    assert orphan["anchor"]["orphaned"] == "the text was rewritten since and has no such passage"
    assert orphan["url"] == f"/a/{newest().pk}/"


def test_orphans_that_are_hidden_are_not_listed(alice: Client, db: None) -> None:
    page = article("Names are copied.", title="IOI")
    write(alice, f"anchor=span&page={page.pk}&quote=Names")
    save_revision(page, person("alice"), "x", base_version=1)
    hide(newest(), person("charlie", Role.MODERATOR), reason="Spam")
    assert Client().get("/orphans.json").json()["orphans"] == []
    assert len(alice.get("/orphans.json").json()["orphans"]) == 1
    assert alice.get("/orphans/?before=x").status_code == 404


def test_passages_of_hidden_texts_are_nobodys_to_quote(alice: Client, db: None) -> None:
    page = article("Secret words.", title="IOI", by="bob")
    hide(page, person("charlie", Role.MODERATOR), reason="Spam")
    assert "there is none" in refusal(alice, f"anchor=span&page={page.pk}&quote=Secret")
