"""How somebody wants to be told."""

from __future__ import annotations

from django import forms

from .models import Digest


class PreferencesForm(forms.Form):
    watches_own = forms.BooleanField(
        label="Watch what I write", required=False, help_text="You are told when others change or answer it."
    )
    digest = forms.ChoiceField(
        label="Send what I have not read by e-mail",
        choices=Digest.choices,
        help_text="To your primary address, once it is verified.",
    )
