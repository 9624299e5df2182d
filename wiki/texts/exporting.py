"""Writing all that was written, and by whom, into an archive."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from allauth.account.models import EmailAddress
from django.db import connection, transaction
from django.utils import timezone
from django.utils.text import slugify

from analysis.schema import CODE_VERSION
from wiki.accounts.models import ResearchGroup, Role, User

from .archives import Row, new_archive
from .models import AuditEntry, Page, Revision, Visibility, Watch

N_AT_ONCE = 500


def export_wiki(path: Path) -> str:
    """Write an archive of the whole wiki as it is at one moment; returns the sha256 of its manifest.

    For operators: it has hidden pages and withheld revisions, marked, and e-mail addresses.
    """
    with new_archive(path) as archive, _one_moment():
        archive.write_table("people", _people())
        archive.write_table("groups", _groups())
        archive.write_table("pages", _pages())
        archive.write_table("revisions", _revisions())
        archive.write_table("watches", _watches())
        archive.write_table("audit", _audit())
        for page in Page.objects.select_related("current__author").order_by("pk").iterator(N_AT_ONCE):
            archive.write_text(_file_name(page), _markdown(page))
        return archive.write_manifest({"code_version": CODE_VERSION, "exported_at": _at(timezone.now())})


@contextlib.contextmanager
def _one_moment() -> Iterator[None]:
    """All queries inside see the database as it is now; nobody who writes waits for it."""
    mode = getattr(connection, "transaction_mode", None)
    is_first = not connection.in_atomic_block
    if connection.vendor == "sqlite":
        # it only reads, so it takes no lock
        connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql" and is_first:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
    finally:
        if connection.vendor == "sqlite":
            connection.transaction_mode = mode  # type: ignore[attr-defined]


def _at(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _people() -> Iterator[Row]:
    verified = set(EmailAddress.objects.filter(verified=True).values_list("user", "email"))
    for person in User.objects.order_by("pk").iterator(N_AT_ONCE):
        yield {
            "username": person.username,
            "shown_name": person.shown_name,
            "email": person.email,
            "email_verified": (person.pk, person.email) in verified,
            "role": Role(person.role).label,
            "is_active": person.is_active,
            "is_demo": person.is_demo,
            "date_joined": _at(person.date_joined),
            "blocked_until": _at(person.blocked_until),
            "blocked_because": person.blocked_because,
        }


def _groups() -> Iterator[Row]:
    groups = ResearchGroup.objects.select_related("lead").prefetch_related(
        "memberships__person", "memberships__added_by"
    )
    for group in groups.order_by("pk"):
        yield {
            "slug": group.slug,
            "name": group.name,
            "lead": group.lead.username,
            "created_at": _at(group.created_at),
            "members": [
                {"person": each.person.username, "added_by": each.added_by.username, "since": _at(each.since)}
                for each in group.memberships.all()
            ],
        }


def _pages() -> Iterator[Row]:
    pages = Page.objects.select_related("author").prefetch_related("tags", "aliases")
    for page in pages.order_by("pk").iterator(N_AT_ONCE):
        yield {
            "id": page.pk,
            "kind": page.kind,
            "title": page.title,
            "key": page.key,
            "aliases": sorted(alias.key for alias in page.aliases.all()),
            "model": page.model_slug,
            "component": page.component,
            "parent": page.parent_id,
            "author": page.author.username,
            "version": page.version,
            "visibility": page.visibility,
            "visibility_reason": page.visibility_reason,
            "protection": page.protection,
            "tags": sorted(tag.name for tag in page.tags.all()),
            "created_at": _at(page.created_at),
            "updated_at": _at(page.updated_at),
        }


def _revisions() -> Iterator[Row]:
    revisions = Revision.objects.select_related("author", "base", "withheld__by")
    for revision in revisions.order_by("pk").iterator(N_AT_ONCE):
        withheld = getattr(revision, "withheld", None)
        yield {
            "page": revision.page_id,
            "n": revision.n,
            "author": revision.author.username,
            "text": revision.text,
            "sha256": revision.digest,
            "fields": revision.fields,
            "summary": revision.summary,
            "survey": revision.survey,
            "base": revision.base.n if revision.base else None,
            "created_at": _at(revision.created_at),
            "withheld": withheld
            and {"by": withheld.by.username, "reason": withheld.reason, "created_at": _at(withheld.created_at)},
        }


def _watches() -> Iterator[Row]:
    for watch in Watch.objects.select_related("user").order_by("pk").iterator(N_AT_ONCE):
        yield {"person": watch.user.username, "target": watch.target, "created_at": _at(watch.created_at)}


def _audit() -> Iterator[Row]:
    for entry in AuditEntry.objects.select_related("actor", "person").order_by("pk").iterator(N_AT_ONCE):
        yield {
            "by": entry.actor.username,
            "page": entry.page_id,
            "person": entry.person.username if entry.person else None,
            "action": entry.action,
            "before": entry.before,
            "after": entry.after,
            "reason": entry.reason,
            "created_at": _at(entry.created_at),
        }


def _file_name(page: Page) -> str:
    """Readable, and safe on every file system; what is not published is in folders of its own."""
    name = slugify(page.title or page.about.replace("/", "-"))[:60]
    shown = "" if page.visibility == Visibility.PUBLISHED else f"{page.visibility}/"
    return f"texts/{shown}{page.kind}/{page.pk}{'-' if name else ''}{name}.md"


def _markdown(page: Page) -> str:
    assert page.current is not None
    facts = {
        "id": page.pk,
        "kind": page.kind,
        "title": page.title,
        "about": page.about,
        "visibility": page.visibility,
        "revision": page.version,
        "author": page.current.author.username,
        "saved_at": _at(page.current.created_at),
    }
    head = "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in facts.items())
    return f"---\n{head}---\n{page.current.text}"
