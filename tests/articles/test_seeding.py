"""The texts that a new site opens with."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from wiki.accounts.models import Role, User
from wiki.articles.seeding import AUTHOR, Seed, SeedError, load_seeds, read_seeds
from wiki.components.models import LanguageModel
from wiki.texts.links import wanted_targets
from wiki.texts.models import Kind, Page, Protection
from wiki.texts.moderation import hide, protect, retract
from wiki.texts.writing import save_revision

SLUG = "smollm2-135m-instruct-q4"


@pytest.fixture
def smollm2(db: None) -> LanguageModel:
    sizes = {"n_layers": 30, "n_heads": 9, "n_kv_heads": 3, "d_model": 576, "d_head": 64, "d_mlp": 1536}
    return LanguageModel.objects.create(
        slug=SLUG, title="SmolLM2", hash="0" * 64, family="llama", n_parameters=1, d_vocab=49152, **sizes
    )


@pytest.mark.both_databases
def test_seeds_are_made_once_and_again_only_where_the_files_are_newer(smollm2: LanguageModel) -> None:
    seeds = read_seeds()
    first = load_seeds(seeds)
    assert len(first.made) == len(seeds) == Page.objects.count()
    assert load_seeds(seeds).kept == first.made
    newer = [Seed(seed.name, seed.kind, seed.text + "\nMore.\n", seed.title, seed.about, seed.tags) for seed in seeds]
    assert load_seeds(newer).renewed == first.made
    assert {page.version for page in Page.objects.all()} == {2}


def test_what_people_changed_stays(smollm2: LanguageModel) -> None:
    load_seeds(read_seeds())
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    page = Page.objects.get(key="induction-heads")
    save_revision(page, alice, "Mine.", base_version=1)
    outcome = load_seeds(read_seeds())
    assert "induction-heads.md" in outcome.kept
    page.refresh_from_db()
    assert page.current
    assert page.current.text == "Mine."


def test_what_moderators_did_stays_and_stops_no_start(smollm2: LanguageModel) -> None:
    seeds = read_seeds()
    made = load_seeds(seeds).made
    charlie = User.objects.create_user("charlie", role=Role.MODERATOR)
    hidden, protected, retracted = Page.objects.filter(kind=Kind.ARTICLE).order_by("pk")[:3]
    hide(hidden, charlie, reason="Not here")
    protect(protected, charlie, Protection.MODERATORS, reason="As it is")
    retract(retracted, charlie, reason="Wrong")
    newer = [Seed(seed.name, seed.kind, seed.text + "\nMore.\n", seed.title, seed.about, seed.tags) for seed in seeds]
    outcome = load_seeds(newer)
    assert (len(outcome.renewed), len(outcome.kept)) == (len(made) - 3, 3)
    for page in (hidden, protected, retracted):
        page.refresh_from_db()
        assert page.version == 1


def test_a_blocked_author_writes_nothing_and_stops_no_start(smollm2: LanguageModel) -> None:
    until = timezone.now() + timedelta(days=1)
    User.objects.create_user(AUTHOR, role=Role.RESEARCHER, blocked_until=until, blocked_because="Enough")
    assert load_seeds(read_seeds()).made == []
    assert not Page.objects.exists()


def test_what_is_about_a_model_waits_for_it(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_seeds")
    assert set(Page.objects.values_list("kind", flat=True)) == {Kind.ARTICLE}
    assert "because their model is not here: note-L16H0.md" in capsys.readouterr().out


def test_nobody_signs_in_as_their_author(smollm2: LanguageModel) -> None:
    load_seeds(read_seeds())
    assert not User.objects.get(username=AUTHOR).has_usable_password()


def test_they_link_to_nothing_that_is_missing(smollm2: LanguageModel) -> None:
    load_seeds(read_seeds())
    assert wanted_targets() == []


def test_no_measured_number_is_typed() -> None:
    for seed in read_seeds():
        plain = re.sub(r"!?\[\[.*?\]\]|\(https?:.*?\)|`.*?`|\*\*.*?\*\*", "", seed.text)
        assert re.findall(r"\d*\.\d+", plain) == [], seed.name


@pytest.mark.parametrize(
    "text", ["", "kind: article\n", "---\ntitle: A\n---\ntext", "---\nkind: novel\n---\ntext", "---\n---\n"]
)
def test_a_file_that_is_no_seed_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.md").write_text(text)
    with pytest.raises(SeedError, match=r"Reading broken\.md: expected kind"):
        read_seeds(tmp_path)
