"""What a text says first, for places where there is room for a sentence."""

from __future__ import annotations

import html
import re

import nh3

from .links import Resolve
from .rendering import render

_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
# A sentence ends before white space and what may begin another: “.89” and “e.g. the” do not end one.
_SENTENCE = re.compile(r".*?[.!?…][\"”’)]*(?=\s+[A-ZÀ-Þ“\"(\[])")
_FOOTNOTE = re.compile(r'<sup class="footnote-ref">.*?</sup>', re.DOTALL)


def first_sentence(text: str, *, at_most: int, resolve: Resolve) -> str:
    """The first sentence of the first paragraph, as plain text with the numbers that it embeds; cut after so many
    characters. Empty where there is no paragraph. Raises UnreadableTextError."""
    found = _PARAGRAPH.search(render(text, prefix="beginning", resolve=resolve).html)
    if found is None:
        return ""
    markup = nh3.clean(_FOOTNOTE.sub("", found[1]), tags=set())
    words = " ".join(html.unescape(markup).split())
    first = _SENTENCE.match(words)
    sentence = first[0] if first else words
    return sentence if len(sentence) <= at_most else f"{sentence[: at_most - 1].rstrip()}…"
