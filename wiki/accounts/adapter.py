"""Where django-allauth asks this site how it wants things."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .demo import may_sign_in
from .invitations import InvitationError, get_open_invitation, use_invitation
from .models import Invitation, User

SESSION_KEY = "invitation"


def invitation_of(request: HttpRequest) -> Invitation | None:
    """The open invitation by which somebody is signing up in this browser."""
    try:
        return get_open_invitation(request.session.get(SESSION_KEY, ""))
    except InvitationError:
        return None


def refuse_invitation(request: HttpRequest, error: InvitationError) -> HttpResponse:
    """A page with the sentence that says why an invitation leads nowhere."""
    return render(request, "accounts/invitation_refused.html", {"sentence": str(error)}, status=410)


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.SIGN_UP == "open" or invitation_of(request) is not None

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """The new account, with the role of the invitation by which it was made."""
        token_sha256 = request.session.get(SESSION_KEY)
        try:
            with transaction.atomic():
                user = super().save_user(request, user, form, commit=commit)
                if token_sha256:
                    use_invitation(token_sha256, user)
        except InvitationError as error:
            raise ImmediateHttpResponse(refuse_invitation(request, error)) from error
        request.session.pop(SESSION_KEY, None)
        return user

    def pre_login(self, request: HttpRequest, user: User, **given: Any) -> HttpResponse | None:
        """Refuse demo accounts where they may not be."""
        response = super().pre_login(request, user, **given)
        if response is None and not may_sign_in(user, request):
            sentence = "Demo accounts sign in from the machine that the site runs on, where LOUPE_DEMO=1."
            return render(request, "403.html", {"sentence": sentence}, status=403)
        return response

    def get_login_stages(self) -> list[str]:
        theirs = f"{EmailVerificationStage.__module__}.{EmailVerificationStage.__qualname__}"
        ours = f"{AddressVerificationStage.__module__}.{AddressVerificationStage.__qualname__}"
        return [ours if stage == theirs else stage for stage in super().get_login_stages()]

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """Never the one by which the person is reached."""
        return not email_address.primary


class AddressVerificationStage(EmailVerificationStage):
    """Who signs up has an address, which has to be verified; who was made by a command may have none."""

    def handle(self) -> tuple[HttpResponse | None, bool]:
        if self.login.user and not self.login.user.email:
            return None, True
        return super().handle()
