"""Each service that changes a text counts a change on every model on whose pages it shows, and none is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.links import rebuild_links
from wiki.texts.models import Kind, Page, Protection, TextsVersion
from wiki.texts.moderation import hide, protect, retract, tag_page, unhide, unretract
from wiki.texts.versions import bump
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

from .test_races import at_once

pytestmark = pytest.mark.both_databases


def versions() -> dict[str, int]:
    return dict(TextsVersion.objects.values_list("scope", "n"))


def changed(call: Callable[[], Any]) -> set[str]:
    before = versions()
    call()
    return {scope for scope, n in versions().items() if n != before.get(scope, 0)}


@pytest.fixture
def note(alice: User) -> Page:
    return create_page(alice, Kind.NOTE, "See [[other/L1H1]] and [[IOI]].", about="gpt2/L5H1")


def test_a_note_shows_where_it_is_written_and_where_it_links_to(alice: User, gpt2: LanguageModel) -> None:
    def write(text: str) -> Callable[[], Any]:
        return lambda: create_page(alice, Kind.NOTE, text, about="first/L1")

    assert changed(write("nothing")) == {"first"}
    assert changed(write("[[second/L5H1]] [[third/L5]]")) == {"first", "second", "third"}
    assert changed(write("[[gpt2]] [[name movers]]")) == {"first", "gpt2"}, "a model's own page, no article's"
    article = changed(lambda: create_page(alice, Kind.ARTICLE, "[[part-of::gpt2/L5H1]]", title="T"))
    assert article == {"gpt2"}


def test_what_a_text_no_longer_links_to_shows_that_too(alice: User, note: Page) -> None:
    assert changed(lambda: save_revision(note, alice, "See [[third/L0]].", base_version=1)) == {
        "gpt2",
        "other",
        "third",
    }
    assert changed(lambda: revert_to(note, alice, 1, base_version=2)) == {"gpt2", "other", "third"}
    assert changed(lambda: save_revision(note, alice, note.revisions.get(n=1).text, base_version=3)) == set()


def test_an_article_that_is_there_now_shows_where_it_was_wanted(alice: User, moderator: User, note: Page) -> None:
    article: list[Page] = []
    assert changed(lambda: article.append(create_page(alice, Kind.ARTICLE, "x", title="IOI"))) == {"gpt2"}
    assert changed(lambda: rename_article(article[0], alice, "Names")) == {"gpt2"}
    assert changed(lambda: tag_page(article[0], alice, ["circuit"])) == {"gpt2"}
    assert changed(lambda: hide(article[0], moderator, reason="Spam")) == {"gpt2"}
    assert changed(lambda: unhide(article[0], moderator, reason="Not spam")) == {"gpt2"}
    assert changed(lambda: protect(article[0], moderator, Protection.REVIEWERS, reason="War")) == set()


def test_what_hangs_on_a_page_that_is_hidden_goes_with_it(alice: User, moderator: User, note: Page) -> None:
    thread = create_page(alice, Kind.TALK, "x", parent=note)
    reply = create_page(alice, Kind.TALK, "[[third/L2N5]]", parent=thread)
    create_page(alice, Kind.SUMMARY, f"as said in [[a/{reply.pk}]]", about="fourth/L1")
    assert changed(lambda: hide(note, moderator, reason="Spam")) == {"gpt2", "other", "third", "fourth"}


def test_taking_back_and_rebuilding_show(alice: User, note: Page) -> None:
    assert changed(lambda: retract(note, alice, reason="Wrong")) == {"gpt2", "other"}
    assert changed(lambda: unretract(note, alice, reason="Right")) == {"gpt2", "other"}
    assert changed(rebuild_links) == {"gpt2", "other"}


def test_a_refused_change_counts_nothing(alice: User, bob: User, note: Page) -> None:
    def refused() -> None:
        with pytest.raises(Exception, match="expected"):
            save_revision(note, bob, "mine", base_version=1)

    assert changed(refused) == set()


@pytest.mark.django_db(transaction=True)
def test_of_many_changes_at_once_none_is_lost_and_nobody_waits_in_a_circle() -> None:
    scopes = [f"model-{n}" for n in range(5)]

    def change(n: int) -> None:
        for step in range(10):
            bump([*scopes[(n + step) % 5 :], *scopes[: (n + step) % 5]])

    assert at_once(*[lambda n=n: change(n) for n in range(8)]) == [None] * 8
    assert versions() == dict.fromkeys(scopes, 80)


@pytest.mark.django_db(transaction=True)
def test_of_many_saves_at_once_each_counts_on_all_models_that_it_links_to() -> None:
    people = [User.objects.create_user(f"writer-{n}", role=Role.RESEARCHER) for n in range(6)]
    slugs = [f"model-{n}" for n in range(6)]

    def write(n: int) -> None:
        for step in range(5):
            words = " ".join(f"[[{slug}/L1H1]]" for slug in [*slugs[n:], *slugs[:n]])
            page = create_page(people[n], Kind.NOTE, f"{step} {words}", about=f"{slugs[n]}/L0")
            save_revision(page, people[n], f"{step}! {words}", base_version=1)

    assert at_once(*[lambda n=n: write(n) for n in range(6)]) == [None] * 6
    assert versions() == dict.fromkeys(slugs, 6 * 5 * 2)
