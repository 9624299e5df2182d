"""The whole wiki is exported, and restored into an empty site it is the same."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from pytest_django import Settings

from wiki.accounts.groups import add_member, are_independent, create_group
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.moderation.blocking import block
from wiki.texts.archives import ArchiveError
from wiki.texts.comparing import diff
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.exporting import export_wiki
from wiki.texts.models import Kind, Page, Protection, Revision
from wiki.texts.moderation import hide, protect, retract, tag_page, withhold_revision
from wiki.texts.rendering import render_text
from wiki.texts.restoring import restore_wiki
from wiki.texts.targets import Target, normalise
from wiki.texts.watching import watch
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

# A site is emptied as between two tests, which only these can do.
pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

Emptied = Callable[[], None]


@pytest.fixture
def emptied() -> Emptied:
    """Empties the database, models and people included."""
    return lambda: call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def make_model() -> LanguageModel:
    sizes = {"n_layers": 12, "n_heads": 12, "n_kv_heads": 12, "d_model": 768, "d_head": 64, "d_mlp": 3072}
    return LanguageModel.objects.create(
        slug="gpt2", title="GPT-2", hash="0" * 64, family="gpt2", n_parameters=1, d_vocab=50257, **sizes
    )


def write_a_wiki() -> None:
    """Something of everything, with what is easily lost."""
    make_model()
    alice, bob = (User.objects.create_user(name, role=Role.RESEARCHER) for name in ("alice", "bob"))
    charlie = User.objects.create_user("charlie", "charlie@example.org", "secret words", role=Role.MODERATOR)
    charlie.emailaddress_set.create(email=charlie.email, verified=True, primary=True)
    group = create_group("Tests", lead=alice, created_by=charlie)
    add_member(group, charlie, added_by=alice)
    heads = create_page(alice, Kind.ARTICLE, "## Of $e^{iπ}$\n\n[[gpt2/L5H1]] and @bob, 🐈.", title="Induction heads")
    save_revision(heads, bob, "See [[gpt2/L0H1]].\n\n\ttabs & <b>\u2028", base_version=1, summary="“Better”")
    save_revision(heads, alice, "Private: 123", base_version=2)
    revert_to(heads, bob, 2, base_version=3)
    withhold_revision(heads, charlie, 3, reason="Private")
    rename_article(heads, alice, "Induction heads, renamed")
    tag_page(heads, alice, ["Heads", "gpt2"])
    protect(heads, charlie, Protection.REVIEWERS, reason="A war")
    create_page(
        bob, Kind.SUMMARY, "", about="gpt2/L5H1", fields={"links": [["same-role-as", "gpt2/L6H9"]]}, survey="f" * 64
    )
    note = create_page(
        alice, Kind.NOTE, "[[part-of::Induction heads]]", about="gpt2/5.1", fields={"anchor": {"row": 1}}
    )
    retract(note, alice, reason="Wrong")
    thread = create_page(bob, Kind.TALK, "Why?", parent=heads, title="Doubts")
    create_page(alice, Kind.TALK, "Because.", parent=thread, submission="k")
    hide(create_page(bob, Kind.ARTICLE, "Buy pills", title="Pills"), charlie, reason="Spam")
    keep_draft(alice, draft_target(heads), "Not yet said", page=heads)
    target = normalise("Induction heads")
    assert isinstance(target, Target)
    watch(bob, target)
    block(bob, charlie, until=timezone.now() + timedelta(days=3), reason="Pills")


def everything_said() -> dict[str, Any]:
    """What the site says to each of three people: texts rendered, histories, comparisons, and every page that shows
    them; nothing of it is read from an archive."""
    said: dict[str, Any] = {}
    people = [AnonymousUser(), *User.objects.order_by("username")]
    for person in people:
        client = Client()
        if isinstance(person, User):
            client.force_login(person)
        for page in Page.objects.order_by("pk"):
            for address in _addresses(page):
                response = client.get(address)
                said[f"{person} {address}"] = (response.status_code, _without_tokens(response.content))
    for page in Page.objects.order_by("pk"):
        revisions = list(page.revisions.select_related("author", "base").order_by("n"))
        texts = [revision.text for revision in revisions]
        said[f"page {page.pk}"] = {
            "title": page.title,
            "key": page.key,
            "author": page.author.username,
            "parent": page.parent_id,
            "state": (page.visibility, page.visibility_reason, page.protection, page.version, page.current_id is None),
            "times": (page.created_at, page.updated_at),
            "aliases": sorted(page.aliases.values_list("key", flat=True)),
            "tags": sorted(page.tags.values_list("name", flat=True)),
            "links": sorted(page.links.values_list("kind", "form", "target", "words")),
            "html": render_text(texts[-1], user=people[-1], prefix="t", model_slug=page.model_slug).html,
            "history": [
                (each.n, each.author.username, each.text, each.digest, each.fields, each.summary, each.survey)
                for each in revisions
            ],
            "bases": [(each.base and each.base.n, each.created_at, hasattr(each, "withheld")) for each in revisions],
            "diffs": [diff(one, other) for one, other in itertools.pairwise(texts)],
            "audit": list(page.audit_entries.values_list("actor__username", "action", "before", "after", "reason")),
        }
    said["order"] = list(Revision.objects.order_by("pk").values_list("page", "n"))
    said["people"] = [
        (
            each.username,
            each.role,
            each.is_staff,
            each.email,
            each.date_joined,
            each.blocked_until,
            each.blocked_because,
        )
        for each in User.objects.order_by("username")
    ]
    said["watches"] = list(User.objects.filter(watches__target="induction-heads").values_list("username", flat=True))
    return said


def _addresses(page: Page) -> list[str]:
    """Every address of a page that the site has."""
    found = [f"/w/{page.key}/" if page.key else f"/a/{page.pk}/"]
    for name in ("text-json", "history", "diff", "links-to"):
        try:
            found.append(reverse(name, args=[page.pk]) + ("?from=1&to=2" if name == "diff" else ""))
        except NoReverseMatch:
            continue
    return found


def _without_tokens(content: bytes) -> str:
    """A page without what is new in every answer, and without its head: news of somebody's own are in no archive."""
    lines = re.sub(r'<header class="top">.*?</header>', "", content.decode(), flags=re.DOTALL).splitlines()
    return "\n".join(line for line in lines if "csrfmiddlewaretoken" not in line)


