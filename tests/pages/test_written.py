"""What people say of a part stands on its page, at once and for everybody who may see it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.links import rebuild_links
from wiki.texts.models import Kind, Link, Page
from wiki.texts.moderation import hide, retract, tag_page, unhide, unretract
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

from .building import build_model
from .building_written import article, note, person, summary
from .test_account_in_header import OF_A_SESSION
from .test_every_page import N_QUERIES

PARTS = ["L1H2", "L1", "L1N5", "L1KV1"]
ADDRESSES = {"": "/m/tiny/", **{part: f"/m/tiny/{part}/" for part in PARTS}}


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def body(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("part", ADDRESSES)
def test_an_unwritten_part_says_so_and_where_to_write(client: Client, model: LanguageModel, part: str) -> None:
    page = body(client, ADDRESSES[part])
    about = f"tiny/{part}".rstrip("/")
    unsaid = "said what this does" if part else "written what is known of this model"
    assert f"Nobody has {unsaid} yet" in page
    for address in ("summary", "note", "talk"):
        assert f'href="/write/{address}/?about={about}"' in page


@pytest.mark.parametrize("part", ADDRESSES)
def test_all_that_is_said_stands_on_the_page_and_in_its_data(client: Client, model: LanguageModel, part: str) -> None:
    about = f"tiny/{part}".rstrip("/")
    build_model("other")
    said = summary("Looks **back** to [[L0H3]]; [[same-role-as::other/L2H1]].", about=about)
    noted = note("Not on *Tuesdays*.", about=about, by="bob")
    circuit = article(f"[[part-of::{about}]]", title="The circuit")
    tag_page(circuit, person("alice"), ["circuit"])
    article(f"[[part-of::{about}]]", title="The behaviour")
    article(f"[[{about}]]", title="The guide")
    note(f"[[evidence-against::{about}]] [[same-role-as::{about}]]", about="other/L0H1")
    thread = create_page(person("bob"), Kind.TALK, "Really?", title="Doubts", about=about)
    page = body(client, ADDRESSES[part])
    assert "Nobody has said" not in page
    assert 'Looks <strong>back</strong> to <a class="wikilink" href="/m/tiny/L0H3/"' in page
    assert f'href="/a/{said.pk}/">summary, revision 1</a>' in page
    assert "Not on <em>Tuesdays</em>." in page
    assert f'href="/a/{noted.pk}/"' in page
    assert f'href="/a/{thread.pk}/">Doubts</a>' in page
    data = client.get(ADDRESSES[part].rstrip("/") + ".json").json()["texts"]
    names = {key: [item["name"] for item in data[key]] for key in ("circuits", "articles", "same_role_as")}
    assert names == {
        "circuits": ["The circuit"],
        "articles": ["The behaviour"],
        "same_role_as": ["other/L2H1", "other/L0H1"],
    }
    for name in itertools.chain(*names.values()):
        assert f">{name}</a>" in page
    linked = {kind: [item["name"] for item in items] for kind, items in data["linked_from"].items()}
    source = "note on other/L0H1 by alice"
    assert linked == {"same-role-as": [source], "evidence-against": [source], "mentions": ["The guide"]}
    assert data["summary"]["text"].startswith("Looks **back**")
    assert (data["summary"]["revision"], data["summary"]["author"]) == (1, "alice")
    assert [(item["text"], item["author"]) for item in data["notes"]] == [("Not on *Tuesdays*.", "bob")]


def test_a_summary_can_say_itself_what_it_is_part_of(client: Client, model: LanguageModel) -> None:
    circuit = article("x", title="The circuit")
    tag_page(circuit, person("alice"), ["circuit"])
    summary("See [[part-of::The circuit]] and [[part-of::A dream]].")
    data = client.get("/m/tiny/L1H2.json").json()["texts"]
    assert [item["name"] for item in data["circuits"]] == ["The circuit"]
    assert re.search(r"Part of the circuit\s+<a", body(client, "/m/tiny/L1H2/"))
    tag_page(article("[[part-of::tiny/L1H2]]", title="Another"), person("alice"), ["circuit"])
    assert re.search(r"Part of the circuits\s+<a", body(client, "/m/tiny/L1H2/"))
    assert data["articles"] == []


def test_texts_of_other_parts_are_not_shown(client: Client, model: LanguageModel) -> None:
    summary("Of the head.", about="tiny/L1H2")
    for path in ("/m/tiny/", "/m/tiny/L1/", "/m/tiny/L1H1/", "/m/tiny/L1N2/"):
        assert "Of the head." not in body(client, path)


def test_what_is_hidden_is_seen_by_its_author_and_moderators_alone(client: Client, model: LanguageModel) -> None:
    moderator = person("charlie", Role.MODERATOR)
    hidden = note("Hidden words", by="alice")
    linking = article("[[tiny/L1H2]]", title="Hidden title")
    thread = create_page(person("alice"), Kind.TALK, "x", title="Hidden thread", about="tiny/L1H2")
    for page in (hidden, linking, thread):
        hide(page, moderator, reason="Spam")
    for name, sees in (("", False), ("bob", False), ("alice", True), ("charlie", True)):
        reader = Client()
        if name:
            reader.force_login(person(name))
        for path in ("/m/tiny/L1H2/", "/m/tiny/L1H2.json"):
            page = reader.get(path).content.decode()
            assert [words in page for words in ("Hidden words", "Hidden title", "Hidden thread")] == [sees] * 3, name


def test_edit_links_are_for_who_may_edit(client: Client, model: LanguageModel) -> None:
    said, noted = summary("Said."), note("Noted.")
    edits = [f"/a/{said.pk}/edit/", f"/a/{noted.pk}/edit/"]
    for name, may in (("", [False, False]), ("alice", [True, True]), ("bob", [True, False])):
        reader = Client()
        if name:
            reader.force_login(person(name))
        assert [address in body(reader, "/m/tiny/L1H2/") for address in edits] == may


def test_long_texts_are_cut_at_a_paragraph(client: Client, model: LanguageModel) -> None:
    page = note("First paragraph.\n\n" + "word " * 200 + "\n\nLast paragraph.")
    shown = body(client, "/m/tiny/L1H2/")
    assert "First paragraph." in shown
    assert "Last paragraph." not in shown
    assert f'<a href="/a/{page.pk}/">whole note</a>' in shown


CHANGES: list[tuple[str, Callable[[Page, Page, User, User], object]]] = [
    ("save", lambda said, other, alice, mod: save_revision(said, alice, "Says more.", base_version=2)),
    ("revert", lambda said, other, alice, mod: revert_to(said, alice, 1, base_version=2)),
    ("note", lambda said, other, alice, mod: note("A new note.")),
    ("link", lambda said, other, alice, mod: note("[[tiny/L1H2]]", about="elsewhere/L0")),
    ("unlink", lambda said, other, alice, mod: save_revision(other, alice, "nothing", base_version=1)),
    ("rename", lambda said, other, alice, mod: rename_article(other, alice, "A new title")),
    ("tag", lambda said, other, alice, mod: tag_page(other, alice, ["circuit"])),
    ("hide", lambda said, other, alice, mod: hide(said, mod, reason="Spam")),
    ("hide what links", lambda said, other, alice, mod: hide(other, mod, reason="Spam")),
    ("write what was wanted", lambda said, other, alice, mod: article("x", title="Wanted")),
]


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_a_change_shows_at_once_on_a_page_that_was_kept(
    client: Client, model: LanguageModel, change: Callable[[Page, Page, User, User], object]
) -> None:
    alice, moderator = person("alice"), person("charlie", Role.MODERATOR)
    said = summary("First words.")
    save_revision(said, alice, "Says something of [[Wanted]].", base_version=1)
    other = article("[[part-of::tiny/L1H2]]", title="An article")
    before = body(client, "/m/tiny/L1H2/")
    assert body(client, "/m/tiny/L1H2/") == before
    change(said, other, alice, moderator)
    after = body(client, "/m/tiny/L1H2/")
    assert after != before
    cache.clear()
    assert body(client, "/m/tiny/L1H2/") == after


def test_hiding_and_showing_again_and_taking_back_show_at_once(client: Client, model: LanguageModel) -> None:
    alice, moderator = person("alice"), person("charlie", Role.MODERATOR)
    page = note("Words.")
    states = [
        lambda: hide(page, moderator, reason="Spam"),
        lambda: unhide(page, moderator, reason="Not spam"),
        lambda: retract(page, alice, reason="Wrong"),
        lambda: unretract(page, alice, reason="Right"),
    ]
    seen = []
    for change in states:
        body(client, "/m/tiny/L1H2/")
        change()
        shown = body(client, "/m/tiny/L1H2/")
        seen.append(("Words." in shown, "Retracted: Wrong" in shown))
    assert seen == [(False, False), (True, False), (True, True), (True, False)]


def test_a_retracted_summary_says_so_where_it_stands_first(client: Client, model: LanguageModel) -> None:
    page = summary("It looks back.")
    retract(page, person("charlie", Role.MODERATOR), reason="It does not")
    shown = body(client, "/m/tiny/L1H2/")
    assert "It looks back." in shown
    assert "Retracted: It does not" in shown


def test_links_that_are_made_anew_show_at_once(client: Client, model: LanguageModel) -> None:
    article("[[tiny/L1H2]]", title="An article")
    Link.objects.all().delete()
    body(client, "/m/tiny/L1H2/")
    rebuild_links()
    assert ">An article</a>" in body(client, "/m/tiny/L1H2/")


def test_a_change_elsewhere_leaves_a_kept_page(
    client: Client, model: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    body(client, "/m/tiny/L1H2/")
    note("x", about="elsewhere/L0")
    with django_assert_num_queries(2):
        body(client, "/m/tiny/L1H2/")


def write_much(n: int) -> None:
    """Texts of every kind with every kind of link."""
    person("bob")
    for i in range(n):
        article(f"[[part-of::tiny/L1H2]] [[tiny/L1H2]] [[evidence-for::tiny/L1H2]] {i}", title=f"Article {i}")
    names = " ".join(f"[[Article {i}]] [[Missing {i}]] [[other/L1H{i % 4}]] @bob [[a/{i + 1}]]" for i in range(n))
    for i in range(n):
        note(f"{i} {names} [[same-role-as::other/L0H{i % 4}]] [[part-of::Article {i}]]")
        note(f"[[same-role-as::tiny/L1H2]] {i}", about=f"other/L1H{i % 4}")
        create_page(person("bob"), Kind.TALK, f"{i}", about="tiny/L1H2", title=f"Thread {i}")
    summary(names)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("path", ["/m/tiny/L1H2/", "/m/tiny/L1H2.json", "/m/tiny/L1H2/texts/?show=links"])
def test_more_texts_mean_no_more_queries(
    client: Client, model: LanguageModel, path: str, signed_in: bool, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    build_model("other")
    if signed_in:
        client.force_login(person("alice"))
    write_much(2)
    if signed_in:
        client.get(path)  # a visit is noted once in five minutes
    with django_assert_num_queries(N_QUERIES + (OF_A_SESSION if signed_in else 0), exact=False) as few:
        client.get(path)
    for i in range(2, 30):
        article(f"[[part-of::tiny/L1H2]] [[tiny/L1H2]] {i}", title=f"Article {i}")
        note(f"[[Article {i}]] [[other/L2H1]] @bob [[a/{i}]]")
    with django_assert_num_queries(len(few.captured_queries)):
        client.get(path)


@pytest.mark.parametrize("path", ["/m/tiny/texts", "/m/tiny/L1H2/texts", "/m/tiny/L1KV1/texts"])
def test_all_texts_are_listed_page_by_page(client: Client, model: LanguageModel, path: str) -> None:
    about = path.removeprefix("/m/").removesuffix("/texts")
    for i in range(30):
        note(f"Note number {i}.", about=about)
    assert f'href="{path}/?show=notes">all 30 notes</a>' in body(client, path.removesuffix("texts"))
    first, second = body(client, f"{path}/"), body(client, f"{path}/?show=notes&page=2")
    assert [f"Note number {i}." in first for i in range(30)] == [False] * 5 + [True] * 25
    assert [f"Note number {i}." in second for i in range(30)] == [True] * 5 + [False] * 25
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    data = client.get(f"{path}.json?page=2").json()
    assert [item["text"] for item in data["items"]] == [f"Note number {i}." for i in (4, 3, 2, 1, 0)]
    for wrong in ("?show=everything", "?page=0", "?page=x"):
        assert client.get(f"{path}/{wrong}").status_code == 404
        assert "expected show=notes" in client.get(f"{path}.json{wrong}").json()["error"]


def test_texts_of_a_part_that_is_not_there_are_not_listed(client: Client, model: LanguageModel) -> None:
    assert client.get("/m/tiny/L9H9/texts/").status_code == 404
    assert client.get("/m/nowhere/texts/").status_code == 404


@pytest.mark.parametrize("part", ADDRESSES)
def test_readers_are_told_who_writes_and_not_led_to_forms(client: Client, model: LanguageModel, part: str) -> None:
    client.force_login(person("reader", Role.READER))
    page = body(client, ADDRESSES[part])
    assert "Researchers of this site write here; moderators give that role." in page
    assert not re.search("/write/(summary|talk)/", page)
    refused = client.get("/write/summary/?about=tiny/L1H2")
    assert refused.status_code == 403
    assert "expected a researcher of this site, got reader, who is a reader. Moderators give roles." in refused.text
