"""The parser of texts: markdown-it without HTML, with footnotes, maths, task lists and names."""

from __future__ import annotations

import functools
import re
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.footnote.index import footnote_ref

from .bounds import MAX_NESTING, check_depth
from .maths import add_maths
from .naming import add_names

_FOOTNOTE = re.compile(r"\[\^[^\]\s]{1,64}\]")
_TASK = re.compile(r"\[([ xX])\]\s+")
_SCHEMES = {"http", "https", "mailto"}


@functools.cache
def parser() -> MarkdownIt:
    """The one parser; it keeps nothing of a text, so threads share it."""
    made = MarkdownIt("default", {"html": False, "linkify": False, "maxNesting": MAX_NESTING})
    made.use(footnote_plugin, inline=False)
    made.inline.ruler.at("footnote_ref", _footnote_reference)
    made.core.ruler.after("block", "depth", lambda state: check_depth(state.tokens))
    made.core.ruler.after("inline", "tasks", _find_tasks)
    made.core.ruler.push("pictures", _refuse_foreign_pictures)
    made.validateLink = is_allowed_address  # type: ignore[method-assign, assignment]
    add_maths(made)
    add_names(made)
    return made


def is_allowed_address(address: str) -> bool:
    """Whether an ordinary link may lead there: http, https and mailto, pages of this site, places in this text."""
    if address.startswith(("/", "#")):
        return not address.startswith(("//", "/\\"))
    try:
        return urlsplit(address.strip()).scheme.lower() in _SCHEMES
    except ValueError:  # of brackets that are no IPv6 address
        return False


def is_own_page(address: str) -> bool:
    return address.startswith("/")


def _footnote_reference(state: StateInline, silent: bool) -> bool:
    """The plugin's rule for labels of bounded length: it looks for their end to the end of the paragraph."""
    if state.src[state.pos] != "[" or not _FOOTNOTE.match(state.src, state.pos, state.posMax):
        return False
    return footnote_ref(state, silent)


def _find_tasks(state: StateCore) -> None:
    """A list item that begins with `[ ]` or `[x]` gets a check box."""
    for item, _paragraph, block in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if item.type != "list_item_open" or block.type != "inline" or not block.children:
            continue
        match = _TASK.match(block.content)
        text = block.children[0]
        if match and text.type == "text" and text.content.startswith(match[0]):
            text.content = text.content[len(match[0]) :]
            box = Token("task", "input", 0, meta={"done": match[1] != " "})
            block.children.insert(0, box)
            item.attrSet("class", "task")


def _refuse_foreign_pictures(state: StateCore) -> None:
    """Pictures of other sites, which the site's policy forbids, become links to them, or text inside a link."""
    for block in state.tokens:
        if not block.children:
            continue
        children: list[Token] = []
        depth = 0
        for token in block.children:
            depth += token.nesting if token.type.startswith("link_") else 0
            source = str(token.attrGet("src")) if token.type == "image" else ""
            if token.type != "image" or is_own_page(source):
                children.append(token)
                continue
            text = Token("text", "", 0, content=plain_text(token.children or []) or source)
            opening = Token("link_open", "a", 1, attrs={"href": source})
            children += [text] if depth else [opening, text, Token("link_close", "a", -1)]
        block.children = children


def plain_text(tokens: list[Token]) -> str:
    """What inline tokens say, without markup."""
    parts = []
    for token in tokens:
        if token.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
        elif token.type == "image":
            parts.append(plain_text(token.children or []))
        elif token.type == "mention":
            parts.append(f"@{token.content}")
        elif token.type != "footnote_ref":
            parts.append(token.meta.get("shown") or token.content)
    return "".join(parts)
