"""Telling people of revisions and of what is done to pages, within the transaction that does it. A constant number of
queries."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from wiki.accounts.models import User
from wiki.texts.errors import TextError
from wiki.texts.models import AuditEntry, Kind, Page, Revision, TargetForm, Visibility, Watch
from wiki.texts.targets import targets_of

from .models import Notification, Preferences, Reason

# Each is told, by e-mail too: no text calls everybody.
MAX_MENTIONED = 50


def tell_of_signal(sender: type[Page], page: Page, revision: Revision, **kwargs: Any) -> None:
    watch_own(page, revision.author)
    tell_of(page, revision)


def tell_of(page: Page, revision: Revision) -> None:
    """Tell everybody but its author: whom it names, whom it answers, who watches what it changes or newly names."""
    links = dict(page.links.values_list("target", "form"))
    mentioned = {target[1:] for target, form in links.items() if form == TargetForm.PERSON}
    if len(mentioned) > MAX_MENTIONED:
        raise TextError(f"Saving: expected at most {MAX_MENTIONED} people named in one text, got {len(mentioned)}.")
    changed = changed_targets(page, revision)
    named = {target for target, form in links.items() if form != TargetForm.PERSON} - changed
    # whom a first revision answers; -1: nobody
    answered = page.parent.author_id if page.parent and revision.n == 1 else -1

    # of several reasons the first one in `Reason` is said, so the last goes in first
    reasons: defaultdict[int, list[tuple[Reason, str]]] = defaultdict(list)
    watches = Watch.objects.filter(target__in=changed | named, user__is_active=True).order_by("-target")
    watching = list(watches.values_list("user_id", "target"))
    for reason, targets in ((Reason.NAMING, named), (Reason.EDIT, changed)):
        for user, target in watching:
            if target in targets:
                reasons[user].append((reason, target))
    people = User.objects.filter(Q(username__in=mentioned) | Q(pk=answered), is_active=True).values_list(
        "pk", "username"
    )
    by_name = {name: pk for pk, name in people}
    if answered in by_name.values():
        reasons[answered].append((Reason.REPLY, ""))
    for name in mentioned & set(by_name):
        reasons[by_name[name]].append((Reason.MENTION, ""))

    # what a page named already is not told again whenever somebody edits it; that it was edited is
    once = (Reason.MENTION, Reason.NAMING)
    earlier: set[tuple[int, str]] = set()
    if revision.n > 1 and any(reason in once for several in reasons.values() for reason, _ in several):
        earlier = set(
            Notification.objects.filter(page=page, reason__in=once).values_list("receiver_id", "reason").distinct()
        )
    left = {user: [why for why in several if (user, why[0]) not in earlier] for user, several in reasons.items()}
    told = {user: several[-1] for user, several in left.items() if several}
    told.pop(revision.author_id, None)
    _write(page, revision, told)


# Who was told of a revision already is not told again.
_WRITE = """
INSERT INTO following_notification (receiver_id, revision_id, page_id, reason, target, created_at)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


def _write(page: Page, revision: Revision, told: dict[int, tuple[Reason, str]]) -> None:
    """Django prepares each field of hundreds of rows in more time than databases take to write them."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.executemany(
            _WRITE,
            [
                (user, revision.pk, page.pk, reason.value, target, now)
                for user, (reason, target) in sorted(told.items())
            ],
        )


def tell_of_answer(sender: Any, entry: AuditEntry, reporter: User, address: str, **kwargs: Any) -> None:
    """Tell who reported a page what came of it."""
    _tell_of_entry(entry, Reason.ANSWER, {reporter.pk: address})


def tell_of_visibility(sender: type[Page], page: Page, entry: AuditEntry, **kwargs: Any) -> None:
    """Tell the author, and who watches the page where they see it still."""
    watching = {} if page.visibility == Visibility.HIDDEN else _watching(page)
    _tell_of_entry(entry, Reason.VISIBILITY, watching | {page.author_id: ""})


def tell_of_rename(sender: type[Page], page: Page, entry: AuditEntry, **kwargs: Any) -> None:
    _tell_of_entry(entry, Reason.RENAME, _watching(page))


def _watching(page: Page) -> dict[int, str]:
    """Who watches the page itself, and by which of its names."""
    targets = {f"a/{page.pk}", own_target(page), *targets_of(page)}
    watches = Watch.objects.filter(target__in=targets, user__is_active=True).order_by("target")
    return dict(watches.values_list("user_id", "target"))


def _tell_of_entry(entry: AuditEntry, reason: Reason, receivers: dict[int, str]) -> None:
    assert entry.page is not None
    Notification.objects.bulk_create(
        Notification(receiver_id=user, entry=entry, page=entry.page, reason=reason, target=target)
        for user, target in sorted(receivers.items())
        if user != entry.actor_id
    )


def changed_targets(page: Page, revision: Revision) -> set[str]:
    """What watchers hear of this revision by: the page by all its names, what it is about and hangs on, its author."""
    targets = {f"a/{page.pk}", f"@{revision.author.get_username()}", *targets_of(page)}
    each: Page | None = page
    while each is not None:
        targets |= {each.model_slug, each.about} - {""}
        each = each.parent
        if each is not None:
            targets |= {f"a/{each.pk}", *targets_of(each)}
    return targets


def own_target(page: Page) -> str:
    """What is watched of a page: its thread of a reply, its component of a summary, its title of an article."""
    if page.kind == Kind.TALK and page.parent is not None and page.parent.kind == Kind.TALK:
        return f"a/{page.parent_id}"
    return page.key or (page.about if page.kind == Kind.SUMMARY else f"a/{page.pk}")


def watch_own(page: Page, author: User) -> None:
    """Have the author watch what they write, unless they do not want that."""
    if not Preferences.objects.filter(user=author, watches_own=False).exists():
        Watch.objects.bulk_create([Watch(user=author, target=own_target(page))], ignore_conflicts=True)


def mark_read(notifications: Any) -> int:
    """Mark notifications (a queryset of one person's) as read; return how many were not."""
    return int(notifications.filter(read_at=None).update(read_at=timezone.now()))
