"""Giving roles: the one place that changes them, and Django's own flags with them."""

from __future__ import annotations

from django.db import transaction
from django.dispatch import Signal

from .models import Role, User

# Somebody gave a person another role: `person`, `by`, and the roles `before` and `after`; within the transaction.
role_given = Signal()


def give_role(person: User, role: Role, *, by: User | None = None) -> None:
    """Make it the person's role; is_staff and is_superuser are an admin's. `by` is None where a command gives it."""
    with transaction.atomic():
        before = Role(User.objects.select_for_update().values_list("role", flat=True).get(pk=person.pk))
        person.role = role
        person.is_staff = person.is_superuser = role == Role.ADMIN
        person.save(update_fields=["role", "is_staff", "is_superuser"])
        if by is not None and before != role:
            role_given.send(sender=User, person=person, by=by, before=before, after=role)