@pytest.mark.parametrize("name", ["archive", "archive.zip"])
def test_a_restored_wiki_says_what_the_exported_one_said(tmp_path: Path, emptied: Emptied, name: str) -> None:
    write_a_wiki()
    before = everything_said()
    call_command("export_wiki", str(tmp_path / name), verbosity=0)
    emptied()
    make_model()
    call_command("restore_wiki", str(tmp_path / name), verbosity=0)
    after = everything_said()
    assert set(after) == set(before)
    for what, said in before.items():
        assert after[what] == said, what
    alice, bob, charlie = User.objects.order_by("username")
    assert not any(person.has_usable_password() for person in (alice, bob, charlie))
    assert charlie.emailaddress_set.get().verified
    assert not are_independent(alice, charlie)
    assert are_independent(alice, bob)
    assert "Induction heads, renamed" in Client().get("/search/?q=tabs").content.decode(), "what was restored is found"
    # and it goes on from there
    page = Page.objects.get(key="induction-heads,-renamed")
    made = create_page(alice, Kind.NOTE, "More", about="gpt2/L5H1")
    assert made.pk > page.pk
    assert save_revision(made, alice, "More and more", base_version=1).n == 2


def test_an_archive_has_no_secrets_and_no_drafts_and_marks_what_is_hidden(tmp_path: Path) -> None:
    write_a_wiki()
    export_wiki(tmp_path / "archive")
    files = {path.relative_to(tmp_path / "archive"): path.read_text() for path in (tmp_path / "archive").rglob("*.*")}
    joined = "".join(files.values())
    for person in User.objects.all():
        assert person.password not in joined
    assert "Not yet said" not in joined
    texts = {str(path): text for path, text in files.items() if path.parts[0] == "texts"}
    assert len(texts) == Page.objects.count()
    (pills,) = [path for path in texts if "pills" in path]
    assert pills.startswith("texts/hidden/article/")
    assert 'visibility: "hidden"' in texts[pills]
    (heads,) = [text for path, text in texts.items() if path.endswith("-induction-heads-renamed.md")]
    assert heads.endswith("---\nSee [[gpt2/L0H1]].\n\n\ttabs & <b>\u2028")
    rows = [json.loads(line) for line in files[Path("revisions.jsonl")].split("\n") if line]
    assert [(row["n"], row["withheld"]["reason"]) for row in rows if row["withheld"]] == [(3, "Private")]
    manifest = json.loads(files[Path("manifest.json")])
    for name, stated in manifest["files"].items():
        content = (tmp_path / "archive" / name).read_bytes()
        assert stated == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert set(manifest["files"]) == {str(path) for path in files} - {"manifest.json"}


