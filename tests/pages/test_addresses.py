from __future__ import annotations

import html
import re

import pytest
from django.test import Client

from wiki.components.models import LanguageModel

from .building import build_model

NOTATIONS = ["1.2", "l1h2", "L1.H2", "a1.h2", "blocks.1.attn.hook_z[2]", "L01H2"]


@pytest.mark.parametrize("name", NOTATIONS)
@pytest.mark.parametrize(("ending", "expected"), [("", "/"), ("/", "/"), (".json", ".json")])
def test_every_notation_moves_for_good_to_the_canonical_address(
    client: Client, model: LanguageModel, name: str, ending: str, expected: str
) -> None:
    response = client.get(f"/m/tiny/{name}{ending}")
    assert (response.status_code, response.headers["Location"]) == (301, f"/m/tiny/L1H2{expected}")


def test_canonical_name_without_its_slash_keeps_the_view(client: Client, model: LanguageModel) -> None:
    response = client.get("/m/tiny/L1H2?text=bundled-texts.0&q=3")
    assert response.status_code == 301
    assert response.headers["Location"] == "/m/tiny/L1H2/?text=bundled-texts.0&q=3"
    assert client.get("/m/tiny/blocks.1").headers["Location"] == "/m/tiny/L1/"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/m/tiny/L99H6/", "Looking for L99H6 in tiny: it has layers 0 to 2 and heads 0 to 3."),
        ("/m/tiny/1.4", "Looking for L1H4 in tiny: it has layers 0 to 2 and heads 0 to 3."),
        ("/m/tiny/L3/", "Looking for L3 in tiny: it has layers 0 to 2 and heads 0 to 3."),
        ("/m/tiny/L0N16", "Looking for L0N16 in tiny: it has layers 0 to 2 and neurons 0 to 15."),
        ("/m/tiny/L0N9999999/", "Looking for L0N9999999 in tiny: it has layers 0 to 2 and neurons 0 to 15."),
        (f"/m/tiny/L0N{'9' * 40}/", "Reading a component name: expected something like L5H1"),
        ("/m/tiny/what/ever/", "Reading a component name: expected something like L5H1"),
        ("/m/missing/L1H2/", "Looking for the model “missing”: no model of that name is here."),
        ("/m/missing/", "Looking for the model “missing”: no model of that name is here."),
        (f"/s/{'0' * 64}/", "Looking for the survey 000000000000: no survey of that hash is here."),
        ("/s/abc/", "There is no page at /s/abc/."),
        ("/m/%00/", "no model of that name is here."),
        ("/m/%00/L1H2/", "no model of that name is here."),
        ("/m/tiny/%00/", "Reading a component name: expected something like L5H1"),
        ("/jump/?q=L1H2&model=%00", "no model of that name is here."),
        (f"/m/tiny/L{'9' * 400}H1/", "Reading a component name: expected something like L5H1"),
        ("/nowhere/", "There is no page at /nowhere/."),
    ],
)
def test_unknown_address_is_refused_with_a_sentence(
    client: Client, model: LanguageModel, path: str, sentence: str
) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert sentence in response.content.decode()


def test_refusal_keeps_what_was_typed_in_the_jump_box(client: Client, model: LanguageModel) -> None:
    content = client.get("/m/tiny/L99H6/").content.decode()
    assert re.search(r'name="q"\s+value="L99H6"', content)
    assert 'name="model" value="tiny"' in content


def test_refused_data_is_said_as_data(client: Client, model: LanguageModel) -> None:
    response = client.get("/m/tiny/L99H6.json")
    assert response.status_code == 404
    assert response.json() == {"error": "Looking for L99H6 in tiny: it has layers 0 to 2 and heads 0 to 3."}


@pytest.mark.parametrize(
    ("query", "url"),
    [
        ("q=L1H2&model=tiny", "/m/tiny/L1H2/"),
        ("q=1.2&model=tiny", "/m/tiny/L1H2/"),
        ("q=L1&model=tiny", "/m/tiny/L1/"),
        ("q=tiny", "/m/tiny/"),
        ("q=tiny/L1H2", "/m/tiny/L1H2/"),
        ("q=other/1.2&model=tiny", "/m/other/L1H2/"),
        ("q=", "/"),
    ],
)
def test_jump_goes_where_the_text_says(client: Client, model: LanguageModel, query: str, url: str) -> None:
    build_model("other")
    response = client.get(f"/jump/?{query}")
    assert (response.status_code, response.headers["Location"]) == (302, url)


