"""No text makes anything but what texts may have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.markdown.resolving import resolve_all, resolve_missing, resolve_none
from tests.markdown.vectors import assert_allowed, elements, xss_vectors
from wiki.markdown import Resolved, State, links_of, render

VECTORS = xss_vectors()
# What the syntax is made of, so that texts of any shape often mean something.
WORDS = """[[ ]] ![[ [^1] ``` L5H1 gpt2/L5H1 @alice part-of:: javascript: https://a.b /m/ <b &#x6A; é"""
SPACED = ["$$\n", "[^1]: ", "\n\n", "\n> ", "\n- ", "\n- [ ] ", "|a|\n|-|\n", "1. ", "    ", "\n[a]: /x\n"]
PIECES = st.sampled_from([*"[]()!<>`*_~$|\\\n#\"'&@^-:? \t\r\0\u2028\ud800", *WORDS.split(), *SPACED])
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join)


def test_there_are_enough_vectors() -> None:
    assert len(set(VECTORS)) >= 100


@pytest.mark.parametrize("resolve", [resolve_all, resolve_missing, resolve_none])
def test_no_vector_leaves_what_is_allowed(resolve) -> None:
    for vector in VECTORS:
        assert_allowed(render(vector, prefix="a", resolve=resolve).html)


def test_a_label_of_the_resolver_is_text() -> None:
    label = '<script>window.__ran=1</script>"'
    html = render(
        "[[a]] ![[b]] @c",
        prefix="a",
        resolve=lambda targets: {target: Resolved('/x/"onclick=', label, State.EXISTS) for target in targets},
    ).html
    assert_allowed(html)
    assert [element.text for element in elements(html) if element.tag.endswith("}a")] == [label] * 3


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text_renders_the_same_twice_and_only_what_is_allowed(text: str) -> None:
    one, again = (render(text, prefix="a", resolve=resolve_all) for _ in range(2))
    assert one == again
    assert_allowed(one.html)
    assert links_of(text) == one.links
    source = text.replace("\r\n", "\n").replace("\r", "\n")
    for link in one.links:
        written = source[link.start : link.end]
        assert written.startswith(("[[", "![[", "@"))
        assert written.endswith("]]") or link.target in written


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_ids_are_unique_across_texts(text: str) -> None:
    ids: list[str] = []
    for prefix in ("a", "a-1", "a-1-1"):
        html = render(text + "\n\n[^1] [^n]\n\n[^n]: b\n\n# b", prefix=prefix, resolve=resolve_all).html
        ids += [element.attrib["id"] for element in elements(html) if "id" in element.attrib]
    assert len(ids) == len(set(ids))
