"""Words as they are looked for: the same on every database, of texts and of queries.

A word is small letters and digits without accents, cut to its stem (`heads`, `head`). A component's name is one word in
whatever notation it is written (`L5.H1`, `a5.h1`, `blocks.5.attn.hook_z[1]` are `l5h1`), so it is found exactly.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Set
from typing import NamedTuple

from analysis.schema import Component, SchemaError

# What cannot be anything else than a component's name: 5.1 alone may be a number.
_COMPONENT = (
    r"L\d{1,5}(?:\.?(?:H\d{1,5}|N\d{1,7}|KV\d{1,5}))?"
    r"|a\d{1,5}\.h\d{1,5}|m\d{1,5}\.n\d{1,7}"
    r"|blocks\.\d{1,5}(?:\.(?:attn|mlp)\.hook_\w+\[\d{1,7}\])?"
)
# Chinese, Japanese and Korean have no spaces between words: each character is one, and a word of them a phrase.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"(?<![^\W_])(?P<component>(?a:{_COMPONENT}))(?![^\W_])|(?P<ideograph>[{_IDEOGRAPHS}])|(?P<word>[^\W_{_IDEOGRAPHS}]+)",
    re.IGNORECASE,
)
MAX_LENGTH = 60  # of a word; what is longer is cut, in texts as in queries


class Word(NamedTuple):
    """A word as it is looked for, and where it stands."""

    term: str  # ASCII letters and digits
    start: int
    end: int


def words_of(text: str) -> Iterator[Word]:
    return (Word(_term_of(match), *match.span()) for match in _TOKEN.finditer(text))


def words_among(text: str, terms: Set[str]) -> list[Word]:
    """Those words of a text that are among these terms."""
    return [Word(term, *match.span()) for match in _TOKEN.finditer(text) if (term := _term_of(match)) in terms]


def terms_of(text: str) -> list[str]:
    return [_term_of(match) for match in _TOKEN.finditer(text)]


def _term_of(match: re.Match[str]) -> str:
    word = match[0]
    return component_term(word) if match.lastgroup == "component" else _term(word[:MAX_LENGTH])


def component_term(name: str) -> str:
    """The word of a component in any notation; empty where it names none."""
    try:
        return str(Component.parse(name)).lower()
    except SchemaError:
        return ""


@functools.lru_cache(maxsize=50_000)
def _term(word: str) -> str:
    plain = "".join(char for char in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(char))[
        :MAX_LENGTH
    ]
    # other alphabets are spelt in ASCII, so that no database cuts them its own way
    return stem(plain) if plain.isascii() and plain.isalnum() else f"u{plain.encode().hex()[:MAX_LENGTH]}"


_VOWEL = re.compile("[aeiouy]")


def stem(word: str) -> str:
    """An English word without its plural, -ed and -ing: step 1 of Porter's algorithm (1980)."""
    if len(word) < 4 or not word.isalpha():
        return word
    for ending, instead in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(ending):
            word = word.removesuffix(ending) + instead
            break
    if word.endswith("eed"):
        return word[:-1] if len(word) > 4 else word
    for ending in ("ed", "ing"):
        before = word.removesuffix(ending)
        if before != word and _VOWEL.search(before):
            word = _mended(before)
            break
    if word.endswith("y") and len(word) > 2 and _VOWEL.search(word[:-1]):
        return f"{word[:-1]}i"
    return word


def _mended(word: str) -> str:
    """What stands before -ed or -ing, as it is spelt without: hop(p), copy(e), fil(e)."""
    if word.endswith(("at", "bl", "iz")):
        return f"{word}e"
    if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "lsz":
        return word[:-1]
    return word
