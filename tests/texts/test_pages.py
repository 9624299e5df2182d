"""Pages of texts through HTTP: reading, writing, conflicts, history, managing."""

from __future__ import annotations

import hashlib
import html
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.drafts import draft_target, find_draft, keep_draft
from wiki.texts.models import AuditEntry, Draft, Kind, Page, Revision
from wiki.texts.moderation import hide, retract, tag_page, unhide, withhold_revision
from wiki.texts.writing import create_page, rename_article, save_revision

N_QUERIES = 16  # two of them say who is signed in, two whether there is news


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def hidden_fields(response: Any) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', response.content.decode()))


@pytest.fixture
def article(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, "one\ntwo\nthree\n", title="Name movers")


@pytest.fixture
def reader(db: None) -> User:
    return User.objects.create_user("somebody", role=Role.READER)


def test_an_article_is_written_read_and_found_in_lists(alice: User, client: Client) -> None:
    writer = client_of(alice)
    form = writer.get("/write/article/?title=Name movers")
    assert 'value="Name movers"' in text_of(form)
    sent = {**hidden_fields(form), "title": "Name movers", "text": "They **move** names to [[the end]].", "do": "save"}
    saved = writer.post("/write/article/", sent)
    assert saved.headers["Location"] == "/w/name-movers/"
    read = text_of(client.get("/w/name-movers/"))
    assert "<strong>move</strong>" in read
    assert 'href="/write/article/?title=the+end"' in read
    assert "Name movers" in text_of(client.get("/w/"))
    assert "the end" in text_of(client.get("/wanted/"))
    assert "Name movers" in text_of(client.get("/people/alice/texts/"))


def test_the_same_form_sent_twice_is_one_text(alice: User) -> None:
    writer = client_of(alice)
    sent = {"title": "Twice", "text": "once", "submission": "a" * 32, "do": "save"}
    first, second = (writer.post("/write/article/", sent) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"] == "/w/twice/"
    assert Revision.objects.count() == 1


def test_a_missing_article_offers_to_be_written(client: Client, db: None) -> None:
    response = client.get("/w/never written/")
    assert response.status_code == 404
    assert "nobody has written it yet" in text_of(response)
    assert "/write/article/?title=never+written" in text_of(response)


def test_a_missing_article_is_named_as_it_was_asked_for(article: Page, alice: User, client: Client) -> None:
    said = text_of(client.get("/w/keyhole-heads/"))
    assert "<h1>Keyhole heads</h1>" in said
    assert "/write/article/?title=Keyhole+heads" in said
    save_revision(article, alice, "See [[keyhole Heads]].", base_version=1)
    assert "<h1>Keyhole Heads</h1>" in text_of(client.get("/w/keyhole-heads/"))


def test_a_second_summary_leads_to_the_first(gpt2: LanguageModel, alice: User) -> None:
    first = create_page(alice, Kind.SUMMARY, "Looks back. See [[L5H1]].", about="gpt2/L5H1")
    answer = client_of(alice).post("/write/summary/?about=gpt2/L5H1", {"text": "Looks.", "do": "save"})
    assert "gpt2/L5H1 has its summary already" in text_of(answer)
    assert f'<a href="/a/{first.pk}/">Read what is there</a>' in text_of(answer)


def test_a_text_is_not_among_what_links_to_it(gpt2: LanguageModel, alice: User, client: Client) -> None:
    own = create_page(alice, Kind.SUMMARY, "See [[L5H1]].", about="gpt2/L5H1")
    for path in ("", "links/"):
        assert "Nothing yet." in text_of(client.get(f"/a/{own.pk}/{path}"))
    assert client.get(f"/a/{own.pk}.json").json()["linked_from"] == []
    other = create_page(alice, Kind.ARTICLE, "See [[gpt2/L5H1]].", title="Guide")
    for path in ("", "links/"):
        assert "Guide</a>" in text_of(client.get(f"/a/{own.pk}/{path}"))
    assert [each["id"] for each in client.get(f"/a/{own.pk}.json").json()["linked_from"]] == [other.pk]


def test_earlier_titles_and_other_spellings_lead_to_the_article(article: Page, alice: User, client: Client) -> None:
    rename_article(article, alice, "Name mover heads")
    assert client.get("/w/name-movers/?rev=1").headers["Location"] == "/w/name-mover-heads/?rev=1&from=name-movers"
    assert client.get("/w/Name Mover Heads/").headers["Location"] == "/w/name-mover-heads/"
    assert client.get(f"/a/{article.pk}/").headers["Location"] == "/w/name-mover-heads/"
    assert "Also found as name-movers" in text_of(client.get("/w/name-mover-heads/"))


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        ({"title": "L5H1", "text": "typed words"}, 400, "expected up to 200 characters that are no component's name"),
        (
            {"title": "Name movers", "text": "typed words"},
            400,
            "“Name movers” leads to the article “Name movers” already",
        ),
        ({"title": "Long", "text": "typed words" + "x" * 200_001}, 400, "expected at most 200,000 bytes"),
        ({"title": "Deep", "text": "typed words" + "\n" + "> " * 99}, 400, "typed words"),
        ({"title": "Empty", "text": "  "}, 400, "expected some words, got none"),
        ({"title": "Nul", "text": "typed words\0"}, 400, "got a NUL character"),
    ],
)
def test_what_is_refused_comes_back_as_it_was_typed(
    article: Page, alice: User, sent: dict[str, str], status: int, sentence: str
) -> None:
    response = client_of(alice).post("/write/article/", {**sent, "do": "save"})
    assert response.status_code == status
    assert sentence in text_of(response)
    assert sent["text"].strip("\0") in text_of(response)
    assert f'value="{sent["title"]}"' in text_of(response)
    assert Page.objects.count() == 1


