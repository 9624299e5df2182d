"""Who may do what on pages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from wiki.accounts.access import has_role
from wiki.accounts.models import Role, User


def may_add_models(user: User | AnonymousUser) -> bool:
    """Operators, who are admins: they have the measuring workers fetch what they name."""
    return has_role(user, Role.ADMIN)


def require_operator(user: User | AnonymousUser) -> None:
    """403 with a sentence for everybody but operators."""
    if not may_add_models(user):
        name = user.get_username() or "somebody who is not signed in"
        raise PermissionDenied(f"Adding a model: expected an operator of this site, got {name}.")


def page_of_operators(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send who is not signed in to sign in and back; 403 with a sentence for everybody else who is no operator."""

    @functools.wraps(view)
    def guarded_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        require_operator(request.user)
        return view(request, *args, **kwargs)

    return guarded_view
