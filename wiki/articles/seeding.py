"""The texts that a new site opens with: Markdown files beside this module, saved by the services that people use.

A file begins with lines between two `---`: `kind`, `title` of an article or `about` of what hangs on a component,
and `tags`. What people changed stays as they left it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from django.db import transaction

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel
from wiki.texts.access import may_edit, may_write
from wiki.texts.models import Alias, Kind, Page
from wiki.texts.moderation import tag_page
from wiki.texts.targets import key_of
from wiki.texts.writing import create_page, save_revision

FOLDER = Path(__file__).parent / "seed"
AUTHOR = "loupe"  # an account that nobody can sign in to


class SeedError(Exception):
    """A file that cannot be read as a seed text; the message names it."""


@dataclasses.dataclass(frozen=True)
class Seed:
    """A text to begin with."""

    name: str  # of its file
    kind: Kind
    text: str
    title: str = ""
    about: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Seed:
        opening, head, text = [*path.read_text(encoding="utf-8").split("---\n", 2), "", ""][:3]
        try:
            fields = dict(line.split(": ", 1) for line in head.splitlines())
            kind, tags = Kind(fields.pop("kind")), fields.pop("tags", "")
            if opening or not text:
                raise ValueError("no head")
            return cls(path.name, kind, text, tags=tuple(filter(None, tags.split(", "))), **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SeedError(
                f"Reading {path.name}: expected kind, title or about, and tags between two lines ---, got: {error}."
            ) from error


@dataclasses.dataclass
class Outcome:
    """What loading did with each file."""

    made: list[str] = dataclasses.field(default_factory=list)
    renewed: list[str] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)  # as people want it, or the same already
    waiting: list[str] = dataclasses.field(default_factory=list)  # about a model that is not here


def read_seeds(folder: Path = FOLDER) -> list[Seed]:
    return [Seed.read(path) for path in sorted(folder.glob("*.md"))]


def load_seeds(seeds: Iterable[Seed]) -> Outcome:
    """Make what is missing, and renew what nobody but the seeds' own account has written."""
    author, _ = User.objects.get_or_create(
        username=AUTHOR, defaults={"role": Role.RESEARCHER, "password": "!", "shown_name": "Loupe's first texts"}
    )
    outcome = Outcome()
    for seed in seeds:
        slug = seed.about.partition("/")[0]
        if slug and not LanguageModel.objects.filter(slug=slug).exists():
            outcome.waiting.append(seed.name)
        elif (page := _page_of(seed, author)) is None and may_write(author):
            with transaction.atomic():
                page = create_page(
                    author, seed.kind, seed.text, title=seed.title, about=seed.about, submission=seed.name
                )
                tag_page(page, author, seed.tags)
            outcome.made.append(seed.name)
        elif page and page.current and page.current.text != seed.text and _may_renew(page, author):
            save_revision(page, author, seed.text, base_version=page.version, summary="A newer text of this release")
            outcome.renewed.append(seed.name)
        else:
            outcome.kept.append(seed.name)
    return outcome


def _page_of(seed: Seed, author: User) -> Page | None:
    """Where a seed was, or would be, put: by title, by component, and of notes the account's own there."""
    pages = Page.objects.select_related("current")
    if seed.kind == Kind.ARTICLE:
        alias = Alias.objects.filter(key=key_of(seed.title)).first()
        return pages.get(pk=alias.page_id) if alias else None
    slug, _, component = seed.about.partition("/")
    found = pages.filter(kind=seed.kind, model_slug=slug, component=component)
    return (found if seed.kind == Kind.SUMMARY else found.filter(author=author)).order_by("id").first()


def _may_renew(page: Page, author: User) -> bool:
    """Whether nobody else wrote it, and no moderator hid, protected or took it back, or blocked the account."""
    return may_edit(author, page) and not page.revisions.exclude(author=author).exists()
