"""How much new accounts may write, and that what they typed is not lost."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from wiki.accounts.models import Role, User
from wiki.texts.allowances import ALLOWANCES
from wiki.texts.errors import TextError, TooManyWrites
from wiki.texts.models import Kind, Revision
from wiki.texts.writing import create_page, save_revision

from .conftest import make_person

pytestmark = pytest.mark.throttled


def aged(days: float, role: Role = Role.RESEARCHER) -> User:
    person = make_person("alice", role)
    person.date_joined = timezone.now() - timedelta(days=days)
    person.save()
    return person


@pytest.mark.parametrize(("days", "saves"), [(0, 30), (2, 60)])
def test_an_account_of_this_age_saves_so_often_an_hour_and_then_waits(
    db: None, days: float, saves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = aged(days)
    page = create_page(alice, Kind.ARTICLE, "0", title="T")
    for n in range(1, saves):
        save_revision(page, alice, f"{n}", base_version=n)
    for refused in (
        lambda: save_revision(page, alice, "more", base_version=saves),
        lambda: create_page(alice, Kind.NOTE, "more", about="gpt2/L5H1"),
    ):
        with pytest.raises(TooManyWrites, match=f"expected at most {saves} saves an hour") as error:
            refused()
        assert error.value.status == 429
        assert 3500 < int(error.value.headers["Retry-After"]) <= 3600
    assert Revision.objects.count() == saves
    assert save_revision(page, alice, f"{saves - 1}", base_version=saves).n == saves, "saying the same saves nothing"
    others = make_person("bob", Role.RESEARCHER)
    assert save_revision(page, others, "more", base_version=saves).n == saves + 1, "others are not counted with her"
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr("wiki.texts.allowances.timezone.now", lambda: later)
    assert save_revision(page, alice, "more and more", base_version=saves + 1)


def test_one_submission_sent_twice_counts_once(db: None) -> None:
    alice = aged(0)
    for _ in range(40):
        create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", submission="k")
    assert Revision.objects.count() == 1


@pytest.mark.parametrize(("days", "links"), [(0, 3), (2, 10), (30, 100)])
def test_so_many_links_to_other_sites_are_added_at_once(db: None, days: float, links: int) -> None:
    alice = aged(days)
    text = "".join(f"https://example.org/{n} " for n in range(links))
    page = create_page(alice, Kind.ARTICLE, text, title="T")
    with pytest.raises(TextError, match=f"expected at most {links} new links to other sites in one save"):
        save_revision(page, alice, text + "HTTP://example.org/x " * (links + 1), base_version=1)
    save_revision(page, alice, f"Old ones stay. {text}{text}", base_version=1)
    with pytest.raises(TextError, match=f"got {links + 1}"):
        create_page(alice, Kind.NOTE, text + "http://example.org/", about="gpt2/L5H1")


def test_whom_somebody_knows_is_not_counted(db: None) -> None:
    bob = aged(0, Role.REVIEWER)
    for n in range(40):
        create_page(bob, Kind.NOTE, f"{n} " + "https://example.org " * 20, about="gpt2/L5H1")
    assert Revision.objects.count() == 40


def test_older_accounts_may_more() -> None:
    for younger, older in itertools.pairwise(ALLOWANCES):
        assert younger.age < older.age
        assert younger.saves_an_hour < older.saves_an_hour
        assert younger.links_a_save < older.links_a_save


def test_operations_say_what_the_table_says() -> None:
    rows = [f"| {each.saves_an_hour} | {each.links_a_save} |" for each in ALLOWANCES]
    written = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    ages = ("younger than a day", "younger than a week", "older")
    assert all(f"| {age} {row}" in written for age, row in zip(ages, rows, strict=True))
    assert [each.age.days for each in ALLOWANCES[:2]] == [1, 7]
