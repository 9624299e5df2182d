"""What is written about a model, what is wanted of it, and who works on what."""

from __future__ import annotations

import re
from datetime import timedelta
from statistics import median

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.pages.building_written import note, person, summary
from tests.texts.test_races import at_once
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.coverage.counting import coverage_of, rebuild_coverage, written_among
from wiki.coverage.models import Said, SaidOfNeurons, Work
from wiki.coverage.working import MOST, give_up, take_up
from wiki.texts.errors import TextError
from wiki.texts.models import Kind, Page
from wiki.texts.moderation import hide, retract, unhide, unretract
from wiki.texts.writing import create_page, save_revision

pytestmark = pytest.mark.both_databases

MAP = "/m/tiny/?map=coverage"


def body(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def cells(client: Client) -> dict[str, str]:
    """What the map says of each part in words."""
    rows = re.findall(r'<table class="map coverage.*?</table>', body(client, MAP), re.DOTALL)
    return dict(re.findall(r'aria-label="([^":]+): ([^"]+)"', rows[0]))


def test_the_map_says_of_each_part_what_is_written(client: Client, model: LanguageModel) -> None:
    summary("x", about="tiny/L0H1")
    note("x", about="tiny/L0H1")
    for _ in range(2):
        note(f"x {_}", about="tiny/L2H3")
    note("x", about="tiny/L1")
    for neuron in (3, 5):
        note("x", about=f"tiny/L1N{neuron}")
    note("x", about="other/L0H0")
    said = cells(client)
    assert len(said) == 3 * (1 + 4 + 1)
    assert said["L0H1"] == "a summary and 1 note"
    assert said["L2H3"] == "2 notes"
    assert said["L1"] == "1 note"
    assert said["neurons of L1"] == "2 written about"
    assert [name for name, words in said.items() if words == "nothing yet"] == [
        name for name in said if name not in {"L0H1", "L2H3", "L1"} and not name.startswith("neurons")
    ]
    page = body(client, MAP)
    assert "Of 12 heads 1 have a summary, 1 notes alone, and of 10 nothing is said" in page
    assert "Of 48 neurons 2 are written about" in page
    csv = client.get("/m/tiny/figures/coverage.csv").content.decode()
    assert "\nL0H1,summary,1,\n" in csv
    assert "\nL2H3,notes,2,\n" in csv
    assert "<title>L0H1: a summary and 1 note</title>" in client.get("/m/tiny/figures/coverage.svg").content.decode()


def test_what_is_hidden_or_taken_back_is_not_coverage(client: Client, model: LanguageModel) -> None:
    hidden, retracted = note("x", about="tiny/L0H1"), note("x", about="tiny/L0H2")
    hide(hidden, person("charlie", Role.MODERATOR), reason="Spam")
    retract(retracted, person("alice"), reason="Wrong")
    assert cells(client)["L0H1"] == cells(client)["L0H2"] == "nothing yet"
    moderator = Client()
    moderator.force_login(person("charlie"))
    assert cells(moderator)["L0H1"] == "nothing yet"


def outliers_by_hand(client: Client) -> dict[str, float]:
    """Of each head among the highest or lowest 2 % (of 12: the one) its largest distance from the median."""
    found: dict[str, float] = {}
    for metric in client.get("/m/tiny.json").json()["metrics"].values():
        values = {f"L{i}H{j}": value for i, row in enumerate(metric["values"]) for j, value in enumerate(row)}
        spread = max(values.values()) - min(values.values())
        for end in (max, min):
            name = end(values, key=values.__getitem__)
            distance = abs(values[name] - median(values.values())) / spread
            if distance >= 0.2:
                found[name] = max(distance, found.get(name, 0))
    return found


def test_wanted_are_the_heads_that_stand_out_and_nobody_wrote_about(client: Client, model: LanguageModel) -> None:
    expected = outliers_by_hand(client)
    assert len(expected) > 3
    ranked = sorted(expected, key=lambda name: -expected[name])
    data = client.get("/m/tiny/wanted.json?kind=head").json()
    assert [item["component"] for item in data["wanted"]] == ranked
    assert data["wanted"][0]["distance"] == pytest.approx(expected[ranked[0]], abs=1e-5)
    for about, write in zip(ranked[:2], (note, summary), strict=True):
        write("x", about=f"tiny/{about}")
    data = client.get("/m/tiny/wanted.json?kind=head").json()
    assert [item["component"] for item in data["wanted"]] == ranked[2:]
    page = body(client, "/m/tiny/wanted/?kind=head")
    assert re.findall(r'<th scope="row">\s*<a href="/m/tiny/(\w+)/"', page) == ranked[2:]
    assert f'href="/write/summary/?about=tiny/{ranked[2]}"' in page


def test_neurons_are_wanted_too(client: Client, model: LanguageModel) -> None:
    kinds = {name: client.get(f"/m/tiny/wanted.json?kind={name}").json()["n_wanted"] for name in ("head", "neuron", "")}
    assert kinds["neuron"] > 0
    assert kinds[""] == kinds["head"] + kinds["neuron"]
    first = client.get("/m/tiny/wanted.json?kind=neuron").json()["wanted"][0]
    metric = client.get(f"/m/tiny/{first['component']}.json").json()["metrics"][first["metric"]]
    assert first["value"] == pytest.approx(metric["value"])
    rank = first["place"] if first["end"] == "highest" else metric["of"] + 1 - first["place"]
    assert metric["rank"] == rank


@pytest.mark.parametrize("query", ["kind=elephant", "page=0", "page=x"])
def test_what_is_no_list_is_404(client: Client, model: LanguageModel, query: str) -> None:
    assert client.get(f"/m/tiny/wanted/?{query}").status_code == 404
    assert "expected kind=head or neuron" in client.get(f"/m/tiny/wanted.json?{query}").json()["error"]


def test_somebody_who_works_on_a_part_is_seen_until_seven_days_are_over(client: Client, model: LanguageModel) -> None:
    alice = Client()
    alice.force_login(person("alice"))
    assert "I am working on this" in body(alice, "/m/tiny/L1H2/")
    before = {path: body(client, path) for path in ("/m/tiny/L1H2/", MAP, "/m/tiny/wanted/")}
    response = alice.post("/m/tiny/L1H2/work/", {"action": "take up"})
    assert (response.status_code, response.headers["Location"]) == (302, "/m/tiny/L1H2/")
    (work,) = Work.objects.all()
    assert timedelta(days=6, hours=23) < work.until - timezone.now() <= timedelta(days=7)
    shown = body(client, "/m/tiny/L1H2/")
    assert ">alice</a> is working on this until" in " ".join(shown.split())
    assert "Give it up" in body(alice, "/m/tiny/L1H2/")
    assert "I am working" not in shown
    assert cells(client)["L1H2"] == "nothing yet; alice working on it"
    assert client.get("/m/tiny/L1H2.json").json()["texts"]["worked_on"][0]["by"] == "alice"
    assert client.get("/m/tiny/wanted.json").json()["worked_on"]["L1H2"][0]["by"] == "alice"
    assert [body(client, path) == before[path] for path in ("/m/tiny/L1H2/", MAP)] == [False, False]
    # nothing runs when time is over; no row is changed by anybody
    Work.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert {path: body(client, path) for path in before} == before
    assert client.get("/m/tiny/wanted.json").json()["worked_on"] == {}


def test_work_can_be_given_up_and_taken_up_again(model: LanguageModel) -> None:
    alice = person("alice")
    first = take_up(alice, "tiny", "L1H2")
    again = take_up(alice, "tiny", "L1H2")
    assert Work.objects.get() == first == again
    assert again.until > first.until
    client = Client()
    client.force_login(alice)
    client.post("/m/tiny/L1H2/work/", {"action": "give up"})
    assert not Work.objects.exists()
    assert not give_up(alice, "tiny", "L1H2")
    assert "working on this until" not in body(Client(), "/m/tiny/L1H2/")


def test_two_can_work_on_one_part(client: Client, model: LanguageModel) -> None:
    for name in ("alice", "bob"):
        take_up(person(name), "tiny", "L1H2")
    assert cells(client)["L1H2"] == "nothing yet; alice, bob working on it"
    give_up(person("alice"), "tiny", "L1H2")
    assert cells(client)["L1H2"] == "nothing yet; bob working on it"


def test_nobody_takes_up_everything(model: LanguageModel) -> None:
    alice = person("alice")
    for n in range(MOST):
        take_up(alice, "tiny", f"L0N{n}")
    with pytest.raises(TextError, match="expected at most 20 parts at once"):
        take_up(alice, "tiny", "L1H2")
    take_up(alice, "tiny", "L0N0")
    Work.objects.filter(component="L0N1").update(until=timezone.now())
    take_up(alice, "tiny", "L1H2")


@pytest.mark.django_db(transaction=True)
def test_taking_up_at_once_is_never_too_much() -> None:
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    for n in range(MOST - 1):
        take_up(alice, "tiny", f"L0N{n}")
    outcomes = at_once(*[lambda n=n: take_up(alice, "tiny", f"L1N{n}") for n in range(4)])
    assert sum(isinstance(outcome, Work) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, TextError) for outcome in outcomes) == 3


