"""Giving roles: the one place that changes them, and Django's own flags with them."""

from __future__ import annotations

from .models import Role, User


def give_role(person: User, role: Role) -> None:
    """Make it the person's role; is_staff and is_superuser are an admin's."""
    person.role = role
    person.is_staff = person.is_superuser = role == Role.ADMIN
    person.save(update_fields=["role", "is_staff", "is_superuser"])
