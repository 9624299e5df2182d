"""Tokens shaded by a magnitude, as HTML. Made in Python: a template's loop over hundreds of tokens costs a page more
than all its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape  # Django's own is four times as slow, for lazy texts that are none here

from django.utils.safestring import SafeString, mark_safe

from analysis.schema import Component

_SPACES = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})


def visible(token: str) -> str:
    """A token as it is shown: line breaks and tabs as signs, an empty one as ∅."""
    return token.translate(_SPACES) or "∅"


def token_name(token: str) -> str:
    """A token inside a sentence, without the space that most begin with."""
    return visible(token).strip() or "␣"


def figures_of(pairs: Iterable[tuple[str, str]], *, tag: str = "li") -> SafeString:
    """Names, each with its figure, in one element each."""
    parts = [
        f'<{tag}><span class="mono">{escape(name)}</span> <span class="mono soft">{escape(figure)}</span></{tag}> '
        for name, figure in pairs
    ]
    return mark_safe("".join(parts))  # noqa: S308 (names and figures are escaped above)


def table_rows(rows: Iterable[Sequence[str]]) -> SafeString:
    """The rows of a table whose cells are monospaced."""
    parts = ["<tr>" + "".join(f'<td class="mono">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows]
    return mark_safe("".join(parts))  # noqa: S308 (cells are escaped above)


def linked_heads(heads: Iterable[tuple[Component, str]], *, url_of: Callable[[Component], str]) -> SafeString:
    """Heads as links, each with its figure; `url_of` gives the address of a head's page."""
    parts = [
        f'<span class="together"><a href="{escape(url_of(head))}">{head}</a> '
        f'<span class="mono">{escape(figure)}</span></span>'
        for head, figure in heads
    ]
    return mark_safe(" · ".join(parts))  # noqa: S308 (heads are names of components; the rest is escaped above)


def shaded_tokens(tokens: Sequence[str], levels: Sequence[int], *, runs: Iterable[range], query: int) -> SafeString:
    """Runs of tokens with an ellipsis for what is left out between them; the query framed."""
    parts: list[str] = []
    at = 0
    for run in runs:
        if run.start > at:
            parts.append(' <span class="gap">…</span> ')
        for i in run:
            classes = f"shaded a{levels[i]}{' framed' if i == query else ''}"
            parts.append(f'<span class="{classes}">{escape(visible(tokens[i]))}</span>')
        at = run.stop
    if at < len(tokens):
        parts.append(' <span class="gap">…</span>')
    return mark_safe("".join(parts))  # noqa: S308 (every token is escaped above)


def token_links(
    tokens: Sequence[str],
    levels: Sequence[int],
    urls: Sequence[str],
    *,
    query: int,
    locked: bool,
    sink_hidden: bool,
    key: int | None = None,
) -> SafeString:
    """Every token as a link that locks it; the one that is shown says so, and the key of a locked cell is marked."""
    parts = []
    for i, (token, level, url) in enumerate(zip(tokens, levels, urls, strict=True)):
        state = (" locked" if locked else " previewed") if i == query else ""
        out = " out" if sink_hidden and i == 0 else ""
        state += " key" if i == key else ""
        current = ' aria-current="true"' if i == query else ""
        parts.append(
            f'<a class="token a{level}{state}{out}" href="{escape(url)}" title="position {i}"{current}>'
            f"{escape(visible(token))}</a>"
        )
    return mark_safe("".join(parts))  # noqa: S308 (tokens and addresses are escaped above)