def test_jump_needs_no_model_where_there_is_one(client: Client, model: LanguageModel) -> None:
    assert client.get("/jump/?q=1.2").headers["Location"] == "/m/tiny/L1H2/"


def test_jump_that_leads_nowhere_says_so_and_keeps_the_text(client: Client, model: LanguageModel) -> None:
    build_model("other")
    for query in ("q=L99H1&model=tiny", "q=missing/L1H1", "q=1.2"):
        response = client.get(f"/jump/?{query}")
        typed = query[2:].split("&")[0]
        assert response.status_code == 404
        assert f'value="{typed}"' in response.content.decode()
        assert (
            f'<a href="/search/?q={typed.replace("/", "%2F")}">Search texts for “{typed}”' in response.content.decode()
        )


@pytest.mark.parametrize("typed", ["no such thing", "no/such thing", "\0", "🙂/\ufffd", "@alice", '"><script src=x>'])
@pytest.mark.parametrize("slug", ["", "tiny"])
def test_words_that_are_no_name_are_looked_for(client: Client, model: LanguageModel, typed: str, slug: str) -> None:
    response = client.get("/jump/", {"q": typed, "model": slug}, follow=True)
    assert response.status_code == 200
    assert response.redirect_chain[0][0].startswith("/search/?q=")
    assert html.escape(typed.replace("\0", "")) in response.content.decode()


@pytest.mark.parametrize("at_hand", ["", "&model=tiny"])
def test_a_part_of_a_models_name_leads_to_it(client: Client, model: LanguageModel, at_hand: str) -> None:
    build_model("smol-135m")
    for typed, url in (
        ("smol", "/m/smol-135m/"),
        ("SMOL-1", "/m/smol-135m/"),
        ("The smol", "/m/smol-135m/"),
        ("smol/1.2", "/m/smol-135m/L1H2/"),
        ("tiny", "/m/tiny/"),
    ):
        response = client.get(f"/jump/?q={typed}{at_hand}")
        assert (response.status_code, response.headers["Location"]) == (302, url), typed


def test_a_part_of_several_names_leads_to_a_list(client: Client, model: LanguageModel) -> None:
    for slug in ("smol-360m", "smol-135m"):
        build_model(slug)
    response = client.get("/jump/?q=Smol&model=tiny")
    content = response.content.decode()
    assert response.status_code == 200
    assert "2 models have “Smol” in their name." in content
    assert re.findall(r'<a href="(/m/[^"]+)">The', content) == ["/m/smol-135m/", "/m/smol-360m/"]
    assert re.search(r'name="q"\s+value="Smol"', content)
    refused = client.get("/jump/?q=smol/L1H2")
    assert refused.status_code == 404
    assert "expected one with that in its name, got 2: smol-135m, smol-360m." in refused.content.decode()
    build_model("smol")
    assert client.get("/jump/?q=smol").headers["Location"] == "/m/smol/", "one that is named exactly so"


def test_a_component_goes_before_a_part_of_a_name(client: Client, model: LanguageModel) -> None:
    build_model("model-1.2b")
    assert client.get("/jump/?q=1.2&model=tiny").headers["Location"] == "/m/tiny/L1H2/"


def test_what_is_neither_a_model_nor_a_component_is_looked_for_in_texts(client: Client, model: LanguageModel) -> None:
    assert client.get("/jump/?q=llama&model=tiny").headers["Location"] == "/search/?q=llama"
    build_model("other")
    content = client.get("/jump/?q=1.2").content.decode()
    assert "name its model too: expected something like model/L5H1, got “1.2”" in content
    assert client.get("/jump/", {"q": "x" * 30_000, "model": "tiny"}).status_code == 404
    for typed in ("%", "_"):
        assert client.get("/jump/", {"q": typed, "model": "tiny"}).headers["Location"].startswith("/search/?q=")


def test_typed_markup_stays_text(client: Client, model: LanguageModel) -> None:
    content = client.get("/jump/", {"q": '"><script src=x>', "model": "tiny"}).content.decode()
    assert "<script src=x>" not in content


def test_random_leads_to_a_head_of_the_model(client: Client, model: LanguageModel) -> None:
    response = client.get("/m/tiny/random/")
    assert response.status_code == 302
    assert re.fullmatch(r"/m/tiny/L[0-2]H[0-3]/", response.headers["Location"])
