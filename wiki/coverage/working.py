"""Saying that one works on a part of a model, and that one does no more."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from wiki.accounts.access import require_role
from wiki.accounts.models import Role, User
from wiki.texts.access import require
from wiki.texts.errors import TextError
from wiki.texts.versions import bump

from .access import may_work
from .models import Work

DAYS = 7
MOST = 20  # parts that one person works on at once


def take_up(user: User, model_slug: str, component: str) -> Work:
    """Say that `user` works on a part for seven days from now; again, for seven more."""
    require_role(user, Role.RESEARCHER, doing=f"Working on {component}")
    now = timezone.now()
    with transaction.atomic():
        # of two of one person's the second waits, so that none is too many; and for who blocks that person
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        require(may_work(user), f"Working on {component}", user=user)
        others = Work.objects.filter(user=user, until__gt=now).exclude(model_slug=model_slug, component=component)
        if others.count() >= MOST:
            raise TextError(f"Working on {component}: expected at most {MOST} parts at once; give one up.")
        work, _ = Work.objects.update_or_create(
            user=user,
            model_slug=model_slug,
            component=component,
            defaults={"since": now, "until": now + timedelta(days=DAYS)},
        )
        bump([model_slug])
    return work


def give_up(user: User, model_slug: str, component: str) -> bool:
    """Say that `user` no longer works on a part; False where nothing said so."""
    with transaction.atomic():
        given_up = Work.objects.filter(user=user, model_slug=model_slug, component=component).delete()[0] > 0
        if given_up:
            bump([model_slug])
    return given_up
