"""Links from both ends: found in texts, normalised, resolved, and kept when what they name moves."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.management import call_command
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.texts import links
from wiki.texts.links import Found, links_of, rebuild_links, wanted_targets, what_links_here
from wiki.texts.models import Kind, Link, LinkKind, Page
from wiki.texts.moderation import hide
from wiki.texts.targets import Target, normalise, resolve, targets_of
from wiki.texts.watching import unwatch, watch, watchers_of
from wiki.texts.writing import create_page, rename_article, save_revision

pytestmark = pytest.mark.both_databases


def note(author: User, text: str, *, about: str = "gpt2/L5H1") -> Page:
    return create_page(author, Kind.NOTE, text, about=about)


def sources(target: str, user: Any) -> list[str]:
    return [link.source.current.text for link in what_links_here([target], user=user).select_related("source__current")]


def test_links_are_found_outside_code_in_order_with_their_kinds() -> None:
    text = (
        "See [[IOI]], [[gpt2/L5H1|that head]] and ![[gpt2/L5H2?text=1]]; ask @alice. Not me@example.org, `[[code]]`\n"
        "```\n[[fenced]] @bob\n```\n[[same-role-as::gpt2/blocks.5.attn.hook_z[1]]] [[unknown::x]] [[]] [[a\nb]] [[open"
    )
    assert links_of(text) == [
        Found(LinkKind.MENTIONS, "IOI"),
        Found(LinkKind.MENTIONS, "gpt2/L5H1"),
        Found(LinkKind.MENTIONS, "gpt2/L5H2"),
        Found(LinkKind.MENTIONS, "@alice"),
        Found(LinkKind.SAME_ROLE_AS, "gpt2/blocks.5.attn.hook_z[1]"),
        Found(LinkKind.MENTIONS, "unknown::x"),
    ]


@pytest.mark.parametrize(
    ("words", "scope", "target"),
    [
        ("gpt2/L5H1", "", "gpt2/L5H1"),
        ("gpt2/5.1", "other", "gpt2/L5H1"),
        ("gpt2/blocks.5.attn.hook_z[1]", "", "gpt2/L5H1"),
        ("a5.h1?text=3", "gpt2", "gpt2/L5H1"),
        ("L3N1024", "gpt2", "gpt2/L3N1024"),
        ("L5H1", "", "l5h1"),
        ("IOI", "gpt2", "ioi"),
        ("Name  Mover_heads#what", "", "name-mover-heads"),
        ("smollm2-135m-instruct-q4", "", "smollm2-135m-instruct-q4"),
        ("@alice", "gpt2", "@alice"),
        ("a/12", "", "a/12"),
        ("x/" + "0" * 64, "", "x/" + "0" * 64),
        ("ÉTÉ", "", "été"),
    ],
)
def test_a_target_has_one_spelling(words: str, scope: str, target: str) -> None:
    found = normalise(words, scope=scope)
    assert found
    assert found.text == target
    again = normalise(found.text)
    assert again
    assert again.text == target


@pytest.mark.parametrize("words", ["", " ", "?x", "#", "a" * 201, "a\0b", "a\nb"])
def test_words_that_can_name_nothing_have_no_target(words: str) -> None:
    assert normalise(words) is None


def test_targets_are_resolved_to_what_is_there(gpt2: LanguageModel, alice: User, anonymous: AnonymousUser) -> None:
    article = create_page(alice, Kind.ARTICLE, "x", title="IOI")
    written = note(alice, "y")
    names = [
        "gpt2",
        "gpt2/L11H11",
        "gpt2/L12",
        "other/L1",
        "ioi",
        "@alice",
        "@nobody",
        f"a/{written.pk}",
        "a/0",
        "missing",
    ]
    targets = {name: normalise(name) for name in [*names, "a/999999999999999999"]}
    found = resolve([target for target in targets.values() if target], user=anonymous)
    by_name = {name: found[target] for name, target in targets.items() if target and target in found}
    assert set(by_name) == {"gpt2", "gpt2/L11H11", "ioi", "@alice", f"a/{written.pk}"}
    assert by_name["gpt2"].model == gpt2
    assert (by_name["gpt2/L11H11"].model, str(by_name["gpt2/L11H11"].component)) == (gpt2, "L11H11")
    assert (by_name["ioi"].page, by_name[f"a/{written.pk}"].page) == (article, written)
    assert by_name["@alice"].user == alice


def test_what_is_hidden_does_not_resolve_for_others(
    alice: User, bob: User, moderator: User, anonymous: AnonymousUser
) -> None:
    hide(create_page(alice, Kind.ARTICLE, "x", title="IOI"), moderator, reason="Spam")
    target = normalise("IOI")
    assert target
    assert [bool(resolve([target], user=user)) for user in (anonymous, bob, alice, moderator)] == [
        False,
        False,
        True,
        True,
    ]


def test_links_are_seen_from_both_ends_and_follow_the_newest_text(alice: User, bob: User) -> None:
    page = note(alice, "Like [[5.2]] and [[IOI]] and [[ioi|again]] and [[part-of::IOI]].")
    assert set(page.links.values_list("kind", "target", "words")) == {
        ("mentions", "gpt2/L5H2", "5.2"),
        ("mentions", "ioi", "IOI"),
        ("part-of", "ioi", "IOI"),
    }
    assert sources("gpt2/L5H2", bob) == [page.current.text]
    kept = page.links.get(target="ioi", kind="part-of").pk
    save_revision(page, alice, "Only [[part-of::IOI]].", base_version=1)
    assert [(link.pk, link.target) for link in page.links.all()] == [(kept, "ioi")]
    assert sources("gpt2/L5H2", bob) == []


def test_fields_have_links_too(alice: User) -> None:
    page = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", fields={"links": [["same-role-as", "smollm2/L18H6"]]})
    assert [(link.kind, link.target) for link in page.links.all()] == [("same-role-as", "smollm2/L18H6")]


def test_links_by_every_title_lead_to_a_renamed_article(alice: User, bob: User, anonymous: AnonymousUser) -> None:
    page = create_page(alice, Kind.ARTICLE, "x", title="IOI")
    note(bob, "By [[IOI]]")
    rename_article(page, alice, "Indirect object")
    note(bob, "By [[indirect object]]")
    found = what_links_here(targets_of(page), user=anonymous)
    assert {link.words for link in found} == {"IOI", "indirect object"}
    for words in ("ioi", "Indirect Object"):
        target = normalise(words)
        assert target
        assert resolve([target], user=anonymous)[target].page == page


def test_wanted_are_titles_that_nobody_has_written_most_wanted_first(
    gpt2: LanguageModel, alice: User, moderator: User, anonymous: AnonymousUser
) -> None:
    create_page(alice, Kind.ARTICLE, "x", title="Written")
    note(alice, "[[Name movers]] [[written]] [[gpt2]] [[L5H2]] @bob [[part-of::name movers]]")
    note(alice, "[[name movers]] [[Sinks]]")
    hide(note(alice, "[[Hidden]] [[sinks]]"), moderator, reason="Spam")
    wanted = [(one.target, one.words, one.n_pages) for one in wanted_targets()]
    assert wanted == [("name-movers", "Name movers", 2), ("sinks", "Sinks", 1)]
    assert [one.target for one in wanted_targets(limit=1)] == ["name-movers"]
    create_page(alice, Kind.ARTICLE, "x", title="Name Movers")
    assert [one.target for one in wanted_targets()] == ["sinks"]


def test_wanted_titles_of_many_links_are_counted_seldom_and_never_show_what_is_written(
    alice: User, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    cache.clear()
    note(alice, "[[Sinks]] [[Movers]]")
    monkeypatch.setattr(links, "COUNTED_TOGETHER", Link.objects.get(target="movers").pk)
    assert {one.target for one in wanted_targets()} == {"sinks", "movers"}
    create_page(alice, Kind.ARTICLE, "x", title="Movers")
    with django_assert_num_queries(2):
        assert [one.target for one in wanted_targets()] == ["sinks"]


def test_rebuilding_makes_all_links_anew(alice: User, capsys: pytest.CaptureFixture[str]) -> None:
    page = note(alice, "[[IOI]] [[L5H2]]")
    before = set(Link.objects.values_list("source", "kind", "form", "target", "words"))
    Link.objects.filter(target="ioi").delete()
    Link.objects.update(words="wrong")
    Link.objects.create(source=page, kind="mentions", form="title", target="never-said", words="x")
    call_command("rebuild_links")
    assert capsys.readouterr().out == "Links of 1 pages were made anew.\n"
    assert set(Link.objects.values_list("source", "kind", "form", "target", "words")) == before
    ids = set(Link.objects.values_list("pk", flat=True))
    rebuild_links()
    assert set(Link.objects.values_list("pk", flat=True)) == ids, "what is right stays"


def test_more_rows_mean_no_more_queries(
    gpt2: LanguageModel, alice: User, anonymous: AnonymousUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(9):
        create_page(alice, Kind.ARTICLE, f"[[IOI]] [[Missing {n}]]", title=f"Page {n}")
        page = note(alice, f"[[IOI]] [[Page {n}]]")
        targets: set[Target | None] = {normalise(f"page {m}") for m in range(n + 1)} | {normalise(f"a/{page.pk}")}
        targets |= {normalise("@alice"), normalise("gpt2/L1")}
        with django_assert_num_queries(1):
            assert len({link.source.author.username for link in what_links_here(["ioi"], user=anonymous)}) == 1
        with django_assert_num_queries(4):
            wanted_targets()
        with django_assert_num_queries(3):
            resolve([target for target in targets if target], user=anonymous)


def test_watching_a_target_by_any_title(alice: User, bob: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "x", title="IOI")
    target, head = normalise("ioi"), normalise("gpt2/5.1")
    assert target
    assert head
    assert watch(bob, target) == watch(bob, target)
    watch(alice, head)
    rename_article(page, alice, "New")
    assert set(watchers_of(targets_of(page))) == {alice, bob}  # alice wrote it
    assert list(watchers_of(["gpt2/L5H1"])) == [alice]
    assert unwatch(bob, target)
    assert not unwatch(bob, target)
    assert list(watchers_of(targets_of(page))) == [alice]
