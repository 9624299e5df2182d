"""Who wants to hear of what."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from wiki.accounts.models import User

from .models import Watch
from .targets import Target


def watch(user: User, target: Target) -> Watch:
    return Watch.objects.get_or_create(user=user, target=target.text)[0]


def unwatch(user: User, target: Target) -> bool:
    """False where it was not watched."""
    return bool(Watch.objects.filter(user=user, target=target.text).delete()[0])


def watchers_of(targets: Iterable[str]) -> QuerySet[User]:
    """Who watches any of these targets (`targets_of` has a page's)."""
    return User.objects.filter(is_active=True, watches__target__in=list(targets)).distinct()
