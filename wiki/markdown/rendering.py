"""From a text to safe HTML.

The syntax is CommonMark without HTML, and tables, ~~strikethrough~~, task lists, footnotes `[^1]`, maths, and:

- `[[target]]`, `[[target|shown text]]`: a link to a component, page or model, if it is there or not.
- `[[same-role-as::gpt2/L5H5]]`: a link that says what it means; the words before `::` are those of `links.Relation`.
- `![[target?query]]`, `![[target?query|caption]]`: alone in its paragraph a live figure, else a link to it.
- `[[x:1a2b3c4d]]`, `![[x:1a2b3c4d]]`: an experiment by the first digits of its hash, and what came out of it.
- `@name`: somebody.
- `L5H1`, `gpt2/L3N1024`: marked as a component's name where the resolver knows it.

None of it in code, in links or in maths.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from .bounds import bounded
from .links import Absent, Kind, Link, Number, Picture, Relation, Resolve, Resolved, State, Target
from .naming import link_of, naming_tokens, target_of
from .parsing import parser, plain_text
from .sanitising import sanitise

# Kept with rendered texts and raised whenever a text renders otherwise than before, by a newer library too.
VERSION = 4

_PREFIX = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{1,30}")
_EXTERNAL = "nofollow noopener noreferrer"


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading for a table of contents."""

    level: int  # 2 to 6: a page's own title is its only first-level heading, so `#` makes a second-level one
    text: str
    anchor: str  # the id of its element


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A text as HTML that can be put into a page as it is, and what the text names."""

    html: str
    links: tuple[Link, ...]
    headings: tuple[Heading, ...]


def links_of(text: str) -> tuple[Link, ...]:
    """The wikilinks, embeds and mentions of a text, in the order in which they are written, without rendering it.

    Raises UnreadableTextError.
    """
    return _links(_parse(text, env={}))


def blocks_of(text: str, language: str) -> tuple[str, ...]:
    """What stands in the fenced blocks of a language. Raises UnreadableTextError."""
    fences = (token for token in _parse(text, env={}) if token.type == "fence")
    return tuple(token.content for token in fences if token.info.strip().partition(" ")[0] == language)


def targets_of(text: str) -> tuple[Target, ...]:
    """All that `render` would ask the resolver about, bare names included. Raises UnreadableTextError."""
    return tuple(dict.fromkeys(target_of(token) for token in naming_tokens(_parse(text, env={}))))


def render(text: str, *, prefix: str, resolve: Resolve) -> Rendered:
    """A text as safe HTML. `resolve` is called once, with all that the text names, or not at all if it names nothing.

    `prefix` begins every id, so that several texts fit on one page: lower-case words with hyphens. Raises
    UnreadableTextError; a text of any other shape renders.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"Rendering a text: expected a prefix like “note-12”, got “{prefix}”.")
    env: dict[str, Any] = {"docId": prefix, "prefix": prefix}
    tokens = _parse(text, env=env)
    targets = list(dict.fromkeys(target_of(token) for token in naming_tokens(tokens)))
    env["resolved"] = dict(resolve(targets)) if targets else {}
    _check_addresses(env["resolved"])
    headings = _name_headings(tokens, prefix)
    _arrange(tokens, prefix, env["resolved"])
    html = _renderer().render(tokens, parser().options, env)
    return Rendered(html=sanitise(html), links=_links(tokens), headings=headings)


def _parse(text: str, *, env: dict[str, Any]) -> list[Token]:
    return parser().parse(bounded(text), env)


def _links(tokens: list[Token]) -> tuple[Link, ...]:
    links = (link_of(token) for token in naming_tokens(tokens) if token.type != Kind.NAME.value)
    return tuple(sorted(links, key=lambda link: link.start))


def _check_addresses(resolved: Mapping[Target, Resolved]) -> None:
    for target, answer in resolved.items():
        for href in answer.addresses:
            if not href.startswith("/") or href.startswith(("//", "/\\")):
                raise ValueError(
                    f"Rendering a link to “{target.text}”: expected an address of this site, got “{href}”."
                )


def _name_headings(tokens: list[Token], prefix: str) -> tuple[Heading, ...]:
    """Give each heading an id and a level below that of the page's title."""
    headings: list[Heading] = []
    taken: dict[str, int] = {}
    for opening, block, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type != "heading_open":
            continue
        level = min(int(opening.tag[1]) + 1, 6)
        text = plain_text(block.children or []).strip()
        slug = "-".join(re.findall(r"[^\W_]+", text.lower()))[:60].strip("-") or "section"
        taken[slug] = taken.get(slug, 0) + 1
        # two hyphens end the prefix; three begin a count: neither is in a slug
        anchor = f"{prefix}--{slug}" + (f"---{taken[slug]}" if taken[slug] > 1 else "")
        opening.tag = closing.tag = f"h{level}"
        opening.attrs = {"id": anchor}
        headings.append(Heading(level, text, anchor))
    return tuple(headings)