@pytest.mark.django_db(transaction=True)
def test_a_neuron_that_many_write_about_at_once_counts_once() -> None:
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    charlie = User.objects.create_user("charlie", role=Role.MODERATOR)

    def one_note(n: int) -> Page:
        return create_page(alice, Kind.NOTE, "x", about=f"tiny/L1N{n % 2}")

    notes = at_once(*[lambda n=n: one_note(n) for n in range(6)])
    assert coverage_of("tiny", user=AnonymousUser()).neurons == {1: 2}
    at_once(*[lambda page=page: hide(page, charlie, reason="Spam") for page in notes[:5]])
    assert coverage_of("tiny", user=AnonymousUser()).neurons == {1: 1}


def test_who_may_not_write_takes_nothing_up(client: Client, model: LanguageModel) -> None:
    assert client.post("/m/tiny/L1H2/work/", {"action": "take up"}).headers["Location"].startswith("/accounts/login/")
    client.force_login(person("reader", Role.READER))
    assert "I am working on this" not in body(client, "/m/tiny/L1H2/")
    assert client.post("/m/tiny/L1H2/work/", {"action": "take up"}).status_code == 403
    with pytest.raises(PermissionDenied, match="expected a researcher"):
        take_up(person("reader"), "tiny", "L1H2")
    client.force_login(person("alice"))
    assert client.get("/m/tiny/L1H2/work/").status_code == 405
    assert client.post("/m/tiny/L9H9/work/", {"action": "take up"}).status_code == 404
    assert client.post("/m/tiny/L1H2/work/", {"action": "break"}).status_code == 400
    assert not Work.objects.exists()