def test_a_title_that_is_taken_leads_to_who_has_it(article: Page, alice: User) -> None:
    response = client_of(alice).post("/write/article/", {"title": "name  movers", "text": "x", "do": "save"})
    assert 'href="/w/name-movers/"' in text_of(response)


def test_a_session_that_ended_loses_no_text(article: Page, client: Client) -> None:
    sent = {"text": "typed words", "base_version": "1", "do": "save"}
    response = client.post(f"/a/{article.pk}/edit/", sent)
    assert response.status_code == 403
    assert "your session ended" in text_of(response)
    assert "typed words" in text_of(response)


@pytest.mark.parametrize("address", ["/a/{pk}/edit/", "/write/talk/?page={pk}"])
def test_what_is_hidden_while_somebody_writes_loses_no_text(
    article: Page, bob: User, moderator: User, address: str
) -> None:
    hide(article, moderator, reason="spam")
    sent = {"text": "typed words", "title": "T", "base_version": "1", "do": "save"}
    response = client_of(bob).post(address.format(pk=article.pk), sent)
    assert response.status_code == 404
    assert "\ntyped words</textarea>" in text_of(response)
    assert "Name movers" not in text_of(response)


@pytest.mark.parametrize(
    "address", ["/a/{pk}/edit/", "/write/talk/?page={pk}", "/write/article/", "/write/summary/?about=gpt2/L5H1"]
)
def test_a_session_that_ended_loses_no_text_where_reading_needs_an_account(
    article: Page, client: Client, settings: Settings, address: str
) -> None:
    settings.ANONYMOUS_READING = False
    sent = {"text": "typed words", "title": "T", "base_version": "1", "theirs": "1", "do": "merge"}
    response = Client().post(address.format(pk=article.pk), sent)
    assert response.status_code == 403
    assert "\ntyped words</textarea>" in text_of(response)
    assert "Name movers" not in text_of(response)
    assert "one\ntwo" not in text_of(response)
    response = Client().post(f"/a/{article.pk}/revert/", {"to": "1", "text": "typed words"})
    assert response.status_code == 403
    assert 'value="typed words"' in text_of(response)
    assert "one\ntwo" not in text_of(response)


