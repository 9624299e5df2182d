"""Texts made to take long. Work is counted in lines of Python executed, which a slow machine does not change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tests.markdown.resolving import resolve_all
from wiki.markdown import MAX_BYTES, TextTooLongError, UnreadableTextError, render

# One unit of each shape; a text repeats it.
REPEATED = [
    "[", "![", "[[", "]", "](", "[a](", "[a](<b", '[a](b "', "[a](b (", "[[a|", "[[a]] ", "[[a]]\n", "![[a?b]]\n\n",
    "*a ", "**a *b ", "a**b", "_a ", "*_", "***a **", "~~a ", "~", "*", "`a``", "`\n", "$", "$a ", "$a\\$ ", "$[",
    "$$x\n\n", "$$x\n# h\n", "$$\n", "[^1]: a\n\n[^1]", "[^a]: b\n", "|", "|-|\n", "a|b\n-|-\n\n",
    "[a]: b 'c\n\n", "[a]:\n", "[\n", "- [ ] a\n", "# a\n", "<", "<a ", "<!--", "<http:", "&", "&amp;", "\\", "\n",
    "a\n", " ", "\t", "a  \n", "* * *\n", "```\n", "a\n=\n", "@a ", "@", "L5H1 ", "a.a/", "a-", "a/L5", "1. a\n",
    "- a\n\n", "- a\n    b\n", "> a\nb\n", "> [a]: b\n", "\0", "é*", "![a](/b)", "[a](b) ",
]  # fmt: skip
# Shapes that are more than one unit again and again.
GROWING: dict[str, Callable[[int], str]] = {
    "brackets inside each other": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "pictures inside each other": lambda size: "![" * (size // 7) + "a" + "](/b)" * (size // 7),
    "emphasis inside each other": lambda size: "*a **a " * (size // 14) + "b** b*" * (size // 14),
    "backticks of every length": lambda size: " ".join("`" * n for n in range(1, int((2 * size) ** 0.5))),
    "footnotes that name the next": lambda size: "".join(f"[^{n}]: x [^{n + 1}]\n\n" for n in range(size // 18)),
    "footnote marks that never end": lambda size: "[^1]: a\n\n" + "[^" * (size // 2),
    "addresses by name": lambda size: "".join(f"[{n}]: /x\n" for n in range(size // 12)) + "[a]",
    "a title that never ends": lambda size: "[a]: b '" + "c\n" * (size // 2),
    "quotes that go on without marks": lambda size: "> " * 17 + "a" + "\na" * (size // 2),
    "footnotes that go on without marks": lambda size: "[^a]: " * 17 + "a" + "\n    a" * (size // 6),
    "a long table": lambda size: "|a|b|\n|-|-|\n" + "|[[a\\|b]]|b|\n" * (size // 14),
    "a wide row": lambda size: "|a|\n|-|\n" + "|[[a]]" * (size // 6),
    "a wide table": lambda size: "|a" * (size // 4) + "\n" + "|-" * (size // 4),
}
SHAPES = {repr(unit): lambda size, unit=unit: unit * (size // len(unit)) for unit in REPEATED} | GROWING


def work(text: str) -> int:
    """How many lines of Python are executed to render `text`."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        render(text, prefix="a", resolve=resolve_all)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_text_is_at_most_a_little_more_than_twice_the_work(shape: str) -> None:
    work(SHAPES[shape](100))
    once, twice = (work(SHAPES[shape](size)) for size in (2_500, 5_000))
    assert twice < 2.4 * once + 1_000


@pytest.mark.parametrize("unit", ["> ", "+ ", ">", "- > ", "1. ", "[^a]: "])
def test_what_lies_too_deep_is_refused_before_it_costs_anything(unit: str) -> None:
    with pytest.raises(UnreadableTextError):
        render(unit * (MAX_BYTES // len(unit)), prefix="a", resolve=resolve_all)


def test_a_table_that_is_padded_is_bounded() -> None:
    rows = "|a" * 1_000 + "\n" + "|-" * 1_000 + "\n" + "|b\n" * 9_000
    assert len(render(rows, prefix="a", resolve=resolve_all).html) < 20 * MAX_BYTES


def test_a_text_of_brackets_alone_renders() -> None:
    assert render("[" * 100_000, prefix="a", resolve=resolve_all).html.count("[") == 100_000
    with pytest.raises(TextTooLongError):
        render("[" * (MAX_BYTES + 1), prefix="a", resolve=resolve_all)
