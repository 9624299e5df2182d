"""What headers and buttons ask of the database: one query each, for who is signed in alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.db.models import QuerySet
from django.urls import reverse

from wiki.accounts.models import User
from wiki.lib.prepared import objects, rows
from wiki.texts.access import person_of, sight_of
from wiki.texts.addresses import address_of, name_of
from wiki.texts.models import Page, Revision, Watch
from wiki.texts.targets import normalise

from ..access import notifications_visible_to
from ..models import Notification
from ..recent import Filters, recent_revisions
from ..sentences import names_its_author
from ..visits import last_visit

register = template.Library()

MAX_COUNTED = 99
MAX_PAGES = 10  # of what changed since somebody was here
MAX_REVISIONS = 100


@register.simple_tag(takes_context=True)
def count_unread(context: Any) -> str:
    """How many notifications somebody has not read, as the header shows it; empty: none."""
    user = getattr(context.get("request"), "user", None)
    if not isinstance(user, User):
        return ""
    n = len(rows(_unread, *sight_of(user)))
    return "" if not n else str(n) if n <= MAX_COUNTED else f"{MAX_COUNTED}+"


def _unread(moderates: bool | None, key: int) -> QuerySet[Notification, tuple[int]]:
    unread = notifications_visible_to(person_of(moderates, key)).filter(read_at=None)
    return unread.order_by().values_list("pk")[: MAX_COUNTED + 1]


@register.simple_tag(takes_context=True)
def is_watched(context: Any, target: str) -> bool:
    user = getattr(context.get("request"), "user", None)
    normalised = normalise(str(target))
    return (
        isinstance(user, User)
        and normalised is not None
        and Watch.objects.filter(user=user, target=normalised.text).exists()
    )


def _of_others(since: datetime, moderates: bool | None, key: int) -> QuerySet[Revision]:
    user = person_of(moderates, key)
    return recent_revisions(Filters(since=since), user=user).exclude(author=user.pk)[:MAX_REVISIONS]


@register.simple_tag(takes_context=True)
def changes_since_last_visit(context: Any) -> dict[str, Any] | None:
    """What others changed since the visit before this one, each page once, with who did; None on the first visit."""
    user = getattr(context.get("request"), "user", None)
    at = last_visit(user) if isinstance(user, User) else None
    if not isinstance(user, User) or at is None:
        return None
    revisions = objects(_of_others, at, *sight_of(user))
    authors: dict[Page, dict[str, None]] = {}
    for revision in revisions:
        authors.setdefault(revision.page, {})[revision.author.get_username()] = None
    pages = [
        (
            {"name": name_of(page), "url": address_of(page)},
            "" if names_its_author(page) and page.author.get_username() in names else ", ".join(names),
        )
        for page, names in list(authors.items())[:MAX_PAGES]
    ]
    query = urlencode({"since": at.replace(microsecond=0, tzinfo=None).isoformat()})
    return {"at": at, "pages": pages, "has_more": len(authors) > MAX_PAGES, "url": f"{reverse('recent')}?{query}"}
