"""`/x/`, the page of an experiment, two compared; running again and stopping."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from analysis.datasets.task import TaskMetric
from analysis.scrubbing.result import compare
from analysis.scrubbing.searched import Searched
from analysis.store import scrub_path
from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments import jobs, scrubs
from wiki.experiments.models import Experiment, Job, Run
from wiki.experiments.results import open_scrub
from wiki.pages.failing_inputs import failing_inputs, found_by_search
from wiki.pages.hypothesis_words import claim_of

from .building_scrubs import build_experiment, finish_run, printed, random_run
from .test_every_page import inline_parts

OTHER = [
    {"name": "out", "parts": ["out"]},
    {"name": "a", "parent": "out", "parts": ["L0.mlp"], "sampler": "unconditional"},
]


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", role=Role.RESEARCHER)


@pytest.fixture
def experiment(model: LanguageModel, alice: User) -> Experiment:
    """With one finished run that recovers about 60 %, where 80 % were to be met."""
    experiment = build_experiment(model, alice, title="Induction")
    finish_run(experiment.runs.get())
    return experiment


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text_of(client: Client, address: str) -> str:
    """The words of a page, each run of white space one blank."""
    response = client.get(address)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_the_page_says_what_the_artifact_says(client: Client, experiment: Experiment) -> None:
    said = text_of(client, experiment.get_absolute_url())
    figures = open_scrub(experiment.runs.get()).figures
    assert f"{100 * figures['recovered']['value']:.1f} %" in said
    assert printed(figures["recovered"]) in said
    for of in [*figures["classes"], *figures["assignments"]]:
        assert printed(of["recovered"]) in said
    for of in figures["nodes"]:
        assert printed(of["made_exact"]) in said
        assert f"{printed(of['gain'])} more than with the whole hypothesis" in said
    for name in ("model", "scrubbed", "nothing"):
        assert f"{figures['losses'][name]['value']:.4f}" in said
    assert "0 %: inputs scrubbed: L2H1" in said
    assert "order = 1" in said
    assert all(warning in said for warning in figures["warnings"])
    assert "The cat sat" in said
    assert "20 donors in 40 draws" in said
    assert "engine 0.2.1 on cpu" in said


def test_the_verdict_is_only_against_what_was_stated_before(
    client: Client, experiment: Experiment, alice: User
) -> None:
    said = text_of(client, experiment.get_absolute_url())
    assert "Criterion ≥ 80 %: not met (stated beforehand)" in said
    assert "it never confirms one" in said
    without = build_experiment(experiment.model, alice, criterion=None)
    finish_run(without.runs.get())
    said = text_of(client, without.get_absolute_url())
    assert "No criterion was stated beforehand, so there is no verdict." in said
    assert "not met" not in said


@pytest.mark.parametrize("share", [-0.4, 1.3])
def test_shares_beyond_the_end_points_are_neither_cut_off_nor_off_the_picture(
    client: Client, model: LanguageModel, alice: User, share: float
) -> None:
    run = finish_run(build_experiment(model, alice).runs.get(), share=share)
    page = client.get(run.experiment.get_absolute_url()).content.decode()
    assert f"{100 * run.recovered:.1f} %".replace("-", "−") in page  # type: ignore[operator]
    places = [float(place) for place in re.findall(r'cx="([^"]+)"', page)]
    assert all(0 < place < 300 for place in places)


def test_each_node_of_the_tree_leads_to_the_page_of_its_part(client: Client, experiment: Experiment) -> None:
    page = client.get(experiment.get_absolute_url()).content.decode()
    assert '<a href="/m/tiny/L2H1/"><code>L2H1</code></a>' in page
    assert '<a href="/m/tiny/L1H2/"><code>L1H2</code></a>' in page
    assert "a row that agrees on after_token; by way of L2KV0.k" in page


def test_the_claim_stands_above_in_a_sentence(client: Client, experiment: Experiment) -> None:
    said = text_of(client, experiment.get_absolute_url())
    assert (
        "induction (random tokens): L2H1 depends on end_token alone; L1H2, as L2H1 reads it, depends on after_token "
        "alone; nothing else matters to the output." in said.replace(" :", ":")
    )


@pytest.mark.parametrize(
    ("below", "claim"),
    [
        ([], "No part of the model matters to the output."),
        ([{"parts": ["L0H1"], "sampler": "unconditional"}], "L0H1 makes no difference; nothing else matters"),
        ([{"parts": ["L0H1", "embed"], "sampler": "exact"}], "L0H1 and embed count as they are; nothing else matters"),
        ([{"parts": ["L0H1"], "sampler": {"fixed": 3}, "positions": "end"}], "L0H1 at end may be that of row 3;"),
        ([{"parts": [f"L{n}H0"], "sampler": "exact"} for n in range(9)], "L3H0 counts as it is; and 5 nodes more;"),
    ],
)
def test_a_claim_says_each_way_to_draw_and_at_most_a_few_nodes(below: list[dict[str, Any]], claim: str) -> None:
    nodes = [{"name": f"n{n}", "parent": "out", **node} for n, node in enumerate(below)]
    assert claim in claim_of([{"name": "out", "parts": ["out"]}, *nodes])


def test_what_else_a_root_reads_is_part_of_the_claim() -> None:
    assert claim_of([{"name": "out", "parts": ["out"], "other": {"fixed": 1}}]) == (
        "Of all else the output reads always row 1."
    )


def test_a_failing_input_names_the_probabilities_that_moved_farthest() -> None:
    outputs = {"model": [None, -0.1, -0.2, -3.0, -0.3], "scrubbed": [None, -0.1, -2.0, -0.1, -0.4]}
    worst = {"sample": 0, "row": 1, "text": "", "losses": {}, "outputs": outputs, "swapped_in": [], "mended_by": {}}
    (shown,) = failing_inputs([worst], TaskMetric.NEXT_TOKEN_LOSS)
    assert shown.moved == [
        "the right token after position 3: 5.0 % → 90.5 %",
        "the right token after position 2: 81.9 % → 13.5 %",
        "the right token after position 4: 74.1 % → 67.0 %",
    ]
    classes = {**worst, "outputs": {"model": [-0.1, -2.4], "scrubbed": [-2.4, -0.1]}}
    (of_classes,) = failing_inputs([classes], TaskMetric.CLASS_LOSS)
    assert of_classes.moved == ["class 0: 90.5 % → 9.1 %", "class 1: 9.1 % → 90.5 %"]
    (of_logits,) = failing_inputs([classes], TaskMetric.LOGIT_DIFFERENCE)
    assert of_logits.moved == []


def test_the_page_has_what_a_search_found_beside_uniform_draws(client: Client, experiment: Experiment) -> None:
    page = client.get(experiment.get_absolute_url()).content.decode()
    section = page.partition('<h2 id="searched">')[2].partition("</section>")[0]
    said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section))
    assert "Among 256 new rows of the split search, 32 samples" in said
    assert "the worst 2 fail by 4.000 in the mean, the worst of as many uniform draws by 2.500." in said
    assert "nothing worse" not in said
    assert said.index("The cat sat!") < said.index("on the mat!")
    searched = client.get(f"/x/{experiment.hash}.json").json()["searched"]
    assert (searched["rows"], searched["mean_of_worst"]) == (256, 4.0)


def test_a_search_that_found_nothing_worse_says_so_and_one_that_was_not_made_why() -> None:
    beaten = found_by_search(Searched(rows=8, samples=4, mean_of_worst=1.0, mean_of_worst_uniform=1.5).to_json())
    assert beaten["found_worse"] is False
    absent = found_by_search(Searched(absent="Searching: expected a generator, got none.").to_json())
    assert (absent["absent"], absent["worst_kept"]) == ("Searching: expected a generator, got none.", 0)


def test_the_data_has_what_was_asked_the_runs_and_the_figures(client: Client, experiment: Experiment) -> None:
    data = client.get(f"/x/{experiment.hash}.json").json()
    assert data["spec"] == experiment.spec
    assert [run["origin"] for run in data["runs"]] == ["server"]
    assert data["result"]["verdict"]["met"] is data["runs"][0]["met"] is False
    assert [worst["text"] for worst in data["worst"]] == ["The cat sat", "on the mat"]


def test_the_snippet_names_the_data_and_the_file_is_the_question(client: Client, experiment: Experiment) -> None:
    page = client.get(experiment.get_absolute_url()).content.decode()
    assert 'Client("http://testserver", key="")' in page
    assert f'client.experiment("x:{experiment.hash[:12]}")' in page
    assert "title: Induction" in page


def test_a_run_that_waits_is_followed_until_it_ends(client: Client, model: LanguageModel, alice: User) -> None:
    experiment = build_experiment(model, alice)
    page, fragment = experiment.get_absolute_url(), f"{experiment.get_absolute_url()}progress/"
    assert "Waiting for its turn." in text_of(client, page)
    assert "No run of it has figures yet" not in text_of(client, page)
    job = Job.objects.get()
    claim = jobs.claim_job(job.pk)
    assert claim is not None
    jobs.renew_job(job.pk, claim.token, rows_done=37)
    assert "A measuring worker scrubs it: 37 % done." in text_of(client, fragment)
    assert f'hx-get="{fragment}"' in client.get(page).content.decode()
    finish_run(experiment.runs.get())
    ended = client.get(fragment)
    assert ended.headers["HX-Refresh"] == "true"
    assert "hx-get" not in ended.content.decode()


def test_a_failed_run_says_its_one_sentence(client: Client, model: LanguageModel, alice: User) -> None:
    experiment = build_experiment(model, alice)
    Job.objects.update(state=Job.State.FAILED, error="Scrubbing: expected numbers, got NaN.")
    said = text_of(client, experiment.get_absolute_url())
    assert "did not finish. Scrubbing: expected numbers, got NaN." in said
    assert "No run of it has figures yet." in said


def test_an_artifact_that_is_gone_is_a_sentence_and_not_an_error(
    client: Client, experiment: Experiment, settings: Settings
) -> None:
    folder = scrub_path(settings.DATA_DIR / "store", experiment.hash)
    for file in folder.iterdir():
        file.unlink()
    for address in (experiment.get_absolute_url(), f"/x/{experiment.hash}.json"):
        response = client.get(address)
        assert response.status_code == 200
        assert "expected" in response.content.decode()


def test_running_again_draws_anew_and_says_whether_both_agree(
    client: Client, experiment: Experiment, alice: User
) -> None:
    own = signed_in(alice)
    response = own.post(f"{experiment.get_absolute_url()}again/")
    assert response.headers["Location"] == experiment.get_absolute_url()
    newest = Run.objects.latest("pk")
    assert newest.seed != experiment.runs.first().seed  # type: ignore[union-attr]
    finish_run(newest)
    assert "The first and the newest run, whose draws differ, agree:" in text_of(client, experiment.get_absolute_url())
    Run.objects.filter(pk=newest.pk).update(recovered=0.1)
    assert "whose draws differ, do not agree:" in text_of(client, experiment.get_absolute_url())


def test_any_run_can_be_looked_at_by_its_number(client: Client, experiment: Experiment, alice: User) -> None:
    finish_run(scrubs.run_again(experiment, user=alice), share=0.95)
    first, second = experiment.runs.order_by("pk")
    assert "not met" in text_of(client, f"{experiment.get_absolute_url()}?run={first.pk}")
    assert client.get(f"/x/{experiment.hash}.json?run={second.pk}").json()["result"]["verdict"]["met"]
    assert client.get(f"{experiment.get_absolute_url()}?run=nonsense").status_code == 200


def test_of_very_many_runs_the_first_and_the_named_one_are_still_shown(
    client: Client, experiment: Experiment, alice: User
) -> None:
    first = experiment.runs.get()
    Run.objects.bulk_create(
        Run(experiment=experiment, asked_by=alice, seed=n, artifact=first.artifact, finished_at=first.finished_at)
        for n in range(1, 70)
    )
    named = experiment.runs.get(seed=5)
    shown = [run["id"] for run in client.get(f"/x/{experiment.hash}.json?run={named.pk}").json()["runs"]]
    newest = list(experiment.runs.order_by("-pk").values_list("pk", flat=True)[:50])
    assert shown == [*newest, named.pk, first.pk]


def test_who_asked_stops_a_run_and_nobody_else_but_moderators(model: LanguageModel, alice: User) -> None:
    experiment = build_experiment(model, alice)
    stop, run = f"{experiment.get_absolute_url()}stop/", experiment.runs.get()
    bob = signed_in(User.objects.create_user("bob", role=Role.RESEARCHER))
    refused = bob.post(stop, {"run": run.pk})
    assert refused.status_code == 403
    assert "expected alice, who asked for it, or a moderator." in refused.content.decode()
    assert "Stop it" not in bob.get(experiment.get_absolute_url()).content.decode()
    own = signed_in(alice)
    assert "Stop it" in own.get(experiment.get_absolute_url()).content.decode()
    assert own.post(stop, {"run": "x"}).status_code == 404
    assert own.post(stop, {"run": run.pk}).status_code == 302
    assert "Stopped by alice." in own.get(experiment.get_absolute_url()).content.decode()
    assert own.post(stop, {"run": run.pk}).status_code == 409


def test_too_many_runs_of_one_person_are_a_sentence_on_the_page(experiment: Experiment, alice: User) -> None:
    for _ in range(scrubs.MOST_WAITING):
        scrubs.run_again(experiment, user=alice)
    response = signed_in(alice).post(f"{experiment.get_absolute_url()}again/")
    assert response.status_code == 429
    assert "expected at most 10 of yours" in response.content.decode()


@pytest.mark.parametrize("what", ["again", "stop"])
def test_nobody_but_researchers_runs_or_stops(client: Client, experiment: Experiment, what: str) -> None:
    address = f"{experiment.get_absolute_url()}{what}/"
    assert client.post(address).status_code == 403
    assert signed_in(User.objects.create_user("charlie")).post(address).status_code == 403
    assert client.get(address).status_code == 405
    assert Run.objects.count() == 1


def test_digits_of_a_hash_lead_to_the_experiment(client: Client, experiment: Experiment) -> None:
    assert client.get(f"/x/{experiment.hash[:8]}/").headers["Location"] == experiment.get_absolute_url()
    assert client.get("/x/0123456789/").status_code == 404
    assert client.get(f"/x/{'0' * 64}/").status_code == 404
    assert client.get(f"/x/{'0' * 64}.json").status_code == 404


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["Waiting", "Other", "Induction"]),
        ("model=tiny", ["Waiting", "Other", "Induction"]),
        ("model=none", []),
        ("task=induction-random", ["Waiting", "Other", "Induction"]),
        ("task=brackets", []),
        ("part=L2H1", ["Waiting", "Induction"]),
        ("part=2.1", ["Waiting", "Induction"]),
        ("part=L0", ["Other"]),
        ("by=@bob", ["Other"]),
        ("criterion=met", ["Other"]),
        ("criterion=not-met", ["Induction"]),
        ("criterion=none", ["Waiting"]),
        ("state=finished", ["Other", "Induction"]),
        ("state=under-way", ["Waiting"]),
        ("state=failed", []),
        ("part=L2H1&state=finished&by=alice", ["Induction"]),
    ],
)
def test_the_list_is_filtered(
    client: Client, experiment: Experiment, alice: User, query: str, titles: list[str]
) -> None:
    bob = User.objects.create_user("bob", role=Role.RESEARCHER)
    end_point = "everything scrubbed"
    other = build_experiment(experiment.model, bob, title="Other", nodes=OTHER, end_point=end_point)
    finish_run(other.runs.get(), share=0.97)
    build_experiment(experiment.model, alice, title="Waiting", criterion=None)
    assert [item["title"] for item in client.get(f"/x.json?{query}").json()["items"]] == titles
    page = text_of(client, f"/x/?{query}")
    assert [title for title in ("Waiting", "Other", "Induction") if f" {title} " in page] == titles


@pytest.mark.parametrize("query", ["part=nonsense", "criterion=perhaps", "state=x", "model=%00"])
def test_what_cannot_be_looked_for_is_said(client: Client, experiment: Experiment, query: str) -> None:
    for address in ("/x/", "/x.json"):
        response = client.get(f"{address}?{query}")
        assert response.status_code == 400
        assert "expected" in response.content.decode()


def test_more_experiments_and_runs_mean_no_more_queries(
    client: Client, experiment: Experiment, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    addresses = ("/x/", experiment.get_absolute_url(), f"/x/{experiment.hash}.json")
    counts = []
    for address in addresses:
        with django_assert_num_queries(8, exact=False) as asked:
            client.get(address)
        counts.append(len(asked))
    for n in range(5):
        finish_run(build_experiment(experiment.model, alice, n=50 + n).runs.get())
        finish_run(scrubs.run_again(experiment, user=alice))
    for address, count in zip(addresses, counts, strict=True):
        with django_assert_num_queries(count):
            client.get(address)


def test_two_on_the_same_draws_are_compared_pair_by_pair(client: Client, experiment: Experiment, alice: User) -> None:
    # the same samples, model and end point: only what was scrubbed differs
    other = build_experiment(experiment.model, alice, title="Refined", nodes=OTHER)
    finish_run(other.runs.get(), share=0.9)
    expected = compare(
        *(open_scrub(each.runs.get()).samples() for each in (other, experiment)),
        seed=0,  # type: ignore[arg-type]
    )
    said = text_of(client, f"/x/compare/?a={experiment.hash}&b={other.hash[:8]}")
    assert (
        f"the second recovers {printed(dataclasses.asdict(expected)).replace(' %', ' % more than the first', 1)}"
        in said
    )


def test_runs_of_one_seed_are_paired_whichever_runs_are_newest(
    client: Client, experiment: Experiment, alice: User
) -> None:
    other = build_experiment(experiment.model, alice, title="Refined", nodes=OTHER)
    finish_run(other.runs.get(), share=0.9)
    finish_run(scrubs.run_again(other, user=alice), share=0.9)
    said = text_of(client, f"/x/compare/?a={experiment.hash}&b={other.hash}")
    assert "On the same draws the second recovers" in said


def test_two_that_cannot_be_paired_say_why(client: Client, experiment: Experiment, alice: User) -> None:
    longer = build_experiment(experiment.model, alice, n=60)
    address = f"/x/compare/?a={experiment.hash}&b={longer.hash}"
    assert "needs a finished run of each" in text_of(client, address)
    finish_run(longer.runs.get())
    assert "expected the same reference rows" in text_of(client, address)
    assert client.get(f"/x/compare/?a={experiment.hash}&b=x").status_code == 404
    assert client.get("/x/compare/").status_code == 200


@pytest.mark.parametrize("address", ["/x/", "/x/{hash}/", "/x/{hash}/progress/", "/x/compare/?a={hash}&b={hash}"])
def test_pages_keep_the_policy_and_refuse_to_be_written_to(
    client: Client, experiment: Experiment, address: str
) -> None:
    address = address.format(hash=experiment.hash)
    assert inline_parts(client.get(address).content) == []
    assert client.post(address).status_code == 405


def test_the_builder_of_runs_here_is_the_engines_own_summary(experiment: Experiment) -> None:
    """What these tests show is what the engine writes: the fields of its result, and no other."""
    run: Any = random_run(scrubs.Question.from_json(experiment.spec), share=0.5)
    assert set(open_scrub(experiment.runs.get()).figures) == set(run.result.to_json())
