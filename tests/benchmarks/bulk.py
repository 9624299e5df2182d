"""Writing what a crowd writes into a site, in bulk. Imported once Django is set up.

It leaves what the services would have left, had each of these people saved each of these texts in turn:
`tests/test_crowd.py` compares the two.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

from django.core.management.color import no_style
from django.db import connection, transaction
from django.utils import timezone

from wiki.accounts.models import Role, User
from wiki.coverage.counting import rebuild_coverage
from wiki.following.models import LastSeen, Notification, Reason
from wiki.following.notifying import own_target
from wiki.search.indexing import rebuild_search
from wiki.texts.anchors import CellAnchor, fields_of
from wiki.texts.models import (
    Alias,
    AuditEntry,
    Link,
    Page,
    Revision,
    Tag,
    TargetForm,
    TextsVersion,
    Visibility,
    Watch,
)
from wiki.texts.targets import Target, key_of, normalise

from .crowd import MODEL, MODERATOR, Crowd, Passage, Planned, Save, username

BATCH = 5_000
PERIOD = datetime.timedelta(days=400)
# All was written before that: what is measured then is within everybody's allowance.
QUIET = datetime.timedelta(hours=2)
N_UNREAD = 120  # the newest notifications, which a person has not read
REASON = "It was wrong."


def make_people(n: int) -> list[User]:
    """Researchers, and one moderator, who have been here for years."""
    joined = timezone.now() - 2 * PERIOD
    User.objects.bulk_create(
        [
            User(
                username=username(person),
                email=f"{username(person)}@localhost",
                role=Role.MODERATOR if person == MODERATOR else Role.RESEARCHER,
                date_joined=joined,
            )
            for person in range(n)
        ]
    )
    return [User.objects.get(username=username(person)) for person in range(n)]


def fields_of_planned(page: Planned) -> dict[str, Any]:
    if not page.is_anchored:
        return {}
    return fields_of(CellAnchor(f"sotu.{page.pk % 8}", 9, 3, "", "the", "of", f"{page.pk:016x}", ""))


class Writing:
    """The rows of a crowd's texts, in the order of their saves."""

    def __init__(self, crowd: Crowd, people: list[User]) -> None:
        self._crowd, self._people = crowd, people
        self._now = timezone.now() - QUIET
        self._pages: dict[int, Page] = {}
        self._links: dict[int, list[Link]] = {}
        self._watches: dict[str, dict[int, Watch]] = {}
        self._told: dict[int, set[tuple[int, str]]] = {}  # by page: who was told once and for all, and why
        self._revisions: list[Revision] = []
        self._last: dict[int, Revision] = {}
        self._notifications: list[Notification] = []
        self._n_saves = 0

    def write(self) -> None:
        with transaction.atomic():
            for person, target in self._crowd.watches():
                self._watch(self._people[person], target, self._now - PERIOD)
            for save in self._crowd.saves():
                self._save(save, self._crowd.passage(save.page, save.n))
            self._flush()
            Page.objects.bulk_create(self._pages.values(), batch_size=BATCH)
            articles = [page for page in self._pages.values() if page.key]
            Alias.objects.bulk_create([Alias(key=page.key, page=page) for page in articles], batch_size=BATCH)
            Link.objects.bulk_create((each for links in self._links.values() for each in links), batch_size=BATCH)
            watches = (watch for watches in self._watches.values() for watch in watches.values())
            Watch.objects.bulk_create(watches, batch_size=BATCH)
            self._moderate()
            TextsVersion.objects.bulk_create([TextsVersion(scope=MODEL, n=self._n_saves)])
            for statement in connection.ops.sequence_reset_sql(no_style(), [Page, Revision]):
                with connection.cursor() as cursor:
                    cursor.execute(statement)
        rebuild_search()
        rebuild_coverage()
        self._read()

    def _save(self, save: Save, passage: Passage) -> None:
        at, author = self._now - (1 - save.at) * PERIOD, self._people[save.author]
        page = self._pages.get(save.page.pk) or self._begin(save.page, at)
        self._n_saves += 1
        fields = fields_of_planned(save.page)
        revision = Revision(
            pk=self._n_saves,
            page=page,
            n=save.n,
            author=author,
            text=passage.text,
            digest=hashlib.sha256(passage.text.encode()).hexdigest(),
            fields=fields,
            base=self._last.get(page.pk),
            created_at=at,
        )
        # the page keeps the number alone, or all texts would be in memory
        self._last[page.pk] = Revision(pk=revision.pk)
        page.current_id, page.version, page.updated_at, page.is_anchored = revision.pk, save.n, at, bool(fields)
        self._links[page.pk] = self._links_of(page, passage)
        self._revisions.append(revision)
        self._watch(author, own_target(page), at)
        self._tell(page, revision)
        if len(self._revisions) >= BATCH:
            self._flush()

    def _begin(self, planned: Planned, at: datetime.datetime) -> Page:
        page = self._pages[planned.pk] = Page(
            pk=planned.pk,
            kind=planned.kind,
            title=planned.title,
            key=key_of(planned.title) if planned.kind == "article" else None,
            model_slug=MODEL if planned.component is not None else "",
            component=planned.component or "",
            parent=self._pages[planned.parent] if planned.parent else None,
            author=self._people[planned.author],
            visibility=planned.visibility,
            visibility_reason=REASON if planned.visibility != "published" else "",
            created_at=at,
        )
        return page

    def _links_of(self, page: Page, passage: Passage) -> list[Link]:
        links: dict[tuple[str, str], Link] = {}
        for kind, words in passage.links:
            target = normalise(words, scope=page.model_slug)
            assert isinstance(target, Target)
            link = Link(source=page, kind=kind, form=target.form, target=target.text, words=words)
            links.setdefault((kind, target.text), link)
        return list(links.values())

    def _watch(self, user: User, target: str, at: datetime.datetime) -> None:
        self._watches.setdefault(target, {}).setdefault(user.pk, Watch(user=user, target=target, created_at=at))

    def _tell(self, page: Page, revision: Revision) -> None:
        """As `wiki.following.notifying.tell_of` does, without asking the database."""
        links = {link.target: link.form for link in self._links[page.pk]}
        changed = {f"@{revision.author.username}"}
        each: Page | None = page
        while each is not None:
            changed |= {f"a/{each.pk}", each.key or "", each.model_slug, each.about} - {""}
            each = each.parent
        named = {target for target, form in links.items() if form != TargetForm.PERSON} - changed
        # the last reason that was not told before is the one
        reasons: dict[int, list[tuple[str, str]]] = {}
        for targets, reason in ((named, Reason.NAMING), (changed, Reason.EDIT)):
            for target in sorted(targets, reverse=True):
                for user in self._watches.get(target, ()):
                    reasons.setdefault(user, []).append((reason.value, target))
        if page.parent and revision.n == 1:
            reasons.setdefault(page.parent.author_id, []).append((Reason.REPLY.value, ""))
        for name in (target for target, form in links.items() if form == TargetForm.PERSON):
            person = self._people[int(name.rpartition("-")[2])]
            reasons.setdefault(person.pk, []).append((Reason.MENTION.value, ""))
        before = self._told.setdefault(page.pk, set())
        left = {user: [why for why in several if (user, why[0]) not in before] for user, several in reasons.items()}
        told = {user: several[-1] for user, several in left.items() if several}
        told.pop(revision.author_id, None)
        before |= {(user, reason) for user, (reason, _) in told.items() if reason in ("mention", "naming")}
        self._notifications += [
            Notification(
                receiver_id=user,
                revision=revision,
                page=page,
                reason=reason,
                target=target,
                created_at=revision.created_at,
            )
            for user, (reason, target) in sorted(told.items())
        ]

    def _flush(self) -> None:
        Revision.objects.bulk_create(self._revisions, batch_size=BATCH)
        Notification.objects.bulk_create(self._notifications, batch_size=BATCH)
        self._revisions, self._notifications = [], []

    def _moderate(self) -> None:
        """Tags, and what was hidden or taken back, with the log of it and who is told."""
        actor, entries, told = self._people[MODERATOR], [], []
        names = sorted({tag for page in self._crowd.pages for tag in page.tags})
        Tag.objects.bulk_create([Tag(name=name) for name in names])
        tags, given = {tag.name: tag for tag in Tag.objects.all()}, []
        for page in self._crowd.pages:
            given += [Page.tags.through(page_id=page.pk, tag=tags[name]) for name in page.tags]
            if page.tags:
                author = self._people[page.author]
                entries.append(
                    AuditEntry(
                        actor=author, page_id=page.pk, action=AuditEntry.Action.TAG, after=", ".join(sorted(page.tags))
                    )
                )
            if page.visibility != "published":
                hidden = page.visibility == "hidden"
                entry = AuditEntry(
                    actor=actor if hidden else self._people[page.author],
                    page_id=page.pk,
                    action=AuditEntry.Action.HIDE if hidden else AuditEntry.Action.RETRACT,
                    before=Visibility.PUBLISHED,
                    after=page.visibility,
                    reason=REASON,
                )
                entries.append(entry)
                told += self._told_of(entry, self._pages[page.pk])
        Page.tags.through.objects.bulk_create(given, batch_size=BATCH)
        AuditEntry.objects.bulk_create(entries, batch_size=BATCH)
        Notification.objects.bulk_create(told, batch_size=BATCH)

    def _told_of(self, entry: AuditEntry, page: Page) -> list[Notification]:
        """As `wiki.following.notifying.tell_of_visibility` does, without asking the database."""
        receivers = {page.author_id: ""}
        if page.visibility != Visibility.HIDDEN:
            watched = sorted({f"a/{page.pk}", own_target(page)})
            receivers = {user: target for target in watched for user in self._watches.get(target, ())} | receivers
        return [
            Notification(
                receiver_id=user,
                entry=entry,
                page=page,
                reason=Reason.VISIBILITY.value,
                target=target,
                created_at=self._now,
            )
            for user, target in sorted(receivers.items())
            if user != entry.actor_id
        ]

    def _read(self) -> None:
        """Everybody was here a week ago, and has read what they were told of, but for the newest."""
        week_ago = self._now - datetime.timedelta(days=7)
        LastSeen.objects.bulk_create(
            [LastSeen(user=user, seen_at=timezone.now(), before=week_ago) for user in self._people]
        )
        for user in self._people:
            told = Notification.objects.filter(receiver=user).order_by("-created_at", "-id")
            last = next(iter(told[N_UNREAD : N_UNREAD + 1]), None)
            if last is not None:
                told.filter(pk__lte=last.pk).update(read_at=self._now)


def write_crowd(n_texts: int, n_people: int) -> None:
    Writing(Crowd(n_texts, n_people), make_people(n_people)).write()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # as its daemon does by itself, a minute later
