"""`[[wikilinks]]`, `![[embeds]]`, `@mentions` and bare component names as tokens."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from .links import Kind, Link, Relation, Target

# a target may end in the number of a hook: [[blocks.5.attn.hook_z[1]]]
_WIKILINK = re.compile(r"(!?)\[\[([^\[\]|\n]{1,300}(?:\[\d{1,7}\])?)(?:\|([^\[\]\n]{1,300}))?\]\]")
_MENTION = re.compile(r"@([A-Za-z0-9_](?:[A-Za-z0-9_.+-]{0,148}[A-Za-z0-9_])?)")
_NAME = re.compile(
    r"(?<![\w/.:@#-])((?:[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?/)?L\d{1,5}(?:H\d{1,5}|N\d{1,7}|KV\d{1,5}))(?![\w/]|\.\d)",
    re.ASCII,
)
_RELATIONS = {relation.value: relation for relation in Relation}


def add_names(parser: MarkdownIt) -> None:
    parser.inline.ruler.before("link", "wikilink", _wikilink)
    parser.inline.ruler.before("link", "mention", _mention)
    parser.core.ruler.after("text_join", "component_names", _find_names)
    parser.core.ruler.after("inline", "spans", _find_spans)


def target_of(token: Token) -> Target:
    """What a token of this module names."""
    return Target(Kind(token.type), token.content)


def link_of(token: Token) -> Link:
    """The link that a wikilink, embed or mention token stands for."""
    return Link(
        kind=Kind(token.type),
        relation=token.meta["relation"],
        target=token.content,
        query=token.meta["query"],
        shown=token.meta["shown"],
        start=token.meta["start"],
        end=token.meta["end"],
    )


def naming_tokens(tokens: list[Token]) -> Iterator[Token]:
    """The tokens of this module in the order of the page: footnotes come last."""
    kinds = {kind.value for kind in Kind}
    for token in tokens:
        yield from (child for child in token.children or () if child.type in kinds)


def _wikilink(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "![" or state.linkLevel > 0:
        return False
    match = _WIKILINK.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    relation, target, query = Relation.MENTIONS, match[2], ""
    before, colons, after = target.partition("::")
    if not match[1] and colons and before.strip() in _RELATIONS:
        relation, target = _RELATIONS[before.strip()], after
    if match[1]:
        target, _, query = target.partition("?")
    target = " ".join(target.split())
    if not target:
        return False
    if not silent:
        shown = " ".join(match[3].split()) if match[3] else ""
        token = state.push((Kind.EMBED if match[1] else Kind.WIKILINK).value, "a", 0)
        token.content = target
        token.meta = {"relation": relation, "query": query.strip(), "shown": shown or None}
        token.meta["at"], token.meta["written"] = state.pos, match[0]
    state.pos = match.end()
    return True


def _mention(state: StateInline, silent: bool) -> bool:
    before = state.src[state.pos - 1] if state.pos else " "
    if state.src[state.pos] != "@" or state.linkLevel > 0 or before.isalnum() or before in "_/@.":
        return False
    match = _MENTION.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        token = state.push(Kind.MENTION.value, "a", 0)
        token.content = match[1]
        token.meta = {"relation": Relation.MENTIONS, "query": "", "shown": None}
        token.meta["at"], token.meta["written"] = state.pos, match[0]
    state.pos = match.end()
    return True


def _find_names(state: StateCore) -> None:
    """Cut bare component names out of text that is in no link."""
    for block in state.tokens:
        if not block.children:
            continue
        children: list[Token] = []
        depth = 0
        for token in block.children:
            depth += token.nesting if token.type.startswith("link_") else 0
            children += _cut(token) if token.type == "text" and depth == 0 else [token]
        block.children = children


def _cut(text: Token) -> Iterator[Token]:
    for index, part in enumerate(_NAME.split(text.content)):
        if part:
            yield Token(Kind.NAME.value if index % 2 else "text", "", 0, content=part, level=text.level)


def _find_spans(state: StateCore) -> None:
    """Where in the text each link is written.

    An inline token's content is the text of its lines without what makes them a quote, a list or a cell. A line of
    it is looked for in its own line of the text, after what was found there before: cells of a row follow each other.
    """
    lines = state.src.split("\n")
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    found: dict[int, int] = {}  # line → where its next cell may begin
    for block in state.tokens:
        if block.type != "inline" or not block.map:
            continue
        links = [token for token in block.children or () if "at" in token.meta]
        begin = 0
        for number, content in enumerate(block.content.split("\n"), start=block.map[0]):
            column, written = _column(lines[number], content, found.get(number, 0))
            found[number] = column + len(written)
            while links and links[0].meta["at"] < begin + len(content):
                meta = links.pop(0).meta
                before, whole = content[: meta["at"] - begin].lstrip(), meta["written"]
                if written != content.strip():
                    before, whole = before.replace("|", r"\|"), whole.replace("|", r"\|")
                meta["start"] = starts[number] + column + len(before)
                meta["end"] = meta["start"] + len(whole)
            begin += len(content) + 1


def _column(line: str, content: str, after: int) -> tuple[int, str]:
    """Where `content` begins in its line of the text, and how it is written there: in a cell, `|` is `\\|`."""
    for written in (content.strip(), content.strip().replace("|", r"\|")):
        column = line.find(written, after)
        if column >= 0:
            return column, written
    return after, content.strip()
