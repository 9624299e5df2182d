"""Recent changes as page, data and feed; what changed since one was here; watching by a button."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.following.models import LastSeen
from wiki.following.visits import GAP, last_visit, note_visit
from wiki.texts.models import AuditEntry, Kind, Page, Revision, Watch
from wiki.texts.moderation import hide, tag_page
from wiki.texts.writing import create_page, rename_article, save_revision

pytestmark = pytest.mark.both_databases
ATOM = "{http://www.w3.org/2005/Atom}"


def changes(client: Client, **query: str) -> list[tuple[str, int]]:
    response = client.get("/recent.json", query)
    assert response.status_code == 200, response.content
    assert client.get("/recent/", query).status_code == 200
    return [(change["name"], change["revision"]) for change in response.json()["changes"]]


def parsed(response: HttpResponse) -> ET.Element:
    return ET.fromstring(response.content)  # noqa: S314 (our own)


@pytest.fixture(autouse=True)
def _no_visit_is_remembered() -> None:
    cache.clear()


@pytest.fixture
def texts(alice: User, bob: User, gpt2: LanguageModel) -> None:
    create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1", summary="First look")
    article = create_page(bob, Kind.ARTICLE, "Names [[gpt2/L9H9]].", title="IOI")
    save_revision(article, alice, "Names [[gpt2/L9H9]] & more.", base_version=1, summary="More <b>of</b> it")
    create_page(bob, Kind.ARTICLE, "Nothing.", title="Sinks")
    tag_page(article, bob, ["circuits"])


NOTE, IOI_1, IOI_2, SINKS = ("note on gpt2/L5H1 by alice", 1), ("IOI", 1), ("IOI", 2), ("Sinks", 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [SINKS, IOI_2, IOI_1, NOTE]),
        ({"kind": "note"}, [NOTE]),
        ({"model": "gpt2"}, [IOI_2, IOI_1, NOTE]),
        ({"model": "gpt"}, []),
        ({"person": "alice"}, [IOI_2, NOTE]),
        ({"person": "@alice", "kind": "article"}, [IOI_2]),
        ({"tag": "Circuits"}, [IOI_2, IOI_1]),
        ({"only": "new"}, [SINKS, IOI_1, NOTE]),
        ({"since": "2999-01-01T00:00"}, []),
        ({"since": "1999-01-01"}, [SINKS, IOI_2, IOI_1, NOTE]),
    ],
)
def test_filters(client: Client, texts: None, query: dict[str, str], expected: list[Any]) -> None:
    assert changes(client, **query) == expected
    feed = parsed(client.get("/recent.atom", query))
    assert len(feed.findall(f"{ATOM}entry")) == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "x"},
        {"only": "x"},
        {"model": "\0"},
        {"person": "\0"},
        {"tag": "\n\0"},
        {"since": "yesterday"},
        {"since": "0001-01-01"},
        {"before": "x"},
        {"before": "9" * 18 + "-1"},
        {"before": "1-" + "9" * 30},
        {"before": "٣-٣"},
    ],
)
def test_what_cannot_be_looked_for_is_refused_with_a_sentence(
    client: Client, texts: None, query: dict[str, str]
) -> None:
    for path in ("/recent/", "/recent.json", "/recent.atom"):
        response = client.get(path, query)
        assert response.status_code == 400
        assert "Listing changes: expected" in response.content.decode()


def test_hidden_texts_are_not_listed(client: Client, texts: None, alice: User, bob: User, moderator: User) -> None:
    hide(Page.objects.get(kind=Kind.NOTE), moderator, reason="spam")
    assert NOTE not in changes(client)
    assert b"First look" not in client.get("/recent.atom").content
    for person, sees in ((bob, False), (alice, True), (moderator, True)):
        client.force_login(person)
        assert (NOTE in changes(client)) is sees


def test_pages_of_changes_go_on_without_gap_where_many_have_one_time(
    client: Client, alice: User, gpt2: LanguageModel
) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    for i in range(60):
        page = Page.objects.create(kind=Kind.NOTE, model_slug="gpt2", component="L0H0", author=alice, version=1)
        Revision.objects.create(page=page, n=1, author=alice, text=str(i), digest="", created_at=at)
    save_revision_free = create_page(alice, Kind.NOTE, "newest", about="gpt2/L0H0")
    seen: list[int] = []
    address: str | None = "/recent.json?kind=note"
    while address:
        data = client.get(address).json()
        seen += [change["page"] for change in data["changes"]]
        address = data["next"]
        assert len(seen) < 100
    assert seen == sorted(Page.objects.values_list("pk", flat=True), reverse=True)
    assert seen[0] == save_revision_free.pk
    content = client.get("/recent/?kind=note").content.decode()
    assert 'rel="next" href="?kind=note&amp;before=' in content


def test_the_feed_is_atom_with_absolute_addresses(client: Client, texts: None) -> None:
    response = client.get("/recent.atom?kind=article")
    assert response["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = parsed(response)
    assert feed.tag == f"{ATOM}feed"
    for element in (feed, *feed.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            (found,) = element.findall(f"{ATOM}{name}")
            assert found.text
        assert element.findtext(f"{ATOM}id", "").startswith("http://testserver/")
        datetime.fromisoformat(element.findtext(f"{ATOM}updated", ""))
        assert all(link.get("href", "").startswith("http://testserver/") for link in element.findall(f"{ATOM}link"))
    entries = feed.findall(f"{ATOM}entry")
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 3
    assert [entry.findtext(f"{ATOM}author/{ATOM}name") for entry in entries] == ["bob", "alice", "bob"]
    assert entries[1].findtext(f"{ATOM}summary") == "More <b>of</b> it"
    (own,) = [link.get("href") for link in feed.findall(f"{ATOM}link") if link.get("rel") == "self"]
    assert own == "http://testserver/recent.atom?kind=article"
    page = client.get("/recent/?kind=article").content.decode()
    assert 'type="application/atom+xml"' in page
    assert "/recent.atom?kind=article" in page


def test_a_feed_without_changes_and_one_with_odd_characters_are_xml(client: Client, alice: User) -> None:
    parsed(client.get("/recent.atom"))
    create_page(alice, Kind.ARTICLE, "x", title="A & B", summary="bell \x07 and \x1b[0m")
    feed = parsed(client.get("/recent.atom"))
    assert feed.findtext(f"{ATOM}entry/{ATOM}title") == "alice wrote A & B"


def test_more_changes_mean_no_more_queries(
    client: Client, alice: User, gpt2: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def write(n: int) -> None:
        for _ in range(n):
            note = create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1")
            thread = create_page(alice, Kind.TALK, "Really?", parent=note)
            reply = create_page(alice, Kind.TALK, "Yes.", parent=thread)
            save_revision(reply, alice, "No.", base_version=1)

    write(1)
    with django_assert_num_queries(2):
        client.get("/recent/")
    write(10)
    for path in ("/recent/", "/recent.json?model=gpt2", "/recent.atom?person=alice"):
        with django_assert_num_queries(2):
            client.get(path)


def test_a_button_watches_and_stops_without_a_script(
    client: Client, texts: None, alice: User, bob: User, gpt2: LanguageModel
) -> None:
    for path in ("/m/gpt2/L5H2/", "/w/sinks/", "/people/bob/", "/m/gpt2/"):
        assert b'class="watch"' not in client.get(path).content
    client.force_login(alice)
    for path, target in (
        ("/m/gpt2/L5H2/", "gpt2/L5H2"),
        ("/m/gpt2/", "gpt2"),
        ("/m/gpt2/L5/", "gpt2/L5"),
        ("/m/gpt2/L5N3/", "gpt2/L5N3"),
        ("/w/sinks/", "sinks"),
        ("/people/bob/", "@bob"),
    ):
        content = client.get(path).content.decode()
        assert f'name="target" value="{target}"' in content, path
        response = client.post("/watch/", {"target": target, "on": "yes", "next": path})
        assert response.headers["Location"] == path
        assert Watch.objects.filter(user=alice, target=target).count() == 1
        assert "Watching – stop" in client.get(path).content.decode()
        assert target in client.get("/watching/").content.decode()
        client.post("/watch/", {"target": target, "next": path})
        assert not Watch.objects.filter(user=alice, target=target).exists()


def test_what_is_not_there_or_hidden_cannot_be_watched(
    client: Client, texts: None, alice: User, bob: User, moderator: User
) -> None:
    hide(Page.objects.get(key="sinks"), moderator, reason="spam")
    client.force_login(alice)
    for target in ("sinks", "gpt2/L50H1", "nothing", "@nobody", "", "\0", "a/99", "x" * 500):
        assert client.post("/watch/", {"target": target, "on": "yes"}).status_code == 404
    assert client.post("/watch/", {"target": "gpt2", "on": "yes", "next": "//evil.example/"}).headers["Location"] == (
        "/watching/"
    )
    assert client.get("/watch/").status_code == 405
    client.logout()
    assert client.post("/watch/", {"target": "gpt2", "on": "yes"}).status_code == 403
    assert client.get("/watching/").status_code == 302
    assert client.get("/watching.json").status_code == 401
    # what one watched before it was hidden stays in the list, by the name that one knew
    client.force_login(bob)
    Watch.objects.get_or_create(user=alice, target="sinks")
    client.force_login(alice)
    assert "not there now" in client.get("/watching/").content.decode()


def test_more_watched_mean_no_more_queries(
    client: Client, alice: User, gpt2: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.force_login(alice)

    def add(heads: range) -> None:
        Watch.objects.bulk_create(Watch(user=alice, target=f"gpt2/L{layer}H1") for layer in heads)
        for layer in heads:
            page = create_page(alice, Kind.NOTE, "x", about=f"gpt2/L{layer}H2")
            create_page(alice, Kind.TALK, "y", parent=page)

    add(range(2))
    client.get("/watching/")
    with django_assert_num_queries(12, exact=False) as few:
        client.get("/watching/")
    add(range(2, 12))
    with django_assert_num_queries(len(few.captured_queries)):
        client.get("/watching/")


def test_since_you_were_here(client: Client, texts: None, alice: User, bob: User, moderator: User) -> None:
    client.force_login(alice)
    assert b"Since you were here" not in client.get("/").content  # her first visit
    LastSeen.objects.update(before=timezone.now())
    content = client.get("/").content.decode()
    assert "Since you were here" in content
    assert "Nobody else has changed anything." in content
    LastSeen.objects.update(seen_at=timezone.now() - timedelta(days=1))
    hidden = create_page(bob, Kind.ARTICLE, "x", title="Secret")
    hide(hidden, moderator, reason="spam")
    with_own = create_page(alice, Kind.ARTICLE, "x", title="My own")
    content = html.unescape(client.get("/").content.decode())
    section = content[content.index("Since you were here") : content.index("As a list of changes")]
    assert ">IOI</a>" in section
    assert "Secret" not in section
    assert with_own.title not in section
    client.logout()
    assert b"Since you were here" not in client.get("/").content


def test_a_visit_ends_with_silence(alice: User) -> None:
    assert last_visit(alice) is None
    note_visit(alice)
    note_visit(alice)
    assert last_visit(alice) is None
    ended = timezone.now() - GAP - timedelta(minutes=1)
    LastSeen.objects.update(seen_at=ended)
    assert last_visit(alice) == ended  # before this visit is noted
    note_visit(alice)
    assert last_visit(alice) == ended  # and after
    note_visit(alice)
    assert last_visit(alice) == ended


def test_reading_pages_notes_the_visit_and_data_do_not(client: Client, alice: User) -> None:
    client.get("/")
    client.force_login(alice)
    client.get("/index.json")
    assert not LastSeen.objects.exists()
    client.get("/recent/")
    assert LastSeen.objects.get().user_id == alice.pk


def test_the_header_asks_one_question_for_notifications(
    client: Client, alice: User, bob: User, texts: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        client.get("/recent/")
    client.force_login(bob)
    client.get("/recent/")
    with django_assert_num_queries(5):  # session, person, header, changes
        client.get("/recent/")


def test_renames_are_among_the_changes_for_who_sees_the_article(
    client: Client, alice: User, bob: User, moderator: User, texts: None
) -> None:
    article = Page.objects.get(key="ioi")
    rename_article(article, alice, "Indirect & objects")
    newest, *others = client.get("/recent.json").json()["changes"]
    assert (newest["name"], newest["author"], newest["revision"]) == ("Indirect & objects", "alice", None)
    assert newest["renamed"] == ["IOI", "Indirect & objects"]
    assert len(others) == 4
    assert "renamed “IOI” to “Indirect &amp; objects”" in client.get("/recent/").text
    entry = parsed(client.get("/recent.atom")).findall(f"{ATOM}entry")[0]
    assert entry.findtext(f"{ATOM}title") == "alice renamed “IOI” to “Indirect & objects”"
    for query, is_there in (
        ({"kind": "article"}, True),
        ({"kind": "note"}, False),
        ({"model": "gpt2"}, True),
        ({"tag": "circuits"}, True),
        ({"tag": "heads"}, False),
        ({"person": "alice"}, True),
        ({"person": "bob"}, False),
        ({"only": "new"}, False),
        ({"since": "2999-01-01"}, False),
    ):
        found = client.get("/recent.json", query).json()["changes"]
        assert any("renamed" in change for change in found) is is_there, query
    hide(article, moderator, reason="spam")
    client.force_login(alice)
    assert "renamed" not in client.get("/recent/").text, "bob wrote it"
    client.force_login(bob)
    assert "renamed “IOI”" in client.get("/recent/").text


def test_pages_of_changes_and_renames_go_on_without_gap_where_all_have_one_time(client: Client, alice: User) -> None:
    article = create_page(alice, Kind.ARTICLE, "x", title="Sinks")
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    for i in range(60):
        page = Page.objects.create(kind=Kind.NOTE, model_slug="gpt2", component="L0H0", author=alice, version=1)
        Revision.objects.create(page=page, n=1, author=alice, text=str(i), digest="", created_at=at)
        AuditEntry.objects.create(actor=alice, page=article, action="rename", before=f"{i}", after="x", created_at=at)
    seen: list[str] = []
    address: str | None = "/recent.json"
    while address:
        data = client.get(address).json()
        assert len(data["changes"]) <= 50
        seen += [str(change.get("renamed", change["page"])) for change in data["changes"]]
        address = data["next"]
        assert len(seen) < 200
    assert len(seen) == len(set(seen)) == 121
