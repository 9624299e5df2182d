"""The audit log of what is done to people."""

from __future__ import annotations

from typing import Any

from wiki.accounts.models import Role, User
from wiki.texts.models import AuditEntry


def record(person: User, actor: User, action: AuditEntry.Action, *, before: str, after: str, reason: str) -> None:
    AuditEntry.objects.create(actor=actor, person=person, action=action, before=before, after=after, reason=reason)


def record_role(*, person: User, by: User, before: Role, after: Role, **kwargs: Any) -> None:
    """Receives `role_given`."""
    record(person, by, AuditEntry.Action.ROLE, before=before.label, after=after.label, reason="")