def test_who_is_blocked_takes_nothing_up(client: Client, model: LanguageModel) -> None:
    alice = person("alice")
    alice.blocked_until, alice.blocked_because = timezone.now() + timedelta(days=1), "Spam"
    alice.save()
    client.force_login(alice)
    assert "I am working on this" not in body(client, "/m/tiny/L1H2/")
    response = client.post("/m/tiny/L1H2/work/", {"action": "take up"})
    assert response.status_code == 403
    assert "Spam" in response.content.decode()
    assert not Work.objects.exists()


def test_who_left_works_on_nothing(client: Client, model: LanguageModel) -> None:
    take_up(person("alice"), "tiny", "L1H2")
    assert cells(client)["L1H2"] == "nothing yet; alice working on it"
    User.objects.filter(username="alice").update(is_active=False)
    assert cells(client)["L1H2"] == "nothing yet"


@pytest.mark.parametrize("path", [MAP, "/m/tiny/wanted/", "/m/tiny/wanted.json", "/m/tiny/figures/coverage.csv"])
def test_more_texts_and_workers_mean_no_more_queries(
    client: Client, model: LanguageModel, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    take_up(person("alice"), "tiny", "L0H0")
    summary("x", about="tiny/L0H0")
    with django_assert_num_queries(12, exact=False) as few:
        client.get(path)
    for head in range(4):
        for name in ("alice", "bob"):
            take_up(person(name), "tiny", f"L2H{head}")
            note("x", about=f"tiny/L1H{head}", by=name)
    cache.clear()
    with django_assert_num_queries(len(few.captured_queries)):
        client.get(path)


def test_a_written_part_leaves_the_kept_list_at_once(client: Client, model: LanguageModel) -> None:
    first = client.get("/m/tiny/wanted.json").json()["wanted"][0]["component"]
    assert f'href="/m/tiny/{first}/"' in body(client, "/m/tiny/wanted/")
    summary("x", about=f"tiny/{first}")
    assert f'href="/m/tiny/{first}/"' not in body(client, "/m/tiny/wanted/")


def test_what_is_counted_with_every_change_is_what_is_there(model: LanguageModel) -> None:
    alice, charlie = person("alice"), person("charlie", Role.MODERATOR)
    spam, wrong = note("x", about="tiny/L0H1"), note("y", about="tiny/L0H1")
    save_revision(wrong, alice, "z", base_version=1)
    summary("x", about="tiny/L0H1")
    note("x", about="tiny/L1N3")
    note("x", about="tiny")  # the model as a whole is no part
    hide(spam, charlie, reason="Spam")
    retract(wrong, alice, reason="Wrong")
    hide(wrong, charlie, reason="Spam")
    assert set(Said.objects.values_list("component", "part", "layer", "n_summaries", "n_notes")) == {
        ("L0H1", "head", 0, 1, 0),
        ("L1N3", "neuron", 1, 0, 1),
    }
    unhide(wrong, charlie, reason="Not spam")  # it is retracted again
    unhide(spam, charlie, reason="Not spam")
    unretract(wrong, alice, reason="Right")
    counted = set(Said.objects.values_list("component", "part", "layer", "n_summaries", "n_notes"))
    assert counted == {("L0H1", "head", 0, 1, 2), ("L1N3", "neuron", 1, 0, 1)}
    Said.objects.update(n_notes=9)
    assert rebuild_coverage() == 2
    assert set(Said.objects.values_list("component", "part", "layer", "n_summaries", "n_notes")) == counted


def test_a_neuron_counts_once_however_much_is_written_about_it(model: LanguageModel) -> None:
    def neurons() -> dict[int, int]:
        return coverage_of("tiny", user=AnonymousUser()).neurons

    alice, charlie = person("alice"), person("charlie", Role.MODERATOR)
    pages = [note("x", about="tiny/L1N3"), summary("x", about="tiny/L1N3"), note("x", about="tiny/L1N3")]
    note("x", about="tiny/L1N4")
    note("x", about="tiny/L0N3")
    assert neurons() == {0: 1, 1: 2}
    hide(pages[0], charlie, reason="Spam")
    hide(pages[1], charlie, reason="Spam")
    assert neurons() == {0: 1, 1: 2}
    retract(pages[2], alice, reason="Wrong")
    assert neurons() == {0: 1, 1: 1}
    unhide(pages[1], charlie, reason="Not spam")
    assert neurons() == {0: 1, 1: 2}
    SaidOfNeurons.objects.update(n=9)
    rebuild_coverage()
    assert neurons() == {0: 1, 1: 2}


def test_the_queries_of_the_map_do_not_grow(
    model: LanguageModel, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(6):
        note("x", about=f"tiny/L1N{n}")
        with django_assert_num_queries(3):
            coverage = coverage_of("tiny", user=AnonymousUser())
        assert coverage.neurons == {1: n + 1}
        with django_assert_num_queries(1):
            assert written_among("tiny", ["L1N0", "L0H1"]) == {"L1N0"}
