from __future__ import annotations

import re

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement

from .building import build_model
from .test_every_page import inline_parts

FOLDER = {"source": "./my-model", "revision": "", "slug": "mine"}


@pytest.fixture(autouse=True)
def _own_broker(settings: Settings, tmp_path: object) -> None:
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path}/broker"


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("alice", role=Role.ADMIN))
    return client


def ask(operator: Client, **typed: str) -> Measurement:
    response = operator.post("/models/add/", FOLDER | typed)
    assert response.status_code == 302
    asked = Measurement.objects.get()
    assert response.headers["Location"] == f"/models/add/{asked.hash}/"
    return asked


def addresses(asked: str) -> list[str]:
    return ["/models/add/", f"/models/add/{asked}/", f"/models/add/{asked}.json", f"/models/add/{asked}/progress/"]


def test_nobody_but_an_operator_adds_or_sees_models_on_their_way(client: Client, operator: Client) -> None:
    asked = ask(operator)
    charlie = Client()
    charlie.force_login(User.objects.create_user("charlie"))
    for address in addresses(asked.hash):
        response = charlie.get(address)
        assert response.status_code == 403
        assert "Adding a model: expected an operator of this site, got charlie." in response.content.decode()
    for who in (client, charlie):
        who.post("/models/add/", FOLDER | {"slug": "other"})
        assert "/models/add/" not in who.get("/").content.decode()
    assert Measurement.objects.count() == 1
    assert 'href="/models/add/"' in operator.get("/").content.decode()


def test_who_is_not_signed_in_is_sent_to_do_so_and_sees_nothing(client: Client, operator: Client) -> None:
    page, adding, *data = ("/models/add/", *addresses(ask(operator).hash)[1:])
    for address in (page, adding):
        response = client.get(address)
        assert (response.status_code, response.headers["Location"]) == (302, f"/accounts/login/?next={address}")
    assert client.post(page, FOLDER).headers["Location"] == "/accounts/login/?next=/models/add/"
    for address in data:
        response = client.get(address)
        assert response.status_code == 403
        assert "got somebody who is not signed in." in response.content.decode()