def test_a_form_without_its_token_shows_what_was_typed(article: Page, alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    response = strict.post(f"/a/{article.pk}/edit/", {"text": "typed <b>words</b>", "do": "save"})
    assert response.status_code == 403
    assert "typed &lt;b&gt;words&lt;/b&gt;" in response.content.decode()


def test_who_may_not_write_is_told_and_keeps_the_text(article: Page, reader: User) -> None:
    client = client_of(reader)
    assert client.get(f"/a/{article.pk}/edit/").status_code == 403
    response = client.post(f"/a/{article.pk}/edit/", {"text": "typed words", "base_version": "1", "do": "save"})
    assert response.status_code == 403
    assert "expected a researcher of this site, got somebody, who is a reader." in text_of(response)
    assert "typed words" in text_of(response)


def test_forms_send_who_is_not_signed_in_to_sign_in_and_back(article: Page, client: Client) -> None:
    for path in ("/write/article/?title=IOI", f"/a/{article.pk}/edit/", f"/a/{article.pk}/manage/", "/drafts/"):
        response = client.get(path)
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.both_databases
def test_of_two_who_edit_at_once_nobody_loses_a_word(article: Page, alice: User, bob: User) -> None:
    first, second = client_of(alice), client_of(bob)
    forms = [each.get(f"/a/{article.pk}/edit/") for each in (first, second)]
    edit = f"/a/{article.pk}/edit/"
    assert first.post(edit, {**hidden_fields(forms[0]), "text": "ONE\ntwo\nthree\n", "do": "save"}).status_code == 302
    conflict = second.post(edit, {**hidden_fields(forms[1]), "text": "one\ntwo\nTHREE\n", "do": "save"})
    assert conflict.status_code == 409
    said = text_of(conflict)
    assert "alice saved revision 2 while you were editing revision 1" in said
    assert "THREE" in said
    draft = find_draft(bob, draft_target(article))
    assert draft is not None
    assert draft.text == "one\ntwo\nTHREE\n"
    sent = {**hidden_fields(conflict), "text": "one\ntwo\nTHREE\n", "do": "merge"}
    assert second.post(edit, sent).status_code == 302
    article.refresh_from_db()
    assert article.current is not None
    assert (article.current.n, article.current.text) == (3, "ONE\ntwo\nTHREE\n")
    assert find_draft(bob, draft_target(article)) is None


@pytest.mark.parametrize(
    ("choice", "merged"),
    [("yours", "mine\n"), ("theirs", "hers\n"), ("both", "hers\nmine\n")],
)
def test_where_both_changed_the_same_lines_the_writer_chooses(
    article: Page, alice: User, bob: User, choice: str, merged: str
) -> None:
    save_revision(article, alice, "hers\n", base_version=1)
    second, edit = client_of(bob), f"/a/{article.pk}/edit/"
    conflict = second.post(edit, {"text": "mine\n", "base_version": "1", "do": "save"})
    assert 'name="clash-0"' in text_of(conflict)
    assert "checked" not in text_of(conflict)
    assert "1 place below was changed by both of you" in text_of(conflict)
    sent = {**hidden_fields(conflict), "text": "mine\n", "clash-0": choice}
    edited = second.post(edit, {**sent, "do": "merge-edit"})
    assert edited.status_code == 200
    assert f">\n{merged}</textarea>" in text_of(edited)
    assert hidden_fields(edited)["base_version"] == "2"
    assert second.post(edit, {**sent, "do": "merge"}).status_code == 302
    article.refresh_from_db()
    assert article.current is not None
    assert article.current.text == merged


@pytest.mark.parametrize("do", ["merge", "merge-edit"])
@pytest.mark.parametrize("second_choice", [{}, {"clash-1": "else"}])
def test_nothing_is_put_together_before_every_clash_is_decided(
    article: Page, alice: User, bob: User, do: str, second_choice: dict[str, str]
) -> None:
    save_revision(article, alice, "hers\ntwo\nhers too\n", base_version=1)
    sent = {"text": "mine\ntwo\nmine too\n", "base_version": "1", "theirs": "2", "clash-0": "theirs"}
    answer = client_of(bob).post(f"/a/{article.pk}/edit/", {**sent, **second_choice, "do": do})
    assert answer.status_code == 400
    assert "got nothing for 1 of them" in text_of(answer)
    assert "mine too" in text_of(answer)
    checked = re.findall(r'name="clash-(\d)"\s+value="(\w+)"\s+required\s+checked', text_of(answer))
    assert checked == [("0", "theirs")]
    article.refresh_from_db()
    assert article.version == 2


def test_a_draft_of_an_older_revision_says_what_was_saved_since(article: Page, alice: User, bob: User) -> None:
    keep_draft(bob, draft_target(article), "half a", page=article, base_version=1)
    edit = f"/a/{article.pk}/edit/"
    assert "was saved since this draft" not in text_of(client_of(bob).get(edit))
    save_revision(article, alice, "hers\n", base_version=1)
    said = text_of(client_of(bob).get(edit))
    assert "Revision 2 by alice was saved since this draft" in " ".join(said.split())
    assert f'href="/a/{article.pk}/diff/?from=1&to=2"' in said
    assert client_of(bob).get(f"/a/{article.pk}/diff/?from=1&to=2").status_code == 200
    assert "was saved since this draft" not in text_of(client_of(bob).get(f"{edit}?draft=no"))


def test_a_conflict_shows_nothing_of_a_withheld_revision(
    article: Page, alice: User, bob: User, moderator: User
) -> None:
    save_revision(article, alice, "a secret word\n", base_version=1)
    save_revision(article, alice, "nothing\n", base_version=2)
    withhold_revision(article, moderator, 2, reason="a secret")
    sent = {"text": "mine\n", "base_version": "2"}
    for do in ({"do": "save"}, {"do": "merge-edit", "theirs": "3"}, {"do": "merge-edit", "theirs": "2"}):
        assert "secret word" not in text_of(client_of(bob).post(f"/a/{article.pk}/edit/", {**sent, **do}))
    assert "secret word" not in text_of(client_of(bob).get(f"/a/{article.pk}/diff/?from=1&to=3"))
    for address in ("?rev=2", "diff/?to=2"):
        base = "/w/name-movers/" if address.startswith("?") else f"/a/{article.pk}/"
        assert client_of(bob).get(base + address).status_code == 404
        assert "secret word" in text_of(client_of(moderator).get(base + address))
    assert "withheld by a moderator" in text_of(client_of(bob).get(f"/a/{article.pk}/history/"))
    # the newest change is compared with what may be seen
    assert "revisions 1 to 3" in text_of(client_of(bob).get(f"/a/{article.pk}/diff/"))


def test_saving_what_is_there_already_ends_the_draft(article: Page, alice: User) -> None:
    keep_draft(alice, draft_target(article), "half a", page=article, base_version=1)
    sent = {"text": "one\ntwo\nthree\n", "base_version": "1", "do": "save"}
    assert client_of(alice).post(f"/a/{article.pk}/edit/", sent).status_code == 302
    assert not Draft.objects.exists()


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "address",
    [
        "/people/%00/",
        "/people/%00/texts/",
        "/people/%00/block/",
        "/w/%00/",
        "/w/%00/circuit.svg",
        "/w/?tag=%00",
        "/audit/?by=%00&person=%00&action=%00",
        "/recent/?person=%00",
        "/search/?q=%00&author=%00",
        "/complete/?kind=person&q=%00",
        "/write/note/?about=%00",
        "/write/summary/?about=%00/L5",
    ],
)
def test_a_character_that_databases_refuse_is_no_error(moderator: User, address: str) -> None:
    assert client_of(moderator).get(address).status_code in (200, 400, 404)


