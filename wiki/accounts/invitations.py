"""Asking people in: by a link that works once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone

from .models import Invitation, Role, User
from .roles import give_role

DAYS_OPEN = 14
# Whom a moderator may ask in; higher roles are given to people who are here.
ROLES = (Role.READER, Role.RESEARCHER)


class InvitationError(Exception):
    """The invitation leads nowhere; the message is one sentence."""


def invite(invited_by: User, *, email: str, role: Role) -> tuple[Invitation, str]:
    """A new invitation, and its token, which is not kept. An empty address: for whoever has the link."""
    if role not in ROLES:
        raise InvitationError(f"Inviting: expected reader or researcher, got {role.label}.")
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        token_sha256=hash_of(token),
        invited_by=invited_by,
        email=email.lower(),
        role=role,
        expires_at=timezone.now() + timedelta(days=DAYS_OPEN),
    )
    return invitation, token


def send_invitation(invitation: Invitation, link: str) -> None:
    """Send the link to the address of the invitation."""
    text = render_to_string("accounts/email/invitation.txt", {"invitation": invitation, "link": link})
    send_mail(f"[Loupe] {invitation.invited_by} invites you", text, from_email=None, recipient_list=[invitation.email])


def hash_of(token: str) -> str:
    """What is kept of a token: its sha256."""
    return hashlib.sha256(token.encode()).hexdigest()


def get_open_invitation(token_sha256: str) -> Invitation:
    """The invitation with this hash; unknown, used or expired ones are an InvitationError."""
    found = Invitation.objects.filter(token_sha256=token_sha256).first()
    if found is None:
        raise InvitationError("This is the link of no invitation; ask whoever sent it to look whether it is whole.")
    if found.state == "used":
        raise InvitationError("Somebody has signed up by this invitation already; ask for another.")
    if found.state == "expired":
        raise InvitationError(f"This invitation expired on {found.expires_at:%-d %B %Y}; ask for another.")
    return found


def use_invitation(token_sha256: str, person: User) -> None:
    """Give the person, who has just signed up, the role of the invitation, which is used from now on.

    Of two people who sign up by it at once, one gets InvitationError.
    """
    invitation = get_open_invitation(token_sha256)
    still_open = Invitation.objects.filter(pk=invitation.pk, used_at=None)
    if not still_open.update(used_by=person, used_at=timezone.now()):
        raise InvitationError("Somebody has signed up by this invitation already; ask for another.")
    give_role(person, Role(invitation.role))
