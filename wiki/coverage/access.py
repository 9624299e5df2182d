"""Who may see and say what somebody works on."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Now

from wiki.texts.access import Person, may_write

from .models import Work


def works_visible_to(user: Person) -> QuerySet[Work]:
    """What is being worked on now, for everybody, by people whose account is open."""
    return Work.objects.filter(until__gt=Now(), user__is_active=True).select_related("user")


def may_work(user: Person) -> bool:
    """Who may write about it."""
    return may_write(user)
