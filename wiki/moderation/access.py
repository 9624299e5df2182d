"""Who may read and do what with reports, and block whom."""

from __future__ import annotations

from django.db.models import QuerySet

from wiki.accounts.access import has_role, is_blocked
from wiki.accounts.models import Role, User
from wiki.texts.access import Person, is_moderator, may_moderate, may_read
from wiki.texts.models import Page

from .models import Report


def reports_visible_to(user: Person) -> QuerySet[Report]:
    """One's own; all for moderators."""
    if is_moderator(user):
        return Report.objects.all()
    return Report.objects.filter(reporter=user) if isinstance(user, User) else Report.objects.none()


def may_report(user: Person, page: Page) -> bool:
    """Everybody who is signed in, of what they see."""
    return has_role(user, Role.READER) and not is_blocked(user) and may_read(user, page)


def may_block(user: Person, person: User) -> bool:
    """Moderators those below them, admins everybody but themselves."""
    if not may_moderate(user) or not isinstance(user, User) or user.pk == person.pk:
        return False
    return has_role(user, Role.ADMIN) or person.role < Role.MODERATOR
