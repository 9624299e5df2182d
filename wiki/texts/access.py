"""Who may read and do what with texts."""

from __future__ import annotations

import datetime

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet

from wiki.accounts.access import has_role, is_blocked
from wiki.accounts.models import Role, User

from .models import AuditEntry, Draft, Kind, Link, Page, Protection, Revision, Visibility

# A reply is in a thread, and a thread can be about an article or a note.
MAX_DEPTH = 2

Person = User | AnonymousUser

_OF_REPORTS = (AuditEntry.Action.REPORT, AuditEntry.Action.TAKE, AuditEntry.Action.RESOLVE)


def may_write(user: Person) -> bool:
    return has_role(user, Role.RESEARCHER) and not is_blocked(user)


def may_moderate(user: Person) -> bool:
    return is_moderator(user) and not is_blocked(user)


def is_reviewer(user: Person) -> bool:
    return has_role(user, Role.REVIEWER)


def is_moderator(user: Person) -> bool:
    return has_role(user, Role.MODERATOR)


def sight_of(user: Person) -> tuple[bool | None, int]:
    """What rows are visible by, for questions that are compiled once (`wiki.lib.prepared`): whether it is a moderator
    who asks, None where nobody is signed in; and who."""
    return (is_moderator(user), user.pk) if isinstance(user, User) else (None, 0)


def person_of(moderates: bool | None, key: int) -> Person:
    """Somebody who sees what `sight_of` says."""
    if moderates is None:
        return AnonymousUser()
    return User(pk=key, role=Role.MODERATOR if moderates else Role.READER)


def pages_visible_to(user: Person) -> QuerySet[Page]:
    """Those that are not hidden, nor what they hang on; one's own; all for moderators."""
    return Page.objects.filter(_visible(user, ""))


def revisions_visible_to(user: Person) -> QuerySet[Revision]:
    """Those of visible pages, without withheld ones except for moderators; `withheld_revisions` says which are not."""
    shown = Q() if is_moderator(user) else Q(withheld=None)
    return Revision.objects.filter(_visible(user, "page__") & shown)


def links_visible_to(user: Person) -> QuerySet[Link]:
    """By the page that has the link; whether its target can be seen is asked when it is resolved."""
    return Link.objects.filter(_visible(user, "source__"))


def drafts_visible_to(user: Person) -> QuerySet[Draft]:
    """Nobody's but one's own, moderators included."""
    return Draft.objects.filter(owner=user) if isinstance(user, User) else Draft.objects.none()


def audit_entries_visible_to(user: Person) -> QuerySet[AuditEntry]:
    """What was done to visible pages; to people, and with reports, for moderators alone."""
    of_all = Q() if is_moderator(user) else Q(person=None) & ~Q(action__in=_OF_REPORTS)
    return AuditEntry.objects.filter(_visible(user, "page__") & of_all)


def _visible(user: Person, path: str) -> Q:
    """Visible are a page and all that it hangs on; what is not there hides nothing."""
    if is_moderator(user):
        return Q()
    condition = Q()
    for depth in range(MAX_DEPTH + 1):
        page = path + "parent__" * depth
        shown = ~Q(**{f"{page}visibility": Visibility.HIDDEN})
        condition &= shown | Q(**{f"{page}author": user}) if isinstance(user, User) else shown
    return condition


def may_read(user: Person, page: Page) -> bool:
    return all(
        is_moderator(user) or each.visibility != Visibility.HIDDEN or each.author_id == user.pk
        for each in _with_ancestors(page)
    )


def may_edit(user: Person, page: Page) -> bool:
    """Summaries and articles are everybody's who writes, within their protection; notes and talk are their author's.

    Nobody edits what is retracted, and only moderators what is hidden.
    """
    if not may_write(user) or any(each.visibility == Visibility.RETRACTED for each in _with_ancestors(page)):
        return False
    if is_moderator(user):
        return True
    if any(each.visibility == Visibility.HIDDEN for each in _with_ancestors(page)):
        return False
    if page.kind in {Kind.NOTE, Kind.TALK} and page.author_id != user.pk:
        return False
    return page.protection == Protection.WRITERS or (page.protection == Protection.REVIEWERS and is_reviewer(user))


def may_reply(user: Person, page: Page) -> bool:
    """Under what is published, and within what is."""
    return may_write(user) and all(each.visibility == Visibility.PUBLISHED for each in _with_ancestors(page))


def may_retract(user: Person, page: Page) -> bool:
    """Its author, of what is signed by one: what everybody edits is nobody's to take back."""
    own = page.kind in {Kind.NOTE, Kind.TALK} and page.author_id == user.pk
    return may_write(user) and page.visibility != Visibility.HIDDEN and (own or is_moderator(user))


def may_hide(user: Person, page: Page) -> bool:
    return may_moderate(user)


def may_protect(user: Person, page: Page) -> bool:
    return may_moderate(user)


def require(allowed: bool, doing: str, *, user: Person, page: Page | None = None) -> None:
    """403 with a sentence for who may not."""
    if not allowed and isinstance(user, User) and user.is_blocked:
        raise PermissionDenied(f"{doing}: {said_to_blocked(user)}")
    if not allowed:
        name = user.get_username() or "somebody who is not signed in"
        if isinstance(user, User) and not has_role(user, Role.RESEARCHER):
            role = Role(user.role).label
            raise PermissionDenied(
                f"{doing}: expected a researcher of this site, got {name}, who is a {role}. Moderators give roles."
            )
        raise PermissionDenied(f"{doing}: expected {_who_may(page)}, got {name}.")


def _who_may(page: Page | None) -> str:
    """Of a page that moderators protect whom they let edit it; else no more than that it is somebody else."""
    if page is None or page.protection == Protection.WRITERS:
        return "somebody who may"
    return (
        "a reviewer or moderator, for it is protected"
        if page.protection == Protection.REVIEWERS
        else ("a moderator, for it is protected")
    )


def said_to_blocked(user: User) -> str:
    """Until when somebody may not write, and why."""
    assert user.blocked_until is not None
    until = user.blocked_until.astimezone(datetime.UTC)
    return (
        f"{user.get_username()} is blocked until {until.day} {until:%B %Y, %H:%M} UTC and reads until then. "
        f"The reason: {user.blocked_because}"
    )


def _with_ancestors(page: Page) -> list[Page]:
    pages, each = [page], page.parent
    while each is not None:
        pages.append(each)
        each = each.parent
    return pages
