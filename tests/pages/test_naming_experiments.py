"""Pages of components list the experiments that name them, by what as, and say nothing where none does."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel

from .building import build_measured_model
from .building_scrubs import NODES, build_experiment, finish_run, printed

REWRITES = [{"kind": "ungroup", "head": "L0H1"}]
NEURON = {"name": "n", "parent": "out", "parts": ["L0N3"], "sampler": "exact"}


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"


@pytest.fixture
def measured(db: None) -> LanguageModel:
    return build_measured_model()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", role=Role.RESEARCHER)


def section_of(client: Client, address: str) -> str:
    """The words of the section about experiments; empty where there is none."""
    page = client.get(address).content.decode()
    section = re.search(r'<section class="card written" id="experiments">.*?</section>', page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section[0])) if section else ""


def test_each_kind_of_component_lists_what_names_it_by_role(
    client: Client, measured: LanguageModel, alice: User
) -> None:
    experiment = build_experiment(measured, alice, title="Mine", nodes=[*NODES, NEURON], rewrites=REWRITES)
    expected = {
        "L2H1": ["mapped by a node", "in the end point"],
        "L1H2": ["mapped by a node"],
        "L2KV0": ["on the way of a node"],
        "L0H1": ["rewritten"],
        "L0N3": ["mapped by a node"],
    }
    for component, roles in expected.items():
        said = section_of(client, f"/m/tiny/{component}/")
        assert re.findall(r"As what is ([a-z ]+?)  ?(?=Mine| )", said) == roles, said
        data = client.get(f"/m/tiny/{component}.json").json()["texts"]["experiments"]
        assert {role: [each["experiment"] for each in found] for role, found in data.items()} == {
            role: [experiment.hash] for role in roles
        }


@pytest.mark.parametrize("address", ["/m/tiny/L0H0/", "/m/tiny/L0N5/", "/m/tiny/L1/", "/m/tiny/L1KV1/"])
def test_where_none_names_it_nothing_is_said(
    client: Client, measured: LanguageModel, alice: User, address: str
) -> None:
    build_experiment(measured, alice)
    assert section_of(client, address) == ""


def test_a_model_leads_to_its_experiments_once_there_are_any(
    client: Client, measured: LanguageModel, alice: User
) -> None:
    assert section_of(client, "/m/tiny/") == ""
    build_experiment(measured, alice)
    assert 'href="/x/?model=tiny">experiments about' in client.get("/m/tiny/").content.decode()


def test_a_kept_page_has_a_new_experiment_and_its_figures_at_once(
    client: Client, measured: LanguageModel, alice: User
) -> None:
    assert section_of(client, "/m/tiny/L2H1/") == ""
    experiment = build_experiment(measured, alice, title="Mine")
    assert "Mine" in section_of(client, "/m/tiny/L2H1/")
    run = finish_run(experiment.runs.get())
    share, doubt = printed(run.recovery).split(" % ")
    said = section_of(client, "/m/tiny/L2H1/")
    assert f"{share} % recovered {doubt}" in said
    assert "criterion ≥ 80 %: not met" in said


def test_more_experiments_mean_no_more_queries_and_the_newest_are_shown(
    client: Client, measured: LanguageModel, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.force_login(alice)
    finish_run(build_experiment(measured, alice, n=30, title="Number 0").runs.get())
    client.get("/m/tiny/L2H1/")  # a visit is noted once in five minutes
    with django_assert_num_queries(16, exact=False) as few:
        client.get("/m/tiny/L2H1/")
    for n in range(1, 9):
        finish_run(build_experiment(measured, alice, n=30 + n, title=f"Number {n}").runs.get())
    for n in range(9, 12):
        build_experiment(measured, alice, n=30 + n, title=f"Number {n}", nodes=NODES[:2])
    with django_assert_num_queries(len(few.captured_queries)):
        said = section_of(client, "/m/tiny/L2H1/")
    mapped = said.partition("in the end point")[0]
    assert re.findall(r"Number (\d+)", mapped) == [str(n) for n in range(11, 1, -1)]
    assert "all experiments that name it" in said