def test_a_draft_is_kept_offered_and_discarded(article: Page, alice: User, bob: User) -> None:
    writer, target = client_of(alice), draft_target(article)
    kept = writer.post("/drafts/keep/", {"target": target, "text": "half a", "base_version": "1"})
    assert kept.status_code == 200
    form = text_of(writer.get(f"/a/{article.pk}/edit/"))
    assert "half a</textarea>" in form
    assert "This is your draft of" in form
    assert "three\n</textarea>" in text_of(writer.get(f"/a/{article.pk}/edit/?draft=no"))
    assert "half a" not in text_of(client_of(bob).get(f"/a/{article.pk}/edit/"))
    assert "Name movers" in text_of(writer.get("/drafts/"))
    assert "Name movers" not in text_of(client_of(bob).get("/drafts/"))
    client_of(bob).post("/drafts/discard/", {"target": target})
    assert find_draft(alice, target) is not None
    writer.post("/drafts/discard/", {"target": target})
    assert find_draft(alice, target) is None


def test_the_list_of_drafts_reads_their_beginnings_alone(
    article: Page, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    keep_draft(alice, draft_target(article), "Begun. " + "x" * 300_000, page=article)
    writer = client_of(alice)
    with django_assert_max_num_queries(N_QUERIES) as asked:
        listed = text_of(writer.get("/drafts/"))
    assert "Begun. xxx" in listed
    assert not any(re.search(r'[ ,]"texts_draft"\."text"', query["sql"]) for query in asked.captured_queries)


@pytest.mark.parametrize(
    "target", ["", "page/", "page/x", "elsewhere/1", "new/\0", "new/x", "new/elephant/x", "new/talk/\0", "x" * 400]
)
def test_a_draft_without_a_name_is_refused(alice: User, target: str) -> None:
    response = client_of(alice).post("/drafts/keep/", {"target": target, "text": "x"})
    assert response.status_code == 400
    assert "expected the name of a draft" in response.json()["error"]
    assert client_of(alice).get("/drafts/").status_code == 200


def test_drafts_of_new_texts_lead_back_to_where_they_are_written(gpt2: LanguageModel, alice: User) -> None:
    writer = client_of(alice)
    for path, sent in (
        ("/write/article/", {"title": "To be"}),
        ("/write/summary/?about=gpt2/L5H1", {}),
        ("/write/talk/?about=gpt2/L5H1", {"title": "Why"}),
    ):
        assert "Kept as your draft" in text_of(writer.post(path, {**sent, "text": "begun", "do": "draft"}))
    listed = writer.get("/drafts/").content.decode()
    for url in re.findall(r'href="(/write/[^"]+)"', listed):
        assert "begun</textarea>" in text_of(writer.get(html.unescape(url)))
    assert len(re.findall(r'href="/write/', listed)) == 3


@pytest.mark.parametrize("asked", ["", "?title=To%20be"])
def test_the_draft_of_an_article_ends_with_its_being_saved_whatever_its_title_became(alice: User, asked: str) -> None:
    writer, address = client_of(alice), f"/write/article/{asked}"
    (target,) = re.findall(r'name="target" value="([^"]*)"', text_of(writer.get(address)))
    writer.post("/drafts/keep/", {"target": target, "title": "Another", "text": "begun"})
    (listed,) = re.findall(r'href="(/write/[^"]+)"', text_of(writer.get("/drafts/")))
    form = text_of(writer.get(html.unescape(listed)))
    assert "begun</textarea>" in form
    assert 'value="Another"' in form
    writer.post(address, {"title": "Not to be", "text": "begun and ended", "do": "save"})
    assert Page.objects.get().title == "Not to be"
    assert not Draft.objects.exists()


def test_a_summary_is_one_a_component_and_named_in_any_notation(gpt2: LanguageModel, alice: User) -> None:
    writer = client_of(alice)
    saved = writer.post("/write/summary/?about=gpt2/5.1", {"text": "See [[L5H5]].", "do": "save"})
    page = Page.objects.get()
    assert (page.about, saved.headers["Location"]) == ("gpt2/L5H1", "/m/gpt2/L5H1/#summary")
    edited = writer.post(f"/a/{page.pk}/edit/", {"text": "See [[L5H5]]!", "base_version": "1", "do": "save"})
    assert edited.headers["Location"] == "/m/gpt2/L5H1/#summary"
    assert 'id="summary"' in text_of(writer.get("/m/gpt2/L5H1/"))
    assert 'href="/m/gpt2/L5H5/"' in text_of(writer.get(f"/a/{page.pk}/"))
    assert writer.get("/write/summary/?about=gpt2/L5H1").headers["Location"] == f"/a/{page.pk}/edit/"
    again = writer.post("/write/summary/?about=gpt2/L5H1", {"text": "Another.", "do": "save"})
    assert again.status_code == 400
    assert f'href="/a/{page.pk}/"' in text_of(again)


def test_a_thread_has_replies_and_a_reply_none(article: Page, alice: User, bob: User, client: Client) -> None:
    opened = client_of(alice).post(
        f"/write/talk/?page={article.pk}", {"title": "Is it so?", "text": "Why?", "do": "save"}
    )
    thread = Page.objects.get(kind=Kind.TALK)
    assert opened.headers["Location"] == f"/a/{thread.pk}/"
    replied = client_of(bob).post(f"/write/talk/?page={thread.pk}", {"text": "Because.", "do": "save"})
    reply = Page.objects.get(parent=thread)
    assert replied.headers["Location"] == f"/a/{thread.pk}/#text-{reply.pk}"
    assert "Because." in text_of(client.get(f"/a/{thread.pk}/"))
    assert "1 reply" in text_of(client.get("/w/name-movers/"))
    refused = client_of(alice).post(f"/write/talk/?page={reply.pk}", {"text": "No.", "do": "save"})
    assert refused.status_code == 400
    assert "reply in its thread" in text_of(refused)


@pytest.mark.both_databases
def test_a_reply_is_shown_on_the_page_of_replies_that_it_is_on(
    article: Page, alice: User, bob: User, moderator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reading", "writing"):
        monkeypatch.setattr(f"wiki.texts.views.{module}.PER_PAGE", 2)
    thread = create_page(alice, Kind.TALK, "Why?", parent=article)
    replies = [create_page(alice, Kind.TALK, f"Because of {n}.", parent=thread) for n in range(3)]
    hide(replies[0], moderator, reason="spam")
    client_of(bob).post(f"/write/talk/?page={thread.pk}", {"text": "I see.", "do": "save"})
    said = client_of(bob).post(f"/write/talk/?page={thread.pk}", {"text": "No.", "do": "save"})
    address, _, place = said.headers["Location"].partition("#")
    assert f'id="{place}"' in text_of(client_of(bob).get(address))
    edited = client_of(alice).post(f"/a/{replies[1].pk}/edit/", {"text": "x", "base_version": "1", "do": "save"})
    address, _, place = edited.headers["Location"].partition("#")
    assert f'id="{place}"' in text_of(client_of(alice).get(address))


@pytest.mark.parametrize("about", ["", "gpt9/L5H1", "gpt2/L99H1", "name-movers", "@alice", "gpt2/"])
@pytest.mark.parametrize("kind", ["summary", "talk"])
def test_what_is_not_there_is_not_written_about(
    article: Page, gpt2: LanguageModel, alice: User, kind: str, about: str
) -> None:
    address = f"/write/{kind}/?about={about}"
    assert client_of(alice).get(address).status_code == 404
    response = client_of(alice).post(address, {"text": "typed words", "do": "save"})
    assert response.status_code == 404
    assert "expected a model or a part of one that is here" in text_of(response)
    assert "\ntyped words</textarea>" in text_of(response)
    assert Page.objects.count() == 1


def test_what_hangs_on_a_hidden_page_is_not_there(article: Page, alice: User, bob: User, moderator: User) -> None:
    thread = create_page(bob, Kind.TALK, "Why?", parent=article, title="Hm")
    hide(article, moderator, reason="spam")
    for path in ("/w/name-movers/", f"/a/{thread.pk}.json", f"/a/{article.pk}/history/", f"/a/{article.pk}.bib"):
        assert client_of(bob).get(path).status_code == 404
        assert client_of(moderator).get(path).status_code == 200
    assert "The reason: spam" in text_of(client_of(alice).get("/w/name-movers/"))
    refused = client_of(bob).post(f"/write/talk/?page={thread.pk}", {"text": "typed words", "do": "save"})
    assert refused.status_code == 404


def test_history_difference_and_the_way_back(article: Page, alice: User, bob: User, client: Client) -> None:
    save_revision(article, bob, "one\nTWO\nthree\n", base_version=1, summary="louder")
    listed = text_of(client.get(f"/a/{article.pk}/history/"))
    assert "louder" in listed
    changed = text_of(client.get(f"/a/{article.pk}/diff/?from=1&to=2"))
    assert '<del><span class="hidden">removed: </span>two</del>' in changed
    assert '<ins><span class="hidden">added: </span>TWO</ins>' in changed
    assert "This is revision 1 of 2" in text_of(client.get("/w/name-movers/?rev=1"))
    back = client_of(alice).get(f"/a/{article.pk}/revert/?to=1")
    assert "It changes this" in text_of(back)
    assert client_of(alice).post(f"/a/{article.pk}/revert/", hidden_fields(back)).status_code == 302
    article.refresh_from_db()
    assert article.current is not None
    assert (article.version, article.current.text) == (3, "one\ntwo\nthree\n")
    stale = client_of(alice).post(f"/a/{article.pk}/revert/", {"to": "2", "base_version": "2"})
    assert stale.status_code == 409
    assert article.revisions.count() == 3


@pytest.mark.parametrize("rev", ["0", "99", "x", "", "1" * 30, "²"])
def test_a_revision_that_is_not_there_is_404_with_a_sentence(article: Page, client: Client, rev: str) -> None:
    response = client.get(f"/w/name-movers/?rev={rev}")
    assert response.status_code == 404
    assert "expected a revision from 1 to 1" in text_of(response)


def test_what_is_retracted_says_so_and_can_be_shown_again(gpt2: LanguageModel, alice: User, client: Client) -> None:
    note = create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    writer = client_of(alice)
    empty = writer.post(f"/a/{note.pk}/retract/", {"reason": " ", "do": "retract"})
    assert empty.status_code == 400
    assert "expected a reason, got none" in text_of(empty)
    writer.post(f"/a/{note.pk}/retract/", {"reason": "It does not.", "do": "retract"})
    assert "Taken back. The reason: It does not." in text_of(client.get(f"/a/{note.pk}/"))
    writer.post(f"/a/{note.pk}/retract/", {"reason": "It does.", "do": "unretract"})
    assert "Taken back" not in text_of(client.get(f"/a/{note.pk}/"))


def test_tags_sort_and_a_title_that_cannot_be_comes_back(article: Page, alice: User, client: Client) -> None:
    writer = client_of(alice)
    writer.post(f"/a/{article.pk}/tags/", {"tags": "Circuit, name mover"})
    assert "Name movers" in text_of(client.get("/w/?tag=circuit"))
    assert "Name movers" not in text_of(client.get("/w/?tag=other"))
    assert [each["title"] for each in client.get("/w.json?tag=name-mover").json()["articles"]] == ["Name movers"]
    refused = writer.post(f"/a/{article.pk}/rename/", {"title": "L5H1"})
    assert refused.status_code == 400
    assert 'value="L5H1"' in text_of(refused)
    assert writer.post(f"/a/{article.pk}/rename/", {"title": "Movers"}).headers["Location"] == "/w/movers/"


def test_a_rename_says_nothing_of_a_hidden_page(moderator: User, alice: User, bob: User) -> None:
    own = create_page(moderator, Kind.ARTICLE, "Mine.", title="Heads")
    hidden = create_page(alice, Kind.ARTICLE, "Spam.", title="Taken")
    rename_article(hidden, alice, "A name that nobody should read")
    hide(hidden, moderator, reason="spam")
    response = client_of(bob).post(f"/a/{own.pk}/rename/", {"title": "Taken"})
    assert response.status_code == 400
    assert "leads to a page already" in text_of(response)
    assert "nobody should read" not in text_of(response)


def test_a_link_under_a_rename_still_leads_there(article: Page, alice: User, bob: User, client: Client) -> None:
    other = create_page(bob, Kind.ARTICLE, "See [[Name movers]].", title="Other")
    rename_article(article, alice, "Movers")
    assert "/w/movers/" in text_of(client.get("/w/other/"))
    assert "Other" in text_of(client.get("/w/movers/"))
    assert [link["id"] for link in client.get(f"/a/{article.pk}.json").json()["linked_from"]] == [other.pk]
    assert "Other" in text_of(client.get(f"/a/{article.pk}/links/"))


def test_data_say_what_pages_say(article: Page, alice: User, client: Client) -> None:
    save_revision(article, alice, "two", base_version=1, summary="shorter")
    data = client.get(f"/a/{article.pk}.json?rev=1").json()
    assert (data["title"], data["newest"], data["revision"]["n"]) == ("Name movers", 2, 1)
    assert data["revision"]["sha256"] == hashlib.sha256(b"one\ntwo\nthree\n").hexdigest()
    listed = client.get(f"/a/{article.pk}/history.json").json()["revisions"]
    assert [(each["n"], each["summary"]) for each in listed] == [(2, "shorter"), (1, "")]


def test_a_revision_is_cited_by_its_hash(alice: User, client: Client) -> None:
    page = create_page(alice, Kind.ARTICLE, "text", title="50% of $heads$ & {more}")
    entry = client.get(f"/a/{page.pk}.bib?rev=1").content.decode()
    assert entry.startswith(f"@misc{{loupe-{page.pk}-1,\n")
    assert r"title = {{50\% of \$heads\$ \& \{more\}}}" in entry
    assert hashlib.sha256(b"text").hexdigest() in entry
    assert "?rev=1" in entry
    assert entry.count("{") == entry.count("}")


def test_queries_do_not_grow_with_what_is_there(
    article: Page, alice: User, bob: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def grow(n: int) -> None:
        for i in range(n):
            page = Page.objects.get(pk=article.pk)
            save_revision(page, alice, f"[[Other {i}]] [[gpt2/L1H1]] @bob", base_version=page.version)
            thread = create_page(bob, Kind.TALK, "Why?", parent=article, title=f"{n} {i}")
            create_page(alice, Kind.TALK, "[[Name movers]] so", parent=thread)
            create_page(bob, Kind.ARTICLE, "[[Name movers]]", title=f"Linking {n} {i}")
            tag_page(page, alice, ["circuit", f"tag-{i}"])
            keep_draft(alice, f"new/article/{n}-{i}", "x")

    reader = client_of(alice)
    thread = create_page(bob, Kind.TALK, "First", parent=article)
    paths = [
        "/w/name-movers/",
        f"/a/{thread.pk}/",
        f"/a/{article.pk}.json",
        f"/a/{article.pk}/history/",
        f"/a/{article.pk}/diff/",
        f"/a/{article.pk}/links/",
        f"/a/{article.pk}/manage/",
        f"/a/{article.pk}/edit/",
        "/w/",
        "/w.json",
        "/wanted/",
        "/drafts/",
        "/people/alice/texts/",
    ]
    grow(2)
    reader.get("/w/")  # a visit is noted once in five minutes
    for path in paths:
        with django_assert_max_num_queries(N_QUERIES) as few:
            assert reader.get(path).status_code == 200
        n_few = len(few)
        grow(3) if path == paths[0] else None
        with django_assert_max_num_queries(n_few):
            assert reader.get(path).status_code == 200


def test_retracted_texts_are_read_and_not_edited(gpt2: LanguageModel, alice: User) -> None:
    note = create_page(alice, Kind.NOTE, "It copies.", about="gpt2/L5H1")
    retract(note, alice, reason="wrong")
    assert client_of(alice).get(f"/a/{note.pk}/edit/").status_code == 403


def test_an_article_says_by_which_other_title_it_was_reached(alice: User, client: Client) -> None:
    page = create_page(alice, Kind.ARTICLE, "Words.", title="Name movers")
    rename_article(page, alice, "Movers & shakers")
    (place, status), *_ = client.get("/w/Name%20movers/?rev=1", follow=True).redirect_chain
    assert (place, status) == ("/w/movers-&-shakers/?rev=1&from=Name+movers", 302)
    assert "Redirected from “Name movers”" in client.get(place).text
    # another spelling is the same title, and what is in the address alone is not said
    spelt = client.get("/w/Movers%20&%20shakers/", follow=True)
    assert "Redirected from" not in spelt.text
    assert "Redirected from" not in client.get("/w/movers-&-shakers/?from=Best+pills").text
    assert "Redirected from" not in client.get("/w/movers-&-shakers/?from=movers-%26-shakers").text


def test_a_history_has_what_else_was_done_for_who_may_know_it(
    alice: User, bob: User, moderator: User, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    page = create_page(alice, Kind.ARTICLE, "Words.", title="Name movers")
    rename_article(page, alice, "Movers & shakers")
    save_revision(page, bob, "More words.", base_version=1)
    AuditEntry.objects.create(actor=bob, page=page, action="report", reason="An insult")
    hide(page, moderator, reason="Spam <b>")
    unhide(page, moderator, reason="No spam")
    address = f"/a/{page.pk}/history"
    with django_assert_num_queries(20, exact=False) as few:
        shown = client.get(f"{address}/").text
    n_queries = len(few.captured_queries)
    lines = ["charlie showed this again: No spam", "charlie hid this: Spam &lt;b&gt;"]
    renamed = "alice renamed “Name movers” to “Movers &amp; shakers”"
    places = [shown.index(line) for line in (*lines, 'aria-label="to revision 2"', renamed, "to revision 1")]
    assert places == sorted(places), "by time, the newest first"
    assert "insult" not in shown
    events = client.get(f"{address}.json").json()["events"]
    assert [each["reason"] for each in events] == ["No spam", "Spam <b>", ""]
    assert "bob reported this: An insult" in client_of(moderator).get(f"{address}/").text
    # each on the page of the revision that it was done to
    first = client.get(f"{address}.json?before=2").json()["events"]
    assert [each["line"] for each in first] == ["alice renamed “Name movers” to “Movers & shakers”"]
    for n in range(20):
        tag_page(page, alice, [f"tag-{n}"])
    with django_assert_num_queries(n_queries):
        client.get(f"{address}/")
