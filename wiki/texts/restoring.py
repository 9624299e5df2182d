"""Making an empty site what an archive says."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction
from django.db.models import OuterRef, Subquery

from wiki.accounts.models import Membership, ResearchGroup, Role, User

from .archives import ArchiveError, Row, checked_archive, read_table
from .links import rebuild_links
from .models import Alias, AuditEntry, Kind, Page, Protection, Revision, Tag, Visibility, Watch, WithheldRevision

N_AT_ONCE = 500


@dataclasses.dataclass(frozen=True)
class Restored:
    n_people: int
    n_pages: int
    n_revisions: int


def restore_wiki(path: Path) -> Restored:
    """Restore all or nothing; ArchiveError, and nothing changed, where the archive is damaged or the site not empty.

    People have no passwords: they ask for one by e-mail.
    """
    with checked_archive(path) as folder, transaction.atomic():
        _require_empty(path)
        restoring = _Restoring(folder)
        try:
            restoring.restore()
        except (KeyError, TypeError, ValueError, DatabaseError) as error:
            raise ArchiveError(
                f"Restoring {path}: expected rows that fit together, got in {restoring.table} what says: {error!r}."
            ) from error
        return Restored(len(restoring.people), len(restoring.versions), len(restoring.revisions))


def _require_empty(path: Path) -> None:
    n_people, n_pages = User.objects.count(), Page.objects.count()
    if n_people or n_pages:
        raise ArchiveError(
            f"Restoring {path}: expected a site without people and texts, got one with {n_people} people and {n_pages} "
            f"texts."
        )


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, N_AT_ONCE)):
        yield batch


class _Restoring:
    """The tables of an archive in order; each finds in the ones before it whom and what its rows name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = "people"  # that is being read, for what is said of an error
        self.people: dict[str, int] = {}
        self.versions: dict[int, int] = {}  # by page
        self.revisions: dict[tuple[int, int], int] = {}

    def restore(self) -> None:
        self._restore_people()
        self._restore_groups()
        self._restore_pages()
        self._restore_revisions()
        self._restore_watches()
        self._restore_audit()
        with connection.cursor() as cursor:
            # rows were given their numbers, and databases count on from those
            for statement in connection.ops.sequence_reset_sql(no_style(), [Page, Revision]):
                cursor.execute(statement)
        self.table = "links"
        rebuild_links()
        connection.check_constraints()

    def _read(self, table: str) -> Iterator[list[Row]]:
        self.table = table
        return _batches(read_table(self.folder, table))

    def _restore_people(self) -> None:
        roles = {role.label: role for role in Role}
        for rows in self._read("people"):
            made = User.objects.bulk_create([self._person(row, roles[row["role"]]) for row in rows])
            self.people |= {person.username: person.pk for person in made}
            EmailAddress.objects.bulk_create(
                EmailAddress(user_id=self.people[row["username"]], email=row["email"], primary=True, verified=True)
                for row in rows
                if row["email_verified"]
            )

    @staticmethod
    def _person(row: Row, role: Role) -> User:
        given = ("username", "shown_name", "email", "is_active", "is_demo", "blocked_because")
        return User(
            **{name: row[name] for name in given},
            role=role,
            is_staff=role == Role.ADMIN,
            is_superuser=role == Role.ADMIN,
            date_joined=_at(row["date_joined"]),
            blocked_until=_at(row["blocked_until"]) if row["blocked_until"] else None,
            password=make_password(None),
        )

    def _restore_groups(self) -> None:
        for row in itertools.chain.from_iterable(self._read("groups")):
            group = ResearchGroup.objects.create(
                slug=row["slug"], name=row["name"], lead_id=self.people[row["lead"]], created_at=_at(row["created_at"])
            )
            Membership.objects.bulk_create(
                Membership(
                    group=group,
                    person_id=self.people[each["person"]],
                    added_by_id=self.people[each["added_by"]],
                    since=_at(each["since"]),
                )
                for each in row["members"]
            )

    def _restore_pages(self) -> None:
        tags: dict[str, int] = {}
        for rows in self._read("pages"):
            Page.objects.bulk_create([self._page(row) for row in rows])
            self.versions |= {row["id"]: row["version"] for row in rows}
            Alias.objects.bulk_create(Alias(key=key, page_id=row["id"]) for row in rows for key in row["aliases"])
            new = sorted({name for row in rows for name in row["tags"]} - set(tags))
            tags |= {tag.name: tag.pk for tag in Tag.objects.bulk_create([Tag(name=name) for name in new])}
            through: Any = Page.tags.through
            through.objects.bulk_create(
                through(page_id=row["id"], tag_id=tags[name]) for row in rows for name in row["tags"]
            )

    def _page(self, row: Row) -> Page:
        return Page(
            pk=row["id"],
            kind=Kind(row["kind"]),
            title=row["title"],
            key=row["key"],
            model_slug=row["model"],
            component=row["component"],
            parent_id=row["parent"],
            author_id=self.people[row["author"]],
            version=row["version"],
            visibility=Visibility(row["visibility"]),
            visibility_reason=row["visibility_reason"],
            protection=Protection(row["protection"]),
            created_at=_at(row["created_at"]),
            updated_at=_at(row["updated_at"]),
        )

    def _restore_revisions(self) -> None:
        pk = 0
        for rows in self._read("revisions"):
            made, withheld = [], []
            for row in rows:
                pk += 1
                page, n = row["page"], row["n"]
                digest = hashlib.sha256(row["text"].encode()).hexdigest()
                if digest != row["sha256"]:
                    raise ValueError(f"revision {n} of page {page} has another sha256")
                self.revisions[page, n] = pk
                made.append(
                    Revision(
                        pk=pk,
                        page_id=page,
                        n=n,
                        author_id=self.people[row["author"]],
                        text=row["text"],
                        digest=digest,
                        fields=row["fields"],
                        summary=row["summary"],
                        survey=row["survey"],
                        base_id=None if row["base"] is None else self.revisions[page, row["base"]],
                        created_at=_at(row["created_at"]),
                    )
                )
                if said := row["withheld"]:
                    by, at = self.people[said["by"]], _at(said["created_at"])
                    withheld.append(WithheldRevision(revision_id=pk, by_id=by, reason=said["reason"], created_at=at))
            Revision.objects.bulk_create(made)
            WithheldRevision.objects.bulk_create(withheld)
        if len(self.revisions) != sum(self.versions.values()) or pk != len(self.revisions):
            raise ValueError(f"{pk} revisions in place of {sum(self.versions.values())}")
        newest = Revision.objects.filter(page=OuterRef("pk"), n=OuterRef("version"))
        Page.objects.update(current=Subquery(newest.values("pk")))
        Page.objects.filter(current__fields__has_key="anchor").update(is_anchored=True)
        if lacking := Page.objects.filter(current=None).first():
            raise ValueError(f"page {lacking.pk} lacks revision {lacking.version}")

    def _restore_watches(self) -> None:
        for rows in self._read("watches"):
            Watch.objects.bulk_create(
                Watch(user_id=self.people[row["person"]], target=row["target"], created_at=_at(row["created_at"]))
                for row in rows
            )

    def _restore_audit(self) -> None:
        for rows in self._read("audit"):
            AuditEntry.objects.bulk_create(
                AuditEntry(
                    actor_id=self.people[row["by"]],
                    page_id=row["page"],
                    person_id=None if row["person"] is None else self.people[row["person"]],
                    action=AuditEntry.Action(row["action"]),
                    before=row["before"],
                    after=row["after"],
                    reason=row["reason"],
                    created_at=_at(row["created_at"]),
                )
                for row in rows
            )