def form_of(response: HttpResponse) -> dict[str, str]:
    """The hidden fields of a page's form, the site's token among them."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', response.content.decode()))


def test_an_operator_signs_in_by_the_form_adds_a_model_and_signs_out(db: None) -> None:
    User.objects.create_superuser("alice", password="of the tests")
    client = Client(enforce_csrf_checks=True)
    assert 'href="/accounts/login/?next=/"' in client.get("/").content.decode()
    page = client.get("/models/add/", follow=True)
    assert page.redirect_chain == [("/accounts/login/?next=/models/add/", 302)]
    wrong = client.post("/accounts/login/", form_of(page) | {"login": "alice", "password": "guessed"})
    assert "password you specified are not correct" in wrong.content.decode()
    assert 'value="alice"' in wrong.content.decode()
    assert "guessed" not in wrong.content.decode()
    typed = form_of(wrong) | {"login": "alice", "password": "of the tests"}
    page = client.post("/accounts/login/", typed, follow=True)
    assert page.redirect_chain == [("/models/add/", 302)]
    page = client.post("/models/add/", form_of(page) | FOLDER, follow=True)
    assert "Waiting for a measuring worker." in page.content.decode()
    assert Measurement.objects.get().spec["source"] == FOLDER["source"]
    assert 'href="/people/alice/">alice</a>' in page.content.decode()
    home = client.post("/accounts/logout/", form_of(page), follow=True)
    assert home.redirect_chain == [("/", 302)]
    assert "/people/alice/" not in home.content.decode()
    assert client.get("/models/add/").status_code == 302


def test_signing_in_leads_to_no_other_site(db: None) -> None:
    User.objects.create_superuser("alice", password="of the tests")
    typed = {"login": "alice", "password": "of the tests", "next": "https://example.org/"}
    assert Client().post("/accounts/login/", typed).headers["Location"] == "/"


def test_the_page_to_sign_in_keeps_the_policy_and_pages_that_everybody_sees_stay_the_same(
    client: Client, model: LanguageModel
) -> None:
    page = client.get("/accounts/login/")
    assert inline_parts(page.content) == []
    assert "no-store" in page.headers["Cache-Control"]
    for path in ("/", "/m/tiny/", "/m/tiny/L1H2/"):
        reader = Client()
        assert reader.get(path).cookies == {}, "nothing that would keep pages from being kept"
    kept = reader.get("/m/tiny/L1H2/").content.decode()
    assert "Sign in" in kept
    assert "csrfmiddlewaretoken" not in kept


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"source": "no such name!"}, "expected a name like EleutherAI/pythia-70m or a folder like ./my-model."),
        ({"source": ""}, "expected a name like EleutherAI/pythia-70m"),
        ({"revision": "main"}, "expected no revision, for a folder has none, got main."),
        ({"source": "gpt2", "revision": "<b>"}, "expected a commit, branch or tag, got “&lt;b&gt;”."),
        ({"slug": "Not A Slug"}, "expected a slug of small letters, digits, dots and hyphens"),
    ],
)
def test_what_cannot_be_a_model_is_said_and_what_was_typed_is_kept(
    operator: Client, typed: dict[str, str], sentence: str
) -> None:
    response = operator.post("/models/add/", FOLDER | typed)
    assert response.status_code == 400
    content = response.content.decode()
    assert sentence in content
    for value in (FOLDER | typed).values():
        assert f'value="{value.replace("<", "&lt;").replace(">", "&gt;")}"' in content
    assert not Measurement.objects.exists()


def test_a_form_without_the_sites_token_is_refused(operator: Client) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="alice"))
    assert client.post("/models/add/", FOLDER).status_code == 403
    assert not Measurement.objects.exists()


def test_what_is_asked_for_is_a_job_with_the_source_as_typed(operator: Client) -> None:
    asked = ask(operator, source=" EleutherAI/pythia-70m ", revision="step1000", slug="")
    assert (asked.kind, asked.model) == ("add-model", None)
    assert asked.spec == {"source": "EleutherAI/pythia-70m", "revision": "step1000", "asked_slug": None}
    assert Job.objects.get().kind == "add-model"


def test_the_page_follows_the_job_from_waiting_to_the_new_model(operator: Client) -> None:
    asked = ask(operator)
    page, data, fragment = (f"/models/add/{asked.hash}{end}" for end in ("/", ".json", "/progress/"))

    def seen(state: str, sentence: str) -> str:
        content = operator.get(page).content.decode()
        assert operator.get(data).json()["state"] == state
        assert operator.get(data).json()["sentence"] == sentence
        for text in (content, operator.get(fragment).content.decode()):
            assert sentence in text
            assert (f'hx-get="{fragment}"' in text) == (state in ("waiting", "running"))
        return content

    seen("waiting", "Waiting for a measuring worker.")
    Job.objects.update(state=Job.State.RUNNING)
    seen("running", "A measuring worker is fetching it, checking it and preparing the data sets for it.")
    Job.objects.update(state=Job.State.FAILED, error="Adding ./my-model: expected config.json, got nothing.")
    assert "/m/mine/" not in seen("failed", "Adding ./my-model: expected config.json, got nothing.")
    ask(operator)
    seen("waiting", "Waiting for a measuring worker.")
    Job.objects.update(state=Job.State.DONE)
    asked.finished_at = asked.asked_at
    asked.save()
    build_model("mine")
    content = seen("finished", "mine is here, and its first surveys are asked for.")
    assert '<a href="/m/mine/">Go to mine</a>' in content
    assert operator.get(data).json()["model"] == "/m/mine/"


def test_a_hash_by_which_nobody_asked_is_not_found(operator: Client) -> None:
    assert operator.get(f"/models/add/{'0' * 64}/").status_code == 404
    assert operator.get(f"/models/add/{'0' * 64}.json").status_code == 404


def test_pages_of_adding_keep_the_policy_and_their_number_of_queries(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    asked = ask(operator)
    operator.get("/")  # notes the visit, which later pages do not
    for address in addresses(asked.hash):
        with django_assert_num_queries(6, exact=False):  # two of them are the header’s
            response = operator.get(address)
        assert response.status_code == 200
        assert inline_parts(response.content) == []
        assert operator.put(address).status_code == 405
