"""Runs that were done in a notebook and uploaded by the real client; then run by this server, which says whether they
agree."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client as Browser
from pytest_django.live_server_helper import LiveServer

from analysis.client import Client, ClientError
from analysis.models import prepare_model
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.run import Run as EngineRun
from analysis.scrubbing.run import scrub
from tests.texts.test_races import at_once
from wiki.accounts.access_keys import make_key
from wiki.accounts.models import Role, User
from wiki.api.runs import MOST_A_MINUTE, MOST_BYTES
from wiki.components.models import LanguageModel
from wiki.experiments.first_surveys import register_model
from wiki.experiments.models import Experiment, NamedPart, Run
from wiki.experiments.scrubs import run_again
from wiki.experiments.uploading import upload_run
from wiki.pages.agreement import agree

from .test_worker import wait_until, worker

pytestmark = pytest.mark.both_databases

NODES: list[dict[str, Any]] = [
    {"name": "out", "parts": ["out"]},
    {"name": "count", "parent": "out", "parts": ["L1H0", "L2H1"], "sampler": {"agree": "count_test"}},
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of whoever works in a notebook, in the folder where they work."""
    return tmp_path_factory.mktemp("notebook") / ".loupe" / "store"


@pytest.fixture(scope="module")
def question(notebook: Path) -> Question:
    model = prepare_model(notebook, "paren-balance")
    asked = {"model": "paren-balance", "model_hash": model.meta["hash"], "task": "brackets", "rows": 400, "n": 200}
    return Question.from_json({**asked, "criterion": 0.9, "nodes": NODES, "title": "Counts alone"})


@pytest.fixture(scope="module")
def run(question: Question, notebook: Path) -> EngineRun:
    return scrub(question, notebook, assignments=2)


@pytest.fixture
def model(data: Path, db: None) -> LanguageModel:
    (data / "store").mkdir()
    return register_model(prepare_model(data / "store", "paren-balance").meta)


@pytest.fixture
def alice(model: LanguageModel) -> User:
    cache.clear()
    return User.objects.create_user("alice", role=Role.RESEARCHER)


@pytest.fixture
def client(live_server: LiveServer, alice: User) -> Iterator[Client]:
    _, key = make_key(alice, name="notebook", days=30)
    with Client(live_server.url, key=key) as opened:
        yield opened


def test_what_a_notebook_uploads_is_marked_until_the_server_has_run_it(
    data: Path, client: Client, live_server: LiveServer, broker_url: str, run: EngineRun, question: Question
) -> None:
    uploaded = client.upload(run)
    assert (uploaded.is_new, uploaded.experiment) == (True, question.hash)
    kept = Run.objects.get(pk=uploaded.run)
    assert kept.recovered == pytest.approx(run.result.recovered.value)
    assert (kept.origin, kept.asked_by.get_username(), kept.device) == ("uploaded", "alice", "cpu")
    assert set(NamedPart.objects.values_list("component", flat=True)) == {"L1H0", "L2H1"}
    page = Browser().get(uploaded.url.removeprefix(live_server.url)).content.decode()
    assert "<strong>Uploaded</strong> by alice from a notebook: this server has not run it." in page
    experiment = kept.experiment
    run_again(experiment, user=kept.asked_by)
    with worker(data, live_server, broker_url):
        wait_until(lambda: Run.objects.filter(origin="server", recovered__isnull=False).exists(), what="a scrub")
    own = experiment.runs.get(origin="server")
    assert own.seed != kept.seed
    assert agree(kept, own)
    page = Browser().get(uploaded.url.removeprefix(live_server.url)).content.decode()
    assert f"run {own.pk} of this server agrees" in page
    # the page shows what this server found
    shown = Browser().get(f"/x/{experiment.hash}.json").json()
    assert shown["run"] == own.pk


def test_the_client_reads_what_was_asked_by_all_or_some_digits_of_its_hash(
    client: Client, run: EngineRun, question: Question
) -> None:
    client.upload(run)
    for name in (question.hash, question.hash[:8], f"x:{question.hash[:12]}"):
        assert client.experiment(name) == question
    with pytest.raises(ClientError):
        client.experiment("00000000")


