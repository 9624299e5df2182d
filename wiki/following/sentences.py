"""What happened, in one line."""

from __future__ import annotations

from wiki.texts.addresses import name_of
from wiki.texts.events import what_was_done
from wiki.texts.models import Kind, Page, Revision

from .models import Notification, Reason


def names_its_author(page: Page) -> bool:
    """Whether a page's name says who wrote it: those of notes and replies do."""
    return page.kind == Kind.NOTE or (page.parent is not None and page.parent.kind == Kind.TALK)


def what_happened(revision: Revision, page: Page) -> str:
    author, name = revision.author.get_username(), name_of(page)
    if revision.n > 1:
        return f"{author} edited {name}"
    return f"new {name}" if names_its_author(page) else f"{author} wrote {name}"


def line_of(notification: Notification) -> str:
    revision, entry = notification.revision, notification.entry
    if entry is not None and notification.reason == Reason.ANSWER:
        # not which text it is, which may be hidden from its reporter by now
        return f"{entry.actor.get_username()} answers your {entry.before}"
    name = name_of(notification.page)
    if entry is not None:
        return what_was_done(entry, name)
    assert revision is not None
    author = revision.author.get_username()
    match notification.reason:
        case Reason.MENTION:
            return f"{author} mentions you in {name}"
        case Reason.REPLY:
            return f"{author} answers you: {name}"
        case Reason.NAMING:
            return f"{author} names {notification.target}, which you watch, in {name}"
    return what_happened(revision, notification.page)
