"""Keeping a person from writing for a time. They read, stay signed in, and are told until when and why."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from wiki.accounts.models import User
from wiki.texts.access import require
from wiki.texts.errors import TextError
from wiki.texts.models import AuditEntry

from .access import may_block
from .recording import record


def block(person: User, actor: User, *, until: datetime, reason: str) -> User:
    """What the person is saving at this moment is saved before, or refused."""
    require(may_block(actor, person), f"Blocking {person}", user=actor)
    if not reason.strip():
        raise TextError("Blocking a person: expected a reason, which the person is told, got none.")
    if until <= timezone.now():
        raise TextError(f"Blocking a person: expected a time to come, got {until:%Y-%m-%d %H:%M}.")
    with transaction.atomic():
        person = _locked(person)
        record(person, actor, AuditEntry.Action.BLOCK, before=_until(person), after=_said(until), reason=reason.strip())
        person.blocked_until, person.blocked_because = until, reason.strip()
        person.save(update_fields=["blocked_until", "blocked_because"])
    return person


def unblock(person: User, actor: User, *, reason: str) -> User:
    """Let a person write again."""
    require(may_block(actor, person), f"Unblocking {person}", user=actor)
    if not reason.strip():
        raise TextError("Unblocking a person: expected a reason, got none.")
    with transaction.atomic():
        person = _locked(person)
        if person.is_blocked:
            record(person, actor, AuditEntry.Action.UNBLOCK, before=_until(person), after="", reason=reason.strip())
            person.blocked_until, person.blocked_because = None, ""
            person.save(update_fields=["blocked_until", "blocked_because"])
    return person


def _locked(person: User) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=person.pk)


def _until(person: User) -> str:
    return _said(person.blocked_until) if person.is_blocked and person.blocked_until else ""


def _said(time: datetime) -> str:
    return f"until {time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
