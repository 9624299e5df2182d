"""Experiments in texts: links and embeds by the first digits of a hash, both ends of the link, completions."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.pages.building import build_measured_model
from tests.pages.building_scrubs import build_experiment, finish_run, printed
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment, Run
from wiki.texts.completing import complete_embed, complete_link
from wiki.texts.models import Kind, Link, Visibility
from wiki.texts.moderation import hide
from wiki.texts.rendering import render_text
from wiki.texts.writing import create_page

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _own_data(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"


@pytest.fixture
def model(db: None) -> LanguageModel:
    return build_measured_model()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", role=Role.RESEARCHER)


@pytest.fixture
def experiment(model: LanguageModel, alice: User) -> Experiment:
    return build_experiment(model, alice, title="Induction reads keys")


def html(text: str) -> str:
    return render_text(text, user=AnonymousUser(), prefix="text").html.strip()


def plain(text: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html(text)))


@pytest.mark.parametrize("digits", [8, 20, 64])
@pytest.mark.parametrize("sign", [":", "/"])
def test_a_link_leads_to_the_experiment_whose_hash_begins_so(experiment: Experiment, digits: int, sign: str) -> None:
    name = f"x{sign}{experiment.hash[:digits]}"
    expected = f'<a class="wikilink" href="/x/{experiment.hash}/">x:{experiment.hash[:8]}</a>'
    assert expected in html(f"See [[{name}]].")
    assert ">the scrub</a>" in html(f"See [[{name}|the scrub]].")


def test_fewer_digits_or_other_letters_name_no_experiment(experiment: Experiment) -> None:
    for name in (f"x:{experiment.hash[:7]}", f"x:{experiment.hash}0", "x:1A2B3C4D", "x:", "x:zzzzzzzz"):
        assert "/x/" not in html(f"[[{name}]]")


def test_digits_of_none_or_of_several_are_missing_and_their_address_says_which(
    client: Client, experiment: Experiment
) -> None:
    twin = Experiment.objects.get(pk=experiment.pk)
    twin.pk = experiment.hash[:12] + "0" * 52
    twin.save(force_insert=True)
    several, none = experiment.hash[:8], "0123456789"
    for digits, why in ((several, "several that begin so"), (none, "none that begins so")):
        assert f'<a class="wikilink missing" href="/x/{digits}/">x:{digits}</a>' in html(f"[[x:{digits}]]")
        page = client.get(f"/x/{digits}/")
        assert page.status_code == 404
        assert why in page.content.decode()
        assert "expected the beginning of the hash of one experiment" in plain(f"![[x:{digits}]]")
    assert experiment.get_absolute_url() in html(f"[[x:{experiment.hash[:14]}]]")


def test_an_embed_says_what_came_out_and_what_the_criterion_was(experiment: Experiment) -> None:
    name = f"x:{experiment.hash[:8]}"
    assert f"Showing what came out of {name}: under way." in plain(f"It is ![[{name}]].")
    run = finish_run(experiment.runs.get(), share=0.6)
    expected = f"It is {printed(run.recovery)} · criterion ≥ 80 %: not met."
    assert plain(f"It is ![[{name}]].") == expected
    assert f'href="/x/{experiment.hash}/" title="Recovered by Induction reads keys ({name}) of tiny' in html(
        f"It is ![[{name}]]."
    )


def test_an_uploaded_run_is_never_taken_for_one_of_the_server(experiment: Experiment, alice: User) -> None:
    run = finish_run(experiment.runs.get())
    Run.objects.filter(pk=run.pk).update(origin=Run.Origin.UPLOADED)
    assert plain(f"![[x:{experiment.hash[:8]}]]").endswith("uploaded, not run by this server")


def test_texts_and_experiments_name_each_other(client: Client, experiment: Experiment, alice: User) -> None:
    def named_in() -> list[str]:
        return [text["name"] for text in client.get(f"/x/{experiment.hash}.json").json()["named_in"]]

    assert named_in() == []
    assert "No text names it yet" in client.get(experiment.get_absolute_url()).content.decode()
    text = f"As [[evidence-against::x:{experiment.hash[:10]}]] and [[x:{experiment.hash}]]."
    article = create_page(alice, Kind.ARTICLE, text, title="Induction")
    note = create_page(alice, Kind.NOTE, f"[[x/{experiment.hash[:9]}]]", about="tiny/L1H2")
    assert named_in() == ["note on tiny/L1H2 by alice", "Induction", "Induction"]
    assert {link.form for link in Link.objects.filter(source__in=[article, note])} == {"address"}
    page = client.get(experiment.get_absolute_url()).content.decode()
    section = page.partition('<h2 id="named-in">')[2].partition("</section>")[0]
    assert '<a href="/w/induction/">Induction</a>' in section
    assert "evidence against" in section
    hide(article, User.objects.create_user("bob", role=Role.MODERATOR), reason="Spam.")
    article.refresh_from_db()
    assert article.visibility == Visibility.HIDDEN
    assert named_in() == ["note on tiny/L1H2 by alice"]


def test_a_kept_page_of_a_part_shows_what_came_out_as_soon_as_a_run_ends(
    client: Client, experiment: Experiment, alice: User
) -> None:
    text = f"It recovers ![[x:{experiment.hash[:8]}]]."
    create_page(alice, Kind.NOTE, text, about="tiny/L0H3")
    assert "under way" in client.get("/m/tiny/L0H3/").content.decode()
    run = finish_run(experiment.runs.get())
    assert printed(run.recovery) in client.get("/m/tiny/L0H3/").content.decode()


def test_completions_behind_x_are_experiments(experiment: Experiment, alice: User) -> None:
    for complete in (
        complete_link(f"x:{experiment.hash[:3]}", user=alice, model_slug=""),
        complete_embed("x:", model_slug="tiny"),
    ):
        (found,) = complete
        assert found.insert == f"x:{experiment.hash[:8]}"
        assert found.label == "Induction reads keys"
    assert complete_link("x:zz", user=alice, model_slug="") == []


def test_many_experiments_in_a_text_are_looked_up_together(
    model: LanguageModel, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    found = [build_experiment(model, alice, n=30 + n) for n in range(5)]
    text = " ".join(f"[[x:{each.hash[:8]}]] ![[x:{each.hash[:9]}]]" for each in found)
    with django_assert_max_num_queries(6):
        shown = html(text)
    assert all(each.get_absolute_url() in shown for each in found)
