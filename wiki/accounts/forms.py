"""Forms of accounts, invitations and groups."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import SignupForm
from allauth.core import context
from allauth.socialaccount.forms import SignupForm as SocialSignupForm
from django import forms
from django.core.validators import RegexValidator

from .access_keys import LENGTHS
from .adapter import invitation_of
from .invitations import ROLES

# Names stand in addresses and after @ in texts.
username_validators = [
    RegexValidator(
        r"\A[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\Z",
        "Choosing a name: expected letters, digits, - and _ between them, got others.",
    )
]


class _ByInvitation:
    """Holds an account that is made by an invitation to the address that was invited."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Name"  # type: ignore[attr-defined]
        self.fields["username"].help_text = "Others see it; letters, digits, - and _."  # type: ignore[attr-defined]
        self.fields["email"].help_text = "Others do not see it."  # type: ignore[attr-defined]

    def clean_email(self) -> str:
        email = super().clean_email()  # type: ignore[misc]
        invitation = invitation_of(context.request)
        if invitation and invitation.email and invitation.email != email.lower():
            raise forms.ValidationError(
                f"Signing up by invitation: expected the invited address, {invitation.email}, got {email}."
            )
        return str(email)


class SignUpForm(_ByInvitation, SignupForm):
    pass


class SocialSignUpForm(_ByInvitation, SocialSignupForm):
    pass


class InvitationForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        required=False,
        help_text="The link is sent there, and the account gets it. Left empty, whoever has the link signs up.",
    )
    role = forms.TypedChoiceField(
        coerce=int, choices=[(role.value, role.label) for role in ROLES], initial=ROLES[-1].value
    )


class GroupForm(forms.Form):
    name = forms.CharField(max_length=100)
    lead = forms.CharField(max_length=150, help_text="The name of an account here.")


class AccessKeyForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What it is for, as “notebook on my laptop”.")
    days = forms.TypedChoiceField(label="Open for", coerce=int, choices=list(LENGTHS.items()), initial=90)


class SettingsForm(forms.Form):
    shown_name = forms.CharField(
        label="Name as shown",
        max_length=100,
        required=False,
        help_text="Beside your username on your profile; may be empty.",
    )
