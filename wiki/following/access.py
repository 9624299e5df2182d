"""Who may see which notifications."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from wiki.accounts.models import User
from wiki.texts.access import Person, revisions_visible_to

from .models import Notification


def notifications_visible_to(user: Person) -> QuerySet[Notification]:
    """One's own, of what one may see now: what was hidden since is not told of."""
    if not isinstance(user, User):
        return Notification.objects.none()
    shown = revisions_visible_to(user).filter(pk=OuterRef("revision"))
    return Notification.objects.filter(Exists(shown), receiver=user)
