"""`/x/new/`: a form and a YAML pane that say the same, refusals beside the node, and nothing typed that is lost."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
import yaml
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment
from wiki.pages.hypothesis_form import Fields, as_yaml

from .building_scrubs import NODES, build_experiment, question_about
from .test_every_page import inline_parts

ADDRESS = "/x/new/"


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"


@pytest.fixture
def alice(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("alice", role=Role.RESEARCHER))
    return client


def fields_of(page: HttpResponse) -> dict[str, str]:
    """What a browser without script would send of the form."""
    text = page.content.decode()
    form = text[text.index('<form class="builder"') :]
    found = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf'\b{key}="([^"]*)"', tag) for key in ("name", "value"))
        if name:
            found[name[1]] = html.unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select name="([^"]+)">(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)"[^>]*\bselected', options)
        found[name] = html.unescape(chosen[1]) if chosen else html.unescape(re.search(r'value="([^"]*)"', options)[1])  # type: ignore[index]
    area = re.search(r'<textarea id="yaml".*?>\n?(.*?)</textarea>', form, re.DOTALL)
    assert area is not None
    return found | {"yaml": html.unescape(area[1])}


def send(client: Client, page: HttpResponse, do: str, **typed: str) -> HttpResponse:
    return client.post(ADDRESS, fields_of(page) | {"do": do} | typed)


def said(page: HttpResponse) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.content.decode())))


def errors(page: HttpResponse) -> list[str]:
    return [html.unescape(error) for error in re.findall(r'<p class="error">(.*?)</p>', page.content.decode())]


def test_a_new_one_is_on_the_part_that_one_came_from(alice: Client, model: LanguageModel) -> None:
    page = alice.get(f"{ADDRESS}?model=tiny&part=L1H2&task=ioi")
    sent = fields_of(page)
    assert (sent["model"], sent["task"], sent["parts-1"], sent["shows_all"]) == ("tiny", "ioi", "L1H2", "yes")
    assert yaml.safe_load(sent["yaml"])["nodes"][1]["parts"] == ["L1H2"]
    assert errors(page) == []


def test_what_is_built_in_the_form_is_asked_and_run(alice: Client, model: LanguageModel) -> None:
    page = alice.get(f"{ADDRESS}?model=tiny&part=L2H1")
    page = send(alice, page, "check", **{"sampler-1": "agree", "value-1": "end_token", "n": "40", "criterion": "80 %"})
    assert page.status_code == 200
    assert "Nothing is wrong with it as far as can be said before it runs." in said(page)
    assert yaml.safe_load(fields_of(page)["yaml"])["criterion"] == 0.8
    done = send(alice, page, "run")
    experiment = Experiment.objects.get()
    assert done.headers["Location"] == experiment.get_absolute_url()
    assert (experiment.spec["n"], experiment.criterion, experiment.asked_by.username) == (40, 0.8, "alice")
    assert experiment.spec["nodes"][1]["sampler"] == {"agree": "end_token"}


def test_the_yaml_alone_is_enough_and_its_comments_stay(alice: Client, model: LanguageModel) -> None:
    page = alice.get(ADDRESS)
    text = f"# mine\n{as_yaml(question_about(model).to_json())}"
    page = send(alice, page, "check", yaml=text.replace("\n", "\r\n"))
    assert page.status_code == 200
    sent = fields_of(page)
    assert sent["yaml"] == text
    assert (sent["name-2"], sent["via-2"], sent["value-2"]) == ("keys", "L2KV0.k", "after_token")
    assert sent["shows_all"] == "yes"
    assert send(alice, page, "run").status_code == 302
    assert Experiment.objects.get().hash == question_about(model).hash


def test_the_hash_of_weights_may_be_left_to_the_site(alice: Client, model: LanguageModel) -> None:
    asked = question_about(model).to_json()
    del asked["model_hash"]
    assert send(alice, alice.get(ADDRESS), "run", yaml=as_yaml(asked)).status_code == 302
    assert Experiment.objects.get().spec["model_hash"] == model.hash


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"model_hash": "c" * 64}, "expected the model tiny ({hash}), got tiny (cccccccccccc)."),
        ({"rows": 1}, "rows: expected a whole number from 2"),
    ],
)
def test_other_weights_and_too_few_rows_are_refused_and_the_yaml_stays(
    alice: Client, model: LanguageModel, asked: dict[str, Any], sentence: str
) -> None:
    text = as_yaml(question_about(model).to_json() | asked)
    page = send(alice, alice.get(ADDRESS), "run", yaml=text)
    assert page.status_code == 400
    assert sentence.format(hash=model.hash[:12]) in " ".join(errors(page))
    assert fields_of(page)["yaml"] == text
    assert not Experiment.objects.exists()


def test_refining_starts_from_all_that_was_asked(alice: Client, model: LanguageModel) -> None:
    experiment = build_experiment(model, User.objects.get(), title="Mine", mask="datum", rows_seed=3)
    page = alice.get(f"{ADDRESS}?from={experiment.hash}")
    sent = fields_of(page)
    assert (sent["title"], sent["mask"], sent["rows_seed"], sent["shows_all"]) == ("Mine", "datum", "3", "yes")
    assert send(alice, page, "run").headers["Location"] == experiment.get_absolute_url()
    assert Experiment.objects.count() == 1
    assert alice.get(f"{ADDRESS}?from={'0' * 64}").status_code == 404


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"parts-1": "L99H0"}, "Reading node out/claim: expected one of 3 layers, got number 99, counted from 0."),
        ({"parts-1": "<b>"}, "Reading node out/claim: expected a part such as L5H1"),
        ({"sampler-1": "agree", "value-1": "nothing"}, "expected a feature among"),
        ({"sampler-1": "fixed", "value-1": "many"}, "Reading node claim, sampler: expected a sampler such as"),
        ({"positions-1": "nowhere"}, "expected a role among"),
        ({"offset-1": "far"}, "Reading node claim, offset: expected a whole number"),
        ({"parent-1": "nobody"}, "Reading node claim: expected a parent that is there, got nobody."),
        ({"name-1": "out"}, "expected a name of its own"),
        ({"name-1": ""}, "Reading node , name: expected a text"),
    ],
)
def test_what_is_wrong_of_a_node_stands_beside_it_and_all_that_was_typed_with_it(
    alice: Client, model: LanguageModel, typed: dict[str, str], sentence: str
) -> None:
    page = send(alice, alice.get(f"{ADDRESS}?part=L1H1"), "run", **typed)
    assert page.status_code == 400
    sent = fields_of(page)
    assert {name: sent[name] for name in typed} == typed
    text = page.content.decode()
    assert any(sentence in error for error in errors(page)), errors(page)
    assert 'class="card node-fields wrong"' in re.sub(r"\s+", " ", text)
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"n": "1e3"}, "Reading a hypothesis, n: expected a whole number from 2"),
        ({"n": "30000"}, "expected at most 20,000 on this server, got 30000."),
        ({"model": "nobody"}, "expected"),
        ({"criterion": "high"}, "expected a criterion such as 0.8, got high."),
        ({"rewrites": "[{"}, "expected a list of rewrites"),
        ({"end_point": "inputs scrubbed"}, "expected the parts whose inputs are scrubbed, got none"),
    ],
)
def test_what_is_wrong_of_the_whole_stands_above(
    alice: Client, model: LanguageModel, typed: dict[str, str], sentence: str
) -> None:
    page = send(alice, alice.get(f"{ADDRESS}?part=L1H1"), "run", **typed)
    assert page.status_code == 400
    assert {name: fields_of(page)[name] for name in typed} == typed
    assert sentence.replace("30000", "30,000") in " ".join(errors(page))


@pytest.mark.parametrize(
    "text",
    [
        "nodes: [",
        "",
        "- 1\n- 2",
        "just words",
        "{" * 3000,
        "a: &a [*a]",
        "criterion: .nan",
        'title: "\\0"',
        "model: tiny\nnodes: 3",
        "\t",
    ],
)
def test_a_yaml_that_says_nothing_comes_back_as_it_was_typed(alice: Client, model: LanguageModel, text: str) -> None:
    before = alice.get(f"{ADDRESS}?part=L1H1")
    page = send(alice, before, "run", yaml=text)
    assert page.status_code == 400
    assert fields_of(page)["yaml"] == text
    assert errors(page)
    assert fields_of(page)["parts-1"] == "L1H1"


@pytest.mark.parametrize(("name", "value"), [("criterion", float("nan")), ("title", "a\0b"), ("title", "\ud800")])
def test_what_no_database_keeps_is_refused(alice: Client, model: LanguageModel, name: str, value: Any) -> None:
    asked = question_about(model).to_json() | {name: value}
    text = yaml.safe_dump(asked) if isinstance(value, float) else yaml.safe_dump(asked, allow_unicode=False)
    page = send(alice, alice.get(ADDRESS), "run", yaml=text)
    assert page.status_code == 400
    why = "a criterion such as 0.8" if name == "criterion" else "finite numbers and text without control characters"
    assert f"expected {why}" in " ".join(errors(page))


def test_where_both_panes_were_changed_one_says_which_is_meant(alice: Client, model: LanguageModel) -> None:
    start = alice.get(f"{ADDRESS}?part=L1H1")
    text = as_yaml(question_about(model).to_json())
    page = send(alice, start, "run", yaml=text, n="77")
    assert page.status_code == 400
    assert "expected the form or the YAML to be changed, got both" in errors(page)[0]
    assert (fields_of(page)["yaml"], fields_of(page)["n"]) == (text, "77")
    again = send(alice, page, "check")
    assert "got both" in errors(again)[0]
    by_form = send(alice, page, "use-form")
    assert yaml.safe_load(fields_of(by_form)["yaml"])["n"] == 77
    by_text = send(alice, page, "use-yaml")
    assert (fields_of(by_text)["n"], fields_of(by_text)["yaml"]) == ("40", text)


def test_a_form_beside_a_yaml_that_it_cannot_show_writes_over_nothing(alice: Client, model: LanguageModel) -> None:
    broken = send(alice, alice.get(f"{ADDRESS}?part=L1H1"), "check", yaml="nodes: [")
    page = send(alice, broken, "check", n="77")
    assert page.status_code == 400
    assert fields_of(page)["yaml"] == "nodes: ["
    assert "mend the YAML" in errors(page)[0]
    assert yaml.safe_load(fields_of(send(alice, page, "use-form"))["yaml"])["n"] == 77


def test_nodes_are_added_and_removed_without_a_script(alice: Client, model: LanguageModel) -> None:
    page = send(alice, alice.get(f"{ADDRESS}?part=L1H1"), "add", title="Kept")
    sent = fields_of(page)
    assert (sent["n_nodes"], sent["name-2"], sent["parent-2"], sent["title"]) == ("3", "node 1", "out", "Kept")
    page = send(alice, page, "remove-1")
    sent = fields_of(page)
    assert (sent["n_nodes"], sent["name-1"], sent["title"]) == ("2", "node 1", "Kept")
    assert [node["name"] for node in yaml.safe_load(sent["yaml"])["nodes"]] == ["out", "node 1"]


def test_more_nodes_than_a_form_has_are_edited_as_yaml(alice: Client, model: LanguageModel) -> None:
    below = ({"name": f"n{n}", "parent": "out", "parts": [f"L0N{n % 16}"], "sampler": "exact"} for n in range(70))
    many = [NODES[0], *below]
    text = as_yaml(question_about(model, nodes=NODES).to_json() | {"nodes": many})
    page = send(alice, alice.get(ADDRESS), "check", yaml=text)
    assert "The form cannot show all that the YAML says" in said(page)
    assert fields_of(page)["yaml"] == text
    assert page.content.decode().count('class="node') >= 71  # the tree has all of them


def test_thousands_of_nodes_are_one_sentence(alice: Client, model: LanguageModel) -> None:
    many = [{"name": f"n{n}", "parts": []} for n in range(2_000)]
    page = send(alice, alice.get(ADDRESS), "check", yaml=as_yaml({**question_about(model).to_json(), "nodes": many}))
    assert errors(page)[0] == "Reading a hypothesis: expected at most 1,000 nodes, got 2,000."


def test_a_chain_that_is_too_deep_and_a_cycle_are_drawn_and_refused(alice: Client, model: LanguageModel) -> None:
    def below(name: str, parent: str) -> dict[str, Any]:
        return {"name": name, "parent": parent, "parts": [], "sampler": "exact"}

    chain = [NODES[0], *(below(f"n{n}", f"n{n - 1}" if n else "out") for n in range(900))]
    asked = question_about(model).to_json()
    page = send(alice, alice.get(ADDRESS), "check", yaml=as_yaml({**asked, "nodes": chain}))
    assert page.content.decode().count('<div class="node') == 901
    assert errors(page) == ["Reading a hypothesis: expected at most 100 levels of nodes, got more."]
    cycle = [below("x", "y"), below("y", "x")]
    page = send(alice, alice.get(ADDRESS), "check", yaml=as_yaml({**asked, "nodes": [NODES[0], *cycle]}))
    assert "got a cycle: x → y → x." in " ".join(errors(page))
    assert "It hangs on no node." in said(page)


def test_nobody_but_researchers_builds_and_what_was_typed_comes_back(
    client: Client, alice: Client, model: LanguageModel
) -> None:
    start = alice.get(f"{ADDRESS}?part=L1H1")
    assert client.get(ADDRESS).headers["Location"] == f"/accounts/login/?next={ADDRESS}"
    charlie = Client()
    charlie.force_login(User.objects.create_user("charlie"))
    assert charlie.get(ADDRESS).status_code == 403
    for who, sentence in (
        (client, "your session ended"),
        (charlie, "expected a researcher of this site, got charlie."),
    ):
        page = send(who, start, "run", title="Precious")
        assert page.status_code == 403
        assert sentence in " ".join(errors(page))
        assert fields_of(page)["title"] == "Precious"
    assert not Experiment.objects.exists()


def test_the_page_keeps_the_policy_and_is_never_kept(alice: Client, model: LanguageModel) -> None:
    page = alice.get(ADDRESS)
    assert inline_parts(page.content) == []
    assert page.headers["Cache-Control"] == "no-store"
    assert alice.put(ADDRESS).status_code == 405


def test_the_form_says_back_whatever_the_yaml_says(model: LanguageModel) -> None:
    asked = question_about(
        model,
        mask="datum",
        rows_seed=5,
        split="confirm",
        rewrites=[{"kind": "ungroup", "head": "L0H0"}],
        nodes=[
            NODES[0],
            {"name": "a b", "parent": "out", "parts": ["L2H1", "L2H2"], "sampler": {"agree": {"all": ["end_token"]}}},
            {"name": "c", "parent": "out", "parts": ["L0H0"], "sampler": {"shared": "s"}, "other": {"fixed": 3}},
            {"name": "d", "parent": "out", "parts": ["L0H1"], "sampler": {"fixed": 2}, "positions": [1, 2]},
            {"name": "e", "parent": "out", "parts": ["L2H0"], "sampler": "exact", "positions": "end", "via": "*"},
        ],
    )
    data = yaml.safe_load(as_yaml(asked.to_json()))
    fields = Fields.of_data(data)
    assert fields is not None
    assert type(asked).from_json(fields.to_data(model_hash=model.hash)) == asked
