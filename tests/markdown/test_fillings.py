"""What an embed becomes when there is something to show."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import pytest

from tests.markdown.vectors import assert_allowed, xss_vectors
from wiki.markdown import Absent, File, Filling, Kind, Number, Picture, Resolved, State, Target, render

NUMBER = Number("/m/gpt2/L5H1/", ".89 ± .01 nats", "1st of 144", "Mean of A. Survey 01234567.")
PICTURE = Picture(
    href="/m/gpt2/L5H1/?q=5",
    label="pattern of L5H1",
    src="/m/gpt2/L5H1/figures/pattern.svg?q=5",
    alt="row = query",
    width=640,
    height=480,
    source="survey 01234567",
    files=(File("SVG", "/a.svg"), File("CSV", "/a.csv")),
    live="/m/gpt2/L5H1/pattern/?q=5",
)


def filled(text: str, filling: Filling) -> str:
    def resolve(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
        return {target: Resolved("/there/", target.text, State.EXISTS, filling) for target in targets}

    return render(text, prefix="a", resolve=resolve).html.strip()


def test_a_number_is_text_in_its_sentence_with_a_link_and_a_title() -> None:
    link = '<a class="embed number" href="/m/gpt2/L5H1/" title="Mean of A. Survey 01234567.">.89 ± .01 nats</a>'
    rank = '<span class="rank">· 1st of 144</span>'
    assert filled("It has ![[gpt2/L5H1?metric=a]].", NUMBER) == f"<p>It has {link} {rank}.</p>"
    assert filled("![[gpt2/L5H1?metric=a|Entropy:]]", NUMBER) == f"<p>Entropy: {link} {rank}</p>"
    assert filled("![[gpt2/L5H1]]", dataclasses.replace(NUMBER, rank="")) == f"<p>{link}</p>"


def test_a_picture_alone_has_a_caption_that_leads_to_its_page_and_says_where_it_is_from() -> None:
    assert filled("![[gpt2/L5H1?q=5]]", PICTURE) == (
        '<figure class="embed" data-live="/m/gpt2/L5H1/pattern/?q=5">'
        '<img src="/m/gpt2/L5H1/figures/pattern.svg?q=5" alt="row = query" width="640" height="480" loading="lazy">'
        '<figcaption><a class="embed" href="/m/gpt2/L5H1/?q=5">pattern of L5H1</a> '
        '<span class="source">survey 01234567 · '
        '<a href="/a.svg">SVG</a> · <a href="/a.csv">CSV</a></span></figcaption></figure>'
    )


def test_a_picture_in_a_sentence_is_a_link() -> None:
    assert filled("see ![[gpt2/L5H1?q=5]]", PICTURE) == ('<p>see <a class="embed" href="/there/?q=5">gpt2/L5H1</a></p>')


def test_what_is_absent_says_so_in_a_sentence_wherever_it_stands() -> None:
    said = '<a class="embed" href="/there/">gpt2/L5H1</a> <span class="absent">(not measured yet.)</span>'
    assert filled("see ![[gpt2/L5H1]]", Absent("not measured yet.")) == f"<p>see {said}</p>"
    figure = f'<figure class="embed"><figcaption>{said}</figcaption></figure>'
    assert filled("![[gpt2/L5H1]]", Absent("not measured yet.")) == figure


def test_the_resolver_is_asked_for_each_embed_with_its_query_and_whether_it_stands_alone() -> None:
    asked: list[Target] = []

    def resolve(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
        asked.extend(targets)
        return {}

    render("![[a?b=1]] and ![[a?b=2]]\n\n![[a?b=1]]\n\n![[a?b=1|c]]", prefix="a", resolve=resolve)
    assert asked == [
        Target(Kind.EMBED, "a", "b=1"),
        Target(Kind.EMBED, "a", "b=2"),
        Target(Kind.EMBED, "a", "b=1", alone=True),
    ]


@pytest.mark.parametrize("address", ["src", "href", "live"])
def test_a_picture_of_another_site_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected an address of this site, got “//example"):
        filled("![[gpt2/L5H1]]", dataclasses.replace(PICTURE, **{address: "//example.org/"}))


def test_no_vector_in_a_filling_or_caption_leaves_what_is_allowed() -> None:
    for vector in xss_vectors():
        words = vector.replace("\n", " ").replace("[", "(").replace("]", ")").replace("|", "")[:300]
        address = "/x/" + re.sub(r"[\x00-\x20\\]", "", vector)
        number = dataclasses.replace(NUMBER, figure=vector, rank=vector, title=vector, href=address)
        picture = dataclasses.replace(PICTURE, label=vector, alt=vector, source=vector, src=address)
        live = dataclasses.replace(picture, live=address, files=(File(vector, address),))
        for filling in (number, picture, live, Absent(vector)):
            for text in (f"![[a?{words}|{words}]]", f"in ![[a?{words}|{words}]]"):
                assert_allowed(filled(text, filling))