def test_the_snippet_of_the_page_does_what_it_says(
    alice: User, live_server: LiveServer, client: Client, run: EngineRun, notebook: Path, monkeypatch: Any
) -> None:
    address = client.upload(run).url.removeprefix(live_server.url)
    page = Browser(headers={"host": live_server.url.removeprefix("http://")}).get(address).content.decode()
    snippet = unescape(page.partition('<pre class="code" tabindex="0">')[2].partition("</pre>")[0])
    assert "# client.upload(run).url" in snippet
    _, key = make_key(alice, name="k", days=30)
    snippet = snippet.replace('key=""', f'key="{key}"').replace("# client.upload(run)", "again = client.upload(run)")
    monkeypatch.chdir(notebook.parent.parent)
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102 (what a page of ours says)
    assert names["run"].result.recovered == run.result.recovered
    assert names["again"].startswith(f"{live_server.url}/x/{run.experiment.hash}/?run=")


def test_what_the_document_says_is_done(
    alice: User, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (Path(settings.BASE_DIR) / "docs" / "notebooks.md").read_text()
    yaml, scrubs, uploads = re.findall(r"```(?:yaml|python)\n(.*?)```", document, re.DOTALL)
    (tmp_path / "work" / ".loupe").mkdir(parents=True)
    (tmp_path / "work" / "experiment.yaml").write_text(yaml)
    monkeypatch.chdir(tmp_path / "work")
    _, key = make_key(alice, name="k", days=30)
    names: dict[str, Any] = {"access_key": key}
    exec(scrubs, names)  # noqa: S102 (that it can be done is what is tested)
    exec(uploads.replace("https://loupe.example.org", live_server.url), names)  # noqa: S102
    kept = Run.objects.get()
    assert names["uploaded"].url == f"{live_server.url}/x/{kept.experiment_id}/?run={kept.pk}"
    assert kept.recovered == pytest.approx(names["run"].result.recovered.value)
    assert kept.experiment.title == "Three heads do the tests"


def test_the_same_upload_once_more_is_the_first(client: Client, run: EngineRun) -> None:
    first, second = client.upload(run), client.upload(run)
    assert (first.run, first.is_new, second.is_new) == (second.run, True, False)
    assert Run.objects.count() == Experiment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_the_same_uploads_at_once_one_is_kept(alice: User, run: EngineRun) -> None:
    body = json.dumps(_sent(run)).encode()
    kept = at_once(*[lambda: upload_run(body, user=alice) for _ in range(6)])
    assert all(isinstance(each, tuple) for each in kept), kept
    assert sorted(is_new for _, is_new in kept) == [False] * 5 + [True]
    assert {each.pk for each, _ in kept} == {Run.objects.get().pk}
    assert NamedPart.objects.filter(component="L2H1").count() == 1


def test_a_run_with_other_draws_is_one_more_of_its_experiment(
    client: Client, run: EngineRun, question: Question, notebook: Path
) -> None:
    client.upload(run)
    seeded = dataclasses.replace(question, hypothesis=dataclasses.replace(question.hypothesis, seed=7))
    client.upload(scrub(seeded, notebook, assignments=0), of=question)
    assert list(Run.objects.order_by("pk").values_list("seed", flat=True)) == [0, 7]
    assert Experiment.objects.get().hash == question.hash


def test_the_verdict_and_the_warnings_are_said_anew(client: Client, run: EngineRun) -> None:
    told = dataclasses.replace(run, result=dataclasses.replace(run.result, verdict=None, warnings=["Trust me."]))
    kept = Run.objects.get(pk=client.upload(told).run).uploaded
    assert kept is not None
    assert kept["result"]["verdict"] == run.result.to_json()["verdict"]
    assert kept["result"]["warnings"] == list(run.result.warnings)


def _changed(run: EngineRun, **changes: Any) -> EngineRun:
    return dataclasses.replace(run, result=dataclasses.replace(run.result, **changes))


def test_figures_that_do_not_follow_from_each_other_are_refused_with_a_sentence(client: Client, run: EngineRun) -> None:
    better = dataclasses.replace(run.result.recovered, value=0.99)
    other = dataclasses.replace(run.result.nodes[0], path="out/other")
    for wrong, why in (
        (_changed(run, recovered=better), "expected a recovered share that follows from the losses, got another."),
        (_changed(run, n=100), "expected 200 samples, as the experiment says, got 100."),
        (_changed(run, nodes=[other]), "expected nodes of the experiment alone, got out/other."),
        (dataclasses.replace(run, about={**run.about, "rows": 1}), "expected 400 rows, got 1."),
        (dataclasses.replace(run, about={**run.about, "device": ""}), "expected a device of at most 100 characters"),
        (dataclasses.replace(run, worst=[{"text": "x"}]), "expected what a run has, got another worst.0"),
    ):
        with pytest.raises(ClientError, match=why.replace("(", r"\(")):
            client.upload(wrong)
    assert not Run.objects.exists()
    assert not Experiment.objects.exists()


def _sent(run: EngineRun, **changes: Any) -> dict[str, Any]:
    return {
        "experiment": run.experiment.to_json(),
        "seed": 0,
        "result": run.result.to_json(),
        "worst": run.worst,
        "searched": run.searched.to_json(),
        "about": run.about,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"experiment": {"task": "nothing"}}, "expected a task among"),
        ({"experiment": {"model": "gpt9"}}, "Reading"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "got another seed"),
        ({"result": {}}, "got another result.recovered"),
        ({"worst": None}, "got another worst"),
        ({"about": {"code": "1"}}, "got another about"),
    ],
)
def test_what_is_no_run_is_refused_with_a_sentence(
    alice: User, run: EngineRun, changes: dict[str, Any], why: str
) -> None:
    answer = _post(alice, json.dumps(_sent(run, **changes)))
    assert answer.status_code == 422, answer.content
    assert why in answer.json()["error"]
    assert not Experiment.objects.exists()


