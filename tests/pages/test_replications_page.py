"""/w/replications/: ours beside what was published, what explains a difference, traps, and where it all comes from."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client

from analysis.replications.gallery import TRAPS
from analysis.replications.recorded import compare_with_published, read_recorded
from analysis.replications.table import ROWS
from analysis.scrubbing.experiment import read_experiment
from wiki.accounts.models import Role, User
from wiki.experiments.models import Experiment
from wiki.pages.scrub_scale import Scale, doubt_of, share_of

from .building import build_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client) -> str:
    return html.unescape(client.get("/w/replications/").content.decode())


def row_of(page: str, key: str) -> str:
    found = re.search(rf'<tr id="{key.replace("/", "-")}">.*?</tr>', page, re.DOTALL)
    assert found is not None, key
    return found[0]


def test_every_row_stands_beside_what_was_published(page: str) -> None:
    rows = read_recorded()["rows"]
    for row in ROWS:
        if row.key.startswith("smollm2"):
            continue
        shown, recovered = row_of(page, row.key), rows[row.key]["result"]["recovered"]
        assert row.claim in shown
        assert f"{100 * recovered['value']:.1f} %".replace("-", "−") in shown
        error, low, high = (100 * recovered[name] for name in ("error", "low", "high"))
        assert f"± {error:.1f} ({low:.1f} to {high:.1f})".replace("-", "−") in shown
        assert rows[row.key]["hash"][:12] in shown
        if row.published:
            assert row.published.printed in shown
            compared = compare_with_published(row, rows)
            assert compared is not None
            said = {
                "agrees": "within four standard errors",
                "explained": row.because,
                "unexplained": "<em>unexplained</em>",
            }
            assert said[compared.verdict] in shown, row.key


def test_an_explanation_leads_to_the_experiment_that_gives_it(page: str) -> None:
    links = re.findall(r'explained by <a href="#([^"]+)">', page)
    assert links
    for link in links:
        assert f'<tr id="{link}">' in page


def test_every_trap_has_its_claim_and_what_catches_it(page: str) -> None:
    rows = read_recorded()["rows"]
    for trap in TRAPS:
        assert trap.claim in page
        assert trap.caught in page
        if trap.warning:
            said = next(of for of in rows[trap.key]["result"]["warnings"] if of.startswith(trap.warning))
            assert said in page
    assert "Not caught" not in page


def test_the_language_model_is_shown_on_both_kinds_of_text(page: str) -> None:
    rows = read_recorded()["rows"]
    for key in ("smollm2/all-three-random", "smollm2/all-three-text"):
        assert share_of(rows[key]["result"]["recovered"]) in page
        raised, losses = rows[key]["raised"], rows[key]["result"]["losses"]
        assert raised["value"] == pytest.approx(losses["scrubbed"]["value"] - losses["model"]["value"])
        assert f"raises the loss by {raised['value']:.3g} ± {raised['error']:.2g} nats" in page


def test_no_hypothesis_is_said_to_be_confirmed(page: str) -> None:
    words = re.sub(r"<[^>]*>", " ", page).casefold()
    for word in ("confirmed", "confirms", "proved", "proven", "proves", "verified"):
        assert word not in words


def test_models_rows_and_the_engine_are_named(page: str) -> None:
    recorded = read_recorded()
    for model_hash in recorded["models"].values():
        assert model_hash[:12] in page
    for row in recorded["rows"].values():
        assert row["about"]["dataset_hash"][:12] in page
    assert f"engine {recorded['code']}" in page


def test_a_hash_leads_to_the_page_of_its_experiment_or_to_where_it_can_be_asked_for(client: Client) -> None:
    rows = read_recorded()["rows"]
    page = client.get("/w/replications/").content.decode()
    assert {key for key in rows if f'href="/x/new/?replication={key}"' in page} == set(rows)
    known = rows["brackets/1a"]["hash"]
    alice, model = User.objects.create_user("alice"), build_model("paren-balance")
    Experiment.objects.create(hash=known, model=model, task="brackets", spec={}, asked_by=alice)
    page = client.get("/w/replications/").content.decode()
    assert f'href="/x/{known}/"' in page
    assert {key for key in rows if f'href="/x/new/?replication={key}"' in page} == set(rows) - {"brackets/1a"}


@pytest.mark.parametrize("key", ["brackets/1a", "induction/refined", "gallery/swapped", "smollm2/all-three-text"])
def test_what_is_asked_for_from_a_row_is_what_was_recorded(client: Client, key: str) -> None:
    client.force_login(User.objects.create_user("alice", role=Role.RESEARCHER))
    page = html.unescape(client.get(f"/x/new/?replication={key}").content.decode())
    (yaml,) = re.findall(r'<textarea[^>]* name="yaml"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert read_experiment(yaml).hash == read_recorded()["rows"][key]["hash"]


def test_no_row_of_another_name_can_be_asked_for(client: Client) -> None:
    client.force_login(User.objects.create_user("alice", role=Role.RESEARCHER))
    page = client.get("/x/new/?replication=../../secrets")
    assert page.status_code == 404
    assert "expected a row of the replications, got “../../secrets”" in html.unescape(page.content.decode())


def test_what_was_recorded_is_there_as_data(client: Client) -> None:
    data = client.get("/w/replications.json").json()
    assert data["rows"].keys() == read_recorded()["rows"].keys()


def test_an_article_of_another_title_is_still_found(client: Client) -> None:
    assert client.get("/w/no-such-article/").status_code == 404
    assert client.get("/w/replications").status_code == 301
    assert client.post("/w/replications/").status_code == 405


def mark(drawn: str, kind: str) -> list[float]:
    return [float(at) for at in re.findall(rf'class="{kind}" x1="([^"]+)"', drawn)]


def test_a_scale_has_both_ends_and_what_is_beyond() -> None:
    inside = Scale.of([0.2, 0.7])
    assert inside.low < 0
    assert inside.high > 1
    beyond = Scale.of([-0.3, 1.25, None])
    assert beyond.low < -0.3 < 1.25 < beyond.high
    recovered = {"value": 1.25, "error": 0.01, "low": 1.2, "high": 1.25, "absent": ""}
    drawn = beyond.draw(recovered, published=0.5)
    (zero, whole), (published,), (low,) = mark(drawn, "end"), mark(drawn, "published"), mark(drawn, "interval")
    (value,) = (float(at) for at in re.findall(r'cx="([^"]+)"', drawn))
    assert zero < published < whole < low < value
    # a share is where its value says, between the ends
    assert (published - zero) / (whole - zero) == pytest.approx(0.5, abs=0.01)
    assert (value - zero) / (whole - zero) == pytest.approx(1.25, abs=0.01)
    assert f"{share_of(recovered)} {doubt_of(recovered)}" == "125.0 % ± 1.0 (120.0 to 125.0)"
    nothing = {"value": None, "error": None, "low": None, "high": None, "absent": "they are equal"}
    assert beyond.draw(nothing) == ""
    assert share_of(nothing) == "they are equal"