def test_an_export_writes_over_nothing_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(CommandError, match="expected a name that is free"):
        call_command("export_wiki", str(tmp_path / "taken"))
    with pytest.raises(CommandError, match="expected a folder at"):
        call_command("export_wiki", str(tmp_path / "nowhere" / "archive"))
    write_a_wiki()
    monkeypatch.setattr("wiki.texts.exporting._markdown", lambda page: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_wiki(tmp_path / "archive")
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["taken"]


@pytest.fixture
def archive(tmp_path: Path, emptied: Emptied) -> Path:
    """An archive of the wiki, and a site that is empty."""
    write_a_wiki()
    export_wiki(tmp_path / "archive")
    emptied()
    return tmp_path / "archive"


def sign(archive: Path) -> None:
    """Make the manifest say what the files are now."""
    manifest = json.loads((archive / "manifest.json").read_text())
    for name, stated in manifest["files"].items():
        stated["sha256"] = hashlib.sha256((archive / name).read_bytes()).hexdigest()
    (archive / "manifest.json").write_text(json.dumps(manifest))


def replace(archive: Path, name: str, old: str, new: str) -> None:
    text = (archive / name).read_text()
    assert old in text
    (archive / name).write_text(text.replace(old, new, 1))


def test_a_site_that_is_not_empty_is_left_as_it_is(archive: Path) -> None:
    User.objects.create_user("dave")
    with pytest.raises(
        CommandError, match="expected a site without people and texts, got one with 1 people and 0 texts"
    ):
        call_command("restore_wiki", str(archive))
    User.objects.all().delete()
    restore_wiki(archive)
    n = Revision.objects.count()
    with pytest.raises(CommandError, match="with 3 people and 6 texts"):
        call_command("restore_wiki", str(archive))
    assert Revision.objects.count() == n


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a letter": (lambda a: replace(a, "revisions.jsonl", "Because.", "Because,"), "the sha256 of its manifest"),
    "a letter for people": (lambda a: replace(a, "texts/article/1-induction-heads-renamed.md", "See", "see"), "sha256"),
    "no table": (lambda a: (a / "audit.jsonl").unlink(), "expected the file audit.jsonl, found none"),
    "no text": (lambda a: shutil.rmtree(a / "texts" / "hidden"), "expected the file texts/hidden/"),
    "more": (lambda a: (a / "more.jsonl").write_text("{}"), "found more.jsonl beside them"),
    "no manifest": (lambda a: (a / "manifest.json").unlink(), "got one without manifest.json"),
    "half a manifest": (
        lambda a: (a / "manifest.json").write_text('{"format": "lou'),
        "expected JSON in manifest.json",
    ),
    "foreign": (lambda a: replace(a, "manifest.json", "loupe-wiki", "other-wiki"), "got one of something else"),
    "a list": (lambda a: (a / "manifest.json").write_text("[1]"), "got one of something else"),
    "newer": (
        lambda a: replace(a, "manifest.json", '"version": 1', '"version": 2'),
        "expected version 1 of the format",
    ),
}

FORGERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (lambda a: replace(a, "revisions.jsonl", "Because.", "Because,"), "in revisions .*another sha256"),
    "a person": (lambda a: replace(a, "pages.jsonl", '"author": "bob"', '"author": "eve"'), "in pages .*eve"),
    "a kind": (lambda a: replace(a, "pages.jsonl", '"kind": "talk"', '"kind": "poem"'), "in pages .*poem"),
    "a parent": (lambda a: replace(a, "pages.jsonl", '"parent": 1', '"parent": 99'), "expected rows that fit together"),
    "a version": (lambda a: replace(a, "pages.jsonl", '"version": 4', '"version": 3'), "in revisions"),
    "two people": (lambda a: replace(a, "people.jsonl", '"username": "bob"', '"username": "alice"'), "in people"),
    "no JSON": (lambda a: replace(a, "audit.jsonl", "{", ""), "in audit"),
    "a title twice": (lambda a: replace(a, "pages.jsonl", '["pills"]', '["induction-heads"]'), "in pages"),
}


@pytest.mark.parametrize("what", [*DAMAGES, *(f"forged: {what}" for what in FORGERIES)])
def test_what_is_damaged_or_foreign_is_refused_with_one_sentence_and_nothing_is_restored(
    archive: Path, what: str
) -> None:
    damage, match = FORGERIES[what.removeprefix("forged: ")] if what.startswith("forged") else DAMAGES[what]
    damage(archive)
    if what.startswith("forged"):
        sign(archive)
    with pytest.raises(CommandError, match=match) as refused:
        call_command("restore_wiki", str(archive))
    assert "\n" not in str(refused.value)
    assert not User.objects.exists()
    assert not Page.objects.exists()
    assert not Revision.objects.exists()


def test_what_is_no_archive_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.zip").write_text("Dear Loupe")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("../outside.txt", "x")
    for name, match in (
        ("letter.zip", "expected a zip file or a folder"),
        ("other.zip", "got one without manifest.json"),
        ("nothing", "found nothing there"),
    ):
        with pytest.raises(ArchiveError, match=match):
            restore_wiki(tmp_path / name)
    assert not (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize(("name", "mode"), [("wiki", 0o700), ("wiki.zip", 0o600)])
def test_an_archive_is_for_its_operator_alone(db: None, tmp_path: Path, name: str, mode: int) -> None:
    export_wiki(tmp_path / name)
    assert (tmp_path / name).stat().st_mode & 0o777 == mode
