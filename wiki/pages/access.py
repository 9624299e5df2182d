"""Who may do what on pages."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied

from wiki.accounts.models import User


def may_add_models(user: User | AnonymousUser) -> bool:
    """Operators: they have the measuring workers fetch what they name."""
    return user.is_staff


def require_operator(user: User | AnonymousUser) -> None:
    """403 with a sentence for everybody but operators."""
    if not may_add_models(user):
        name = user.get_username() or "somebody who is not signed in"
        raise PermissionDenied(f"Adding a model: expected an operator of this site, got {name}.")
