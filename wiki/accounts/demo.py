"""Accounts to try a site out with: on loopback alone, with passwords that `make run` prints."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from .models import Role, User
from .roles import give_role

ACCOUNTS = {
    "alice": Role.RESEARCHER,
    "bob": Role.REVIEWER,
    "charlie": Role.READER,
    "moderator": Role.MODERATOR,
    "admin": Role.ADMIN,
}


def password_of(username: str) -> str:
    """The password of a demo account: the same at every start, another on every installation."""
    key = settings.SECRET_KEY.encode()
    return hmac.digest(key, f"demo account {username}".encode(), hashlib.sha256).hex()[:12]


@transaction.atomic
def prepare_demo_accounts() -> list[User]:
    """The demo accounts, made where they are missing; never one of a person who has that name already."""
    people = []
    for username, role in ACCOUNTS.items():
        person = User.objects.filter(username__iexact=username).first()
        if person is None:
            person = User.objects.create_user(username, is_demo=True)
        if not person.is_demo:
            continue
        if person.role != role:
            give_role(person, role)
        if not person.check_password(password_of(username)):
            person.set_password(password_of(username))
            person.save(update_fields=["password"])
        people.append(person)
    return people


def may_sign_in(person: User, request: HttpRequest) -> bool:
    """Whether it is nobody's demo account, or one on a site that has them, from its own machine."""
    return not person.is_demo or (settings.DEMO and _is_loopback(str(request.META.get("REMOTE_ADDR", ""))))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