def _post(user: User, body: str | bytes, *, key: str = "") -> Any:
    _, made = ("", key) if key else make_key(user, name="k", days=30)
    sent = {"content_type": "application/json", "headers": {"Authorization": f"Bearer {made}"}}
    return Browser(enforce_csrf_checks=True).post("/api/runs/", body, **sent)


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "\udcff", '{"experiment": NaN}', "[" * 100_000])
def test_what_is_no_json_is_refused_with_a_sentence(alice: User, body: str) -> None:
    answer = _post(alice, body.encode("utf-8", "surrogateescape"))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Reading an uploaded run: expected what a run has")


def test_numbers_and_text_that_cannot_be_kept_are_refused(alice: User, run: EngineRun) -> None:
    body = json.dumps(_sent(run))
    for broken in (
        body.replace('"layer_rows": ', '"paths_intact": 1e999, "layer_rows": '),
        json.dumps(_sent(run, about={**run.about, "device": "c\0pu"})),
        json.dumps(_sent(run, about={**run.about, "device": "\ud800"})),
    ):
        answer = _post(alice, broken)
        assert answer.status_code == 422, answer.content
    assert not Run.objects.exists()


def test_what_is_too_large_is_refused_unread(alice: User) -> None:
    answer = _post(alice, " " * (MOST_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]) == (
        413,
        "Uploading a run: expected at most 2,000,000 bytes, got 2,000,001.",
    )


def test_a_hypothesis_that_is_illegal_or_of_other_weights_is_refused(alice: User, run: EngineRun) -> None:
    asked = run.experiment.to_json()
    wrong_hash = _post(alice, json.dumps(_sent(run, experiment={**asked, "model_hash": "0" * 64})))
    assert wrong_hash.status_code == 422
    assert "got paren-balance (000000000000)" in wrong_hash.json()["error"]
    unknown = [NODES[0], {**NODES[1], "parts": ["L9H9"]}]
    illegal = _post(alice, json.dumps(_sent(run, experiment={**asked, "nodes": unknown})))
    assert illegal.status_code == 422
    assert illegal.json()["error"].startswith("Reading node out/count: expected one of 3 layers, got number 9")


def test_a_key_opens_for_researchers_alone_and_a_session_for_nobody(alice: User, run: EngineRun) -> None:
    bob = User.objects.create_user("bob", role=Role.READER)
    refused = _post(bob, json.dumps(_sent(run)))
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "Uploading a run: expected a researcher of this site, got bob.",
    )
    browser = Browser()
    browser.force_login(alice)
    without = browser.post("/api/runs/", json.dumps(_sent(run)), content_type="application/json")
    assert (without.status_code, without["WWW-Authenticate"]) == (401, "Bearer")
    unknown = _post(alice, "{}", key="loupe_unknown")
    assert unknown.status_code == 401
    assert unknown["WWW-Authenticate"] == "Bearer"
    assert unknown.json()["error"].startswith("Reading an access key: expected one that somebody here has made")


def test_who_uploads_very_often_waits(alice: User) -> None:
    _, key = make_key(alice, name="k", days=30)
    answers = [_post(alice, "{}", key=key).status_code for _ in range(MOST_A_MINUTE + 2)]
    assert answers[0] == 422
    assert answers[-1] == 429 or 429 in answers


def test_a_site_that_is_not_there_is_a_sentence() -> None:
    with Client("http://127.0.0.1:9", key="loupe_x") as nobody, pytest.raises(ClientError, match="expected an answer"):
        nobody.experiment("0" * 64)
