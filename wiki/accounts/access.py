"""Who may do what with accounts, invitations and groups."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from .models import ResearchGroup, Role, User

Visitor = User | AnonymousUser


def has_role(visitor: Visitor, role: Role) -> bool:
    """Whether whoever asks has an account that may all that this role may."""
    return isinstance(visitor, User) and visitor.has_role(role)


def require_role(visitor: Visitor, role: Role, *, doing: str) -> None:
    """403 with a sentence for who may less than this role."""
    if not has_role(visitor, role):
        name = visitor.get_username() or "somebody who is not signed in"
        article = "an" if role.label[0] in "aeiou" else "a"
        raise PermissionDenied(f"{doing}: expected {article} {role.label} of this site, got {name}.")


def is_blocked(visitor: Visitor) -> bool:
    """Whether somebody reads and changes nothing for a time."""
    return isinstance(visitor, User) and visitor.is_blocked


def require_unblocked(visitor: Visitor, *, doing: str) -> None:
    """403 with a sentence for who is blocked, whatever their role."""
    if is_blocked(visitor):
        raise PermissionDenied(f"{doing}: expected somebody who is not blocked, got {visitor.get_username()}.")


def people_visible_to(visitor: Visitor) -> QuerySet[User]:
    """Everybody whose account is open; moderators see closed ones too."""
    return User.objects.all() if has_role(visitor, Role.MODERATOR) else User.objects.filter(is_active=True)


def may_change_members(visitor: Visitor, group: ResearchGroup) -> bool:
    """The lead and moderators, unless they are blocked."""
    may = has_role(visitor, Role.MODERATOR) or (has_role(visitor, Role.READER) and visitor.pk == group.lead_id)
    return may and not is_blocked(visitor)


def require_lead(visitor: Visitor, group: ResearchGroup) -> None:
    """403 with a sentence for everybody but the lead and moderators."""
    if not may_change_members(visitor, group):
        name = visitor.get_username() or "somebody who is not signed in"
        raise PermissionDenied(f"Changing who is in {group}: expected its lead, {group.lead}, got {name}.")


def roles_to_give(visitor: Visitor, person: User) -> list[Role]:
    """The roles that somebody may give a person: an admin any, a moderator those below their own to those below
    them; nobody to themselves, so one admin always remains."""
    if not isinstance(visitor, User) or visitor.pk == person.pk or visitor.is_blocked:
        return []
    if has_role(visitor, Role.ADMIN):
        return list(Role)
    if has_role(visitor, Role.MODERATOR) and person.role < Role.MODERATOR:
        return [role for role in Role if role < Role.MODERATOR]
    return []