def _arrange(tokens: list[Token], prefix: str, resolved: Mapping[Target, Resolved]) -> None:
    """What the policy of the site and the place of a token ask for: alignment by class, ids in links, figures."""
    for index, token in enumerate(tokens):
        if token.type in {"th_open", "td_open"} and (style := token.attrs.pop("style", None)):
            token.attrs["class"] = "align-" + str(style).removeprefix("text-align:")
        children = token.children or []
        if len(children) == 1 and children[0].meta.get("alone"):
            answer = resolved.get(target_of(children[0]))
            if answer is None or not isinstance(answer.filling, Number):
                tokens[index - 1].hidden = tokens[index + 1].hidden = True
        for child in children:
            if child.type == "link_open":
                href = str(child.attrs["href"])
                if href.startswith("#"):
                    child.attrs["href"] = f"#{prefix}--{href[1:]}"
                elif not href.startswith("/"):
                    child.attrs["rel"] = _EXTERNAL


class _Renderer(RendererHTML):
    """markdown-it's renderer calls the method that a token's type names."""

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        language = tokens[idx].info.strip().partition(" ")[0]
        named = f' class="language-{language}"' if _LANGUAGE.fullmatch(language) else ""
        return f"<pre><code{named}>{escapeHtml(tokens[idx].content)}</code></pre>\n"

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<span class="math inline">{escapeHtml(tokens[idx].content)}</span>'

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<div class="math block">{escapeHtml(tokens[idx].content)}</div>\n'

    def task(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        state = 'aria-label="done" checked=""' if tokens[idx].meta["done"] else 'aria-label="open"'
        return f'<input type="checkbox" disabled="" {state}> '

    def wikilink(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return _link(tokens[idx], env["resolved"].get(target_of(tokens[idx])))

    def embed(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        answer = env["resolved"].get(target_of(token))
        filling = answer.filling if answer else None
        if isinstance(filling, Number):
            return _number(token, filling)
        if isinstance(filling, Picture) and token.meta["alone"]:
            return _picture(token, filling)
        link = _link(token, answer)
        if answer is None:
            link += ' <span class="absent">(Nothing here is called so.)</span>'
        if isinstance(filling, Absent):
            link += f' <span class="absent">({escapeHtml(filling.sentence)})</span>'
        return f'<figure class="embed"><figcaption>{link}</figcaption></figure>\n' if token.meta["alone"] else link

    def mention(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        answer = env["resolved"].get(target_of(tokens[idx]))
        return _link(tokens[idx], answer) if answer else escapeHtml(f"@{tokens[idx].content}")

    def name(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        name = escapeHtml(tokens[idx].content)
        answer = env["resolved"].get(target_of(tokens[idx]))
        if answer is None or answer.state is State.MISSING:
            return name
        span = f'data-start="{tokens[idx].meta["start"]}" data-end="{tokens[idx].meta["end"]}"'
        return f'<span class="component-name" data-component="{name}" {span}>{name}</span>'

    def renderInlineAsText(self, tokens: Sequence[Token] | None, options: Any, env: Any) -> str:  # noqa: N802
        return plain_text(list(tokens or []))


def _link(token: Token, answer: Resolved | None) -> str:
    """The link that a wikilink, embed or mention token stands for."""
    missing = answer is None or answer.state is State.MISSING
    classes = f"{token.type} missing" if missing else token.type
    shown = escapeHtml(token.meta["shown"] or (answer.label if answer else token.content))
    if answer is None:
        return f'<span class="{classes}">{shown}</span>'
    href = answer.href
    if token.meta["query"]:
        href += ("&" if "?" in href else "?") + quote(token.meta["query"], safe="=&%+,:;/._~-")
    relation: Relation = token.meta["relation"]
    typed = f' data-relation="{relation.value}"' if relation is not Relation.MENTIONS else ""
    return f'<a class="{classes}" href="{escapeHtml(href)}"{typed}>{shown}</a>'


def _number(token: Token, number: Number) -> str:
    """The writer's words, if there are any, and the number, its rank beside it."""
    words = f"{escapeHtml(token.meta['shown'])} " if token.meta["shown"] else ""
    rank = f' <span class="rank">· {escapeHtml(number.rank)}</span>' if number.rank else ""
    href, title = escapeHtml(number.href), escapeHtml(number.title)
    return f'{words}<a class="embed number" href="{href}" title="{title}">{escapeHtml(number.figure)}</a>{rank}'


def _picture(token: Token, picture: Picture) -> str:
    """The figure in its frame, a caption that leads to its page, and where its numbers come from."""
    live = f' data-live="{escapeHtml(picture.live)}"' if picture.live else ""
    size = f'width="{picture.width}" height="{picture.height}"'
    image = f'<img src="{escapeHtml(picture.src)}" alt="{escapeHtml(picture.alt)}" {size} loading="lazy">'
    caption = escapeHtml(token.meta["shown"] or picture.label)
    files = " · ".join(f'<a href="{escapeHtml(file.href)}">{escapeHtml(file.label)}</a>' for file in picture.files)
    source = " · ".join(filter(None, [escapeHtml(picture.source), files]))
    link = f'<a class="embed" href="{escapeHtml(picture.href)}">{caption}</a>'
    below = f'<figcaption>{link} <span class="source">{source}</span></figcaption>'
    return f'<figure class="embed"{live}>{image}{below}</figure>\n'


def _renderer() -> _Renderer:
    """markdown-it's, with this module's rules, and those of the footnotes as the plugin made them."""
    renderer = _Renderer(parser())
    renderer.rules = {**parser().renderer.rules, **renderer.rules}  # type: ignore[attr-defined]
    return renderer
