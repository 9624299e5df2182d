"""Who may see which notifications."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from wiki.accounts.models import User
from wiki.texts.access import Person, audit_entries_visible_to, revisions_visible_to

from .models import Notification, Reason


def notifications_visible_to(user: Person) -> QuerySet[Notification]:
    """One's own, of what one may see now: what was hidden since is not told of. An answer is its reporter's whatever
    became of the text, of which it says nothing."""
    if not isinstance(user, User):
        return Notification.objects.none()
    written = revisions_visible_to(user).filter(pk=OuterRef("revision"))
    done = audit_entries_visible_to(user).filter(pk=OuterRef("entry"))
    return Notification.objects.filter(Exists(written) | Exists(done) | Q(reason=Reason.ANSWER), receiver=user)
