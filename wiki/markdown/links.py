"""What a text can name, and what a resolver answers about it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence


class Kind(enum.Enum):
    """How a text names something."""

    WIKILINK = "wikilink"  # [[target]]
    EMBED = "embed"  # ![[target?query]]
    MENTION = "mention"  # @name
    NAME = "name"  # a bare component name, offered as a link; not a link of the text


class Relation(enum.Enum):
    """What a link says of its two ends. The value is what writers type before `::` and what pages show."""

    MENTIONS = "mentions"
    EVIDENCE_FOR = "evidence-for"
    EVIDENCE_AGAINST = "evidence-against"
    SAME_ROLE_AS = "same-role-as"
    PART_OF = "part-of"
    SUPERSEDES = "supersedes"
    CONTRADICTS = "contradicts"


class State(enum.Enum):
    """Whether what a text names is there."""

    EXISTS = "exists"
    MISSING = "missing"


@dataclasses.dataclass(frozen=True)
class Target:
    """What a resolver is asked about: `text` is as written, white space folded, without relation and query."""

    kind: Kind
    text: str
    query: str = ""  # what follows the `?` of an embed
    alone: bool = False  # an embed that is all of its paragraph: there is room for a figure


@dataclasses.dataclass(frozen=True)
class Number:
    """A measured number within a sentence, linked to the page that has it."""

    href: str
    figure: str  # with its standard error and its unit
    rank: str  # among all of its kind; empty where it has none
    title: str  # what is measured, on what, by which survey


@dataclasses.dataclass(frozen=True)
class File:
    """A form in which a figure can be had."""

    label: str
    href: str


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure that stands by itself, linked to the page that shows it in that very state."""

    href: str
    label: str  # the caption where the writer gave none
    src: str
    alt: str
    width: int
    height: int
    source: str  # where its numbers come from
    files: tuple[File, ...]
    live: str = ""  # where scripts find the same figure as a thing to explore; empty: it is a picture alone


@dataclasses.dataclass(frozen=True)
class Absent:
    """Why there is no number or figure, in one sentence."""

    sentence: str


Filling = Number | Picture | Absent


@dataclasses.dataclass(frozen=True)
class Resolved:
    """Where a target lies. `href` is an address of this site that begins with one slash, of the page where it can be
    made if it is missing; `label` is shown where the writer gave no text of their own."""

    href: str
    label: str
    state: State
    filling: Filling | None = None  # what an embed shows; None: the link alone

    @property
    def addresses(self) -> list[str]:
        """All addresses that it brings into a text."""
        found, filling = [self.href], self.filling
        if isinstance(filling, Number | Picture):
            found.append(filling.href)
        if isinstance(filling, Picture):
            found += [filling.src, *(file.href for file in filling.files), *filter(None, [filling.live])]
        return found


# Asked once for all targets of a text, each only once. What the answer leaves out has no address: a link or an embed
# is shown as missing and without one, a mention or a bare name as plain text.
Resolve = Callable[[Sequence[Target]], Mapping[Target, Resolved]]


@dataclasses.dataclass(frozen=True)
class Link:
    """One wikilink, embed or mention of a text.

    `start` and `end` count characters of the text whose line ends are one newline each (`bounds.bounded`):
    `text[start:end]` is the whole link as written, brackets included.
    """

    kind: Kind
    relation: Relation
    target: str
    query: str  # what follows the `?` of an embed, else ""
    shown: str | None  # the writer's own text for it
    start: int
    end: int
