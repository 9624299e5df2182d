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


@dataclasses.dataclass(frozen=True)
class Resolved:
    """Where a target lies. `href` is an address of this site that begins with one slash, of the page where it can be
    made if it is missing; `label` is shown where the writer gave no text of their own."""

    href: str
    label: str
    state: State


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
