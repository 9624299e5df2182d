"""Texts that try to run a script, and what may be in the HTML of any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import html5lib

# Written out here a second time on purpose: what rendering allows itself is what these tests judge.
ELEMENTS = re.compile(
    "a|blockquote|br|code|div|em|figcaption|figure|h[2-6]|hr|img|input|li|ol|p|pre|s|section|span|strong|sup|table|tbody|"
    "td|th|thead|tr|ul"
)
ATTRIBUTES = re.compile(
    "href|title|rel|class|id|data-(relation|component|start|end|live)|src|alt|width|height|loading|checked|disabled|aria-label|"
    "type|start"
)
CLASSES = re.compile(
    r"(wikilink|embed|mention|missing|absent|number|rank|source|math|inline|block|component-name|task|"
    r"align-(left|right|center)|"
    r"footnote(s|s-sep|s-list|-item|-ref|-backref)|language-[A-Za-z0-9+#.-]{1,30})"
)
EXTERNAL = "nofollow noopener noreferrer"


def xss_vectors() -> list[str]:
    """One a line of the file, with the escapes of Python."""
    lines = (Path(__file__).parent / "xss_vectors.txt").read_text().splitlines()
    escape = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[ntr\\])")
    return [escape.sub(lambda match: match[0].encode().decode("unicode_escape"), line) for line in lines[1:]]


def elements(html: str) -> Iterator[Any]:
    """The elements that a browser would make of `html`."""
    tree = html5lib.parseFragment(html, namespaceHTMLElements=True)
    return (element for element in tree.iter() if element is not tree)


def assert_allowed(html: str) -> None:
    """Nothing but the elements, attributes, classes and addresses that texts may have."""
    for element in elements(html):
        assert isinstance(element.tag, str), f"a comment in {html!r}"
        name = element.tag.removeprefix("{http://www.w3.org/1999/xhtml}")
        assert ELEMENTS.fullmatch(name), f"<{name}> in {html!r}"
        for attribute, value in element.attrib.items():
            assert ATTRIBUTES.fullmatch(attribute), f"{attribute} of <{name}> in {html!r}"
            assert attribute != "type" or value == "checkbox"
            if attribute == "class":
                assert all(CLASSES.fullmatch(word) for word in value.split()), f"class {value!r} in {html!r}"
        if "href" in element.attrib:
            _assert_address(element.attrib["href"], element.attrib.get("rel"))
        for name in ("src", "data-live"):
            if name in element.attrib:
                assert re.match(r"/(?![/\\])", element.attrib[name]), f"{element.attrib[name]!r} in {html!r}"


def _assert_address(href: str, rel: str | None) -> None:
    assert not re.search(r"[\x00-\x20\\]", href), f"{href!r} has white space or control characters"
    if not re.match(r"/(?!/)|#", href):
        assert urlsplit(href).scheme in {"http", "https", "mailto"}, href
        assert rel == EXTERNAL, href
