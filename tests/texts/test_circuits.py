"""What an article says of a circuit is drawn over the layers, in words too, and linked from its components."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.texts.circuits import MOST_EDGES, MOST_NODES, Edge, blocks_of, circuit_of, draw
from wiki.texts.links import links_of, what_links_here
from wiki.texts.models import Kind, LinkKind, Page
from wiki.texts.moderation import hide, tag_page
from wiki.texts.writing import create_page, save_revision

pytestmark = pytest.mark.both_databases

TEXT = """Names.

```circuit
model: gpt2
L4H11 -> 5.5: K-composition: what stood before
L5H5 → other/L0H1
L9H9
what is this
L1H1 -> L2H2 -> L3H3
L1H1 ->
```

```python
L7H7 -> L8H8
```
"""


def test_a_block_says_components_and_what_runs_between_them() -> None:
    said = blocks_of(TEXT)
    assert said.nodes == ("gpt2/L4H11", "gpt2/L5H5", "other/L0H1", "gpt2/L9H9")
    assert said.edges == (
        Edge("gpt2/L4H11", "gpt2/L5H5", "K-composition: what stood before"),
        Edge("gpt2/L5H5", "other/L0H1", ""),
    )
    assert said.unread == ("what is this", "L1H1 -> L2H2 -> L3H3", "L1H1 ->")


def test_names_without_a_model_are_not_read() -> None:
    assert blocks_of("```circuit\nL1H1 -> L2H2\n```").unread == ("L1H1 -> L2H2",)


def test_a_circuit_has_what_its_article_links_to() -> None:
    block = "```circuit\ngpt2/L1H1\n```"
    part, mention = "[[part-of::gpt2/L2H2]]", "[[gpt2/L3H3]] [[IOI]] @alice"
    assert circuit_of(f"{block} \n\n{part} {mention}", tags=["circuit"]).nodes == ("gpt2/L1H1", "gpt2/L2H2")
    assert circuit_of(f"{part} {mention}", tags=[]).nodes == ("gpt2/L2H2",)
    assert circuit_of(mention, tags=["circuit"]).nodes == ("gpt2/L3H3",)
    assert circuit_of(mention, tags=["guide"]).nodes == ()


def test_a_circuit_beyond_drawing_is_cut_and_says_so() -> None:
    many = "\n".join(f"gpt2/L{n // 10}H{n % 10}" for n in range(MOST_NODES + 3))
    said = blocks_of(f"```circuit\n{many}\n```")
    assert (len(said.nodes), len(said.unread)) == (MOST_NODES, 3)
    edges = "\n".join(f"gpt2/L0N{n % 15} -> gpt2/L1N{n // 15}" for n in range(MOST_EDGES + 2))
    said = blocks_of(f"```circuit\n{edges}\n```")
    assert (len(said.edges), len(said.unread)) == (MOST_EDGES, 2)


def test_components_lie_in_the_rows_of_their_layers_and_apart(gpt2: LanguageModel) -> None:
    text = "\n".join(f"L{layer}H{head} -> L{layer + 2}H{head}: x" for layer in range(4) for head in range(4))
    (drawing,) = draw(circuit_of(f"```circuit\nmodel: gpt2\n{text}\n```", tags=[]), {"gpt2": gpt2}).drawings
    heights = {node.name: node.y for node in drawing.nodes}
    for one in drawing.nodes:
        layer = int(re.findall(r"\d+", one.name)[0])
        assert [y < one.y for name, y in heights.items()] == [int(name[1]) < layer for name in heights]
        assert 0 <= one.x <= drawing.width - 84
        assert 0 <= one.y <= drawing.height - 28
        for other in drawing.nodes:
            assert one is other or one.y != other.y or abs(one.x - other.x) >= 84
    for arrow in drawing.arrows:
        for x, y in arrow.between:
            assert not [node for node in drawing.nodes if node.y == y and node.x <= x <= node.x + 84], "past nodes"


def test_earlier_and_same_layers_can_be_reached_too(gpt2: LanguageModel) -> None:
    circuit = blocks_of("```circuit\nmodel: gpt2\nL5H1 -> L2H1\nL5H1 -> L5H2\nL5H1 -> L5H1\n```")
    (drawing,) = draw(circuit, {"gpt2": gpt2}).drawings
    assert len(drawing.arrows) == 3
    assert all("nan" not in arrow.path for arrow in drawing.arrows)


@pytest.fixture
def page(alice: User, gpt2: LanguageModel) -> Page:
    return create_page(alice, Kind.ARTICLE, TEXT + "\n[[part-of::gpt2/L99H1]]", title="Names & movers")


def test_an_article_shows_its_circuit_with_links_and_in_words(client: Client, page: Page) -> None:
    html = client.get("/w/names-&-movers/").content.decode()
    figure = html[html.index('id="circuit-gpt2"') : html.index('id="circuit-other"')]
    assert set(re.findall(r'<a href="(/m/gpt2/L[^"]*)"><g class="node">', figure)) == {
        "/m/gpt2/L4H11/",
        "/m/gpt2/L5H5/",
        "/m/gpt2/L9H9/",
    }
    assert '<g class="node missing"><rect' in figure
    assert ">L99H1</text>" in figure
    words = " ".join(re.sub(r"<[^>]*>", " ", figure).split())
    assert "L4H11 → L5H5 : K-composition: what stood before" in words
    assert "At no arrow: L9H9 , L99H1" in words
    assert "gpt2/L5H5 → other/L0H1" in html
    assert "got “L1H1 -&gt; L2H2 -&gt; L3H3”" in html


def test_the_drawing_is_a_file_too(client: Client, page: Page, moderator: User) -> None:
    response = client.get("/w/names-&-movers/circuit.svg?model=gpt2")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/svg+xml")
    drawing = response.content.decode()
    assert "<text" in drawing
    assert 'href="http://testserver/m/gpt2/L4H11/"' in drawing
    assert "Names &amp; movers" in drawing
    assert "K-composition: what stood before" in unescape(drawing)
    for wrong in ("/w/names-&-movers/circuit.svg?model=nowhere", "/w/nothing/circuit.svg"):
        assert client.get(wrong).status_code == 404
    hide(page, moderator, reason="Spam")
    assert client.get("/w/names-&-movers/circuit.svg").status_code == 404


def test_components_know_the_circuit(page: Page, alice: User) -> None:
    links = {(link.target, link.kind) for link in page.links.all()}
    assert ("gpt2/L4H11", LinkKind.PART_OF) in links
    assert [link.source for link in what_links_here(["gpt2/L9H9"], user=alice)] == [page]
    assert not [found for found in links_of(TEXT) if found.words.endswith(("L7H7", "L1H1"))]
    save_revision(page, alice, "Nothing.", base_version=1)
    assert not what_links_here(["gpt2/L9H9"], user=alice).exists()


def test_an_article_without_a_circuit_has_no_figure(
    client: Client, alice: User, gpt2: LanguageModel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    page = create_page(alice, Kind.ARTICLE, "See [[gpt2/L1H1]].", title="Guide")
    assert '<figure class="circuit"' not in client.get("/w/guide/").content.decode()
    tag_page(page, alice, ["circuit"])
    assert '<figure class="circuit"' in client.get("/w/guide/").content.decode()


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]> &amp;"])
def test_notes_of_edges_are_text(client: Client, alice: User, gpt2: LanguageModel, words: str) -> None:
    text = f"```circuit\nmodel: gpt2\nL1H1 -> L2H2: {words}\n{words}\n```"
    create_page(alice, Kind.ARTICLE, text, title="Guide")
    for path in ("/w/guide/", "/w/guide/circuit.svg"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


BLOCK = "```circuit\nmodel: gpt2\nL1H1 -> L2H2{}\n```"


def test_the_drawing_stands_where_the_block_does(client: Client, alice: User, gpt2: LanguageModel) -> None:
    create_page(alice, Kind.ARTICLE, f"Before.\n\n{BLOCK.format(': x')}\n\nAfter.\n\n{BLOCK.format('')}", title="Guide")
    html = client.get("/w/guide/").content.decode()
    places = [html.index(words) for words in (">Before.<", '<figure class="circuit"', ">After.<")]
    assert places == sorted(places)
    assert html.count('<figure class="circuit"') == 1
    assert "language-circuit" not in html


def test_the_drawing_of_what_is_linked_stands_below_the_lead(client: Client, alice: User, gpt2: LanguageModel) -> None:
    create_page(alice, Kind.ARTICLE, "The lead.\n\nAfter [[part-of::gpt2/L1H1]].", title="Guide")
    html = client.get("/w/guide/").content.decode()
    places = [html.index(words) for words in (">The lead.<", '<figure class="circuit"', ">After <")]
    assert places == sorted(places)


@pytest.mark.parametrize(("note", "says_numbers"), [("", False), (": K-composition", True)])
def test_numbers_are_spoken_of_where_arrows_have_them(
    client: Client, alice: User, gpt2: LanguageModel, note: str, says_numbers: bool
) -> None:
    create_page(alice, Kind.ARTICLE, BLOCK.format(note), title="Guide")
    html = client.get("/w/guide/").content.decode()
    assert ("its number that of the list" in html) == says_numbers
    assert ('<g class="number">' in html) == says_numbers


@pytest.mark.parametrize("headers", [{}, {"X-Fragment": "preview"}])
def test_the_preview_of_an_article_draws_its_circuit(
    client: Client, alice: User, gpt2: LanguageModel, headers: dict[str, str]
) -> None:
    client.force_login(alice)
    (address,) = set(re.findall(r'"(/write/preview/[^"]*)"', unescape(client.get("/write/article/").text)))
    shown = client.post(address, {"text": f"Before.\n\n{BLOCK.format('')}"}, headers=headers).text
    assert shown.index("Before.") < shown.index('<figure class="circuit"')
    assert "language-circuit" not in shown
    # a summary is no circuit: saved it shows the block as it is typed
    summary = client.post("/write/preview/?kind=summary", {"text": BLOCK.format("")}, headers=headers).text
    assert "language-circuit" in summary
    assert '<figure class="circuit"' not in summary
