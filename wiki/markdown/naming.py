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
# Every username that accounts allow; those of operators may have . and + too.
_MENTION = re.compile(r"@([A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,148}[A-Za-z0-9])?)")
_NAME = re.compile(
    r"(?<![\w/.:@#-])((?:[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?/)?L\d{1,5}(?:H\d{1,5}|N\d{1,7}|KV\d{1,5}))(?![\w/]|\.\d)",
    re.ASCII,
)
_LONGEST_NAME = 120  # characters, and what may not follow them
_RELATIONS = {relation.value: relation for relation in Relation}


def add_names(parser: MarkdownIt) -> None:
    parser.inline.ruler.before("link", "wikilink", _wikilink)
    parser.inline.ruler.before("link", "mention", _mention)
    parser.inline.ruler.before("text", "component_name", _name)
    parser.core.ruler.after("inline", "spans", _find_spans)
    parser.core.ruler.after("inline", "figures", _find_figures)


def target_of(token: Token) -> Target:
    """What a token of this module names."""
    return Target(Kind(token.type), token.content, token.meta["query"], token.meta["alone"])


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
        kind = Kind.EMBED if match[1] else Kind.WIKILINK
        _push(state, kind, target, match[0], relation=relation, query=query.strip(), shown=shown or None)
    state.pos = match.end()
    return True


def _mention(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "@" or state.linkLevel > 0:
        return False
    before = state.src[max(0, state.pos - 4) : state.pos].rstrip("_")[-1:]  # _ may begin emphasis
    if before and (before.isalnum() or before in "/@."):
        return False
    match = _MENTION.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        _push(state, Kind.MENTION, match[1], match[0])
    state.pos = match.end()
    return True


def _name(state: StateInline, silent: bool) -> bool:
    """A bare component name outside links; before it, the text up to it."""
    if state.linkLevel > 0:
        return False
    name = _NAME.match(state.src, state.pos, state.posMax)
    if name is not None:
        if not silent:
            _push(state, Kind.NAME, name[1], name[1])
        state.pos = name.end()
        return True
    special = state.md.inline.terminator_re.search(state.src, state.pos)
    end = special.start() if special else state.posMax
    name = _NAME.search(state.src, state.pos, min(state.posMax, end + _LONGEST_NAME))
    if name is None or name.start() >= end:
        return False
    if not silent:
        state.append_pending(state.src[state.pos : name.start()])
    state.pos = name.start()
    return True


def _push(
    state: StateInline,
    kind: Kind,
    content: str,
    written: str,
    *,
    relation: Relation = Relation.MENTIONS,
    query: str = "",
    shown: str | None = None,
) -> None:
    token = state.push(kind.value, "a", 0)
    token.content = content
    token.meta = {"relation": relation, "query": query, "shown": shown, "alone": False}
    token.meta |= {"at": state.pos, "written": written}


def _find_figures(state: StateCore) -> None:
    """Embeds that are all of their paragraph."""
    for before, block in itertools.pairwise(state.tokens):
        children = block.children or []
        if before.type == "paragraph_open" and len(children) == 1 and children[0].type == Kind.EMBED.value:
            children[0].meta["alone"] = True


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
