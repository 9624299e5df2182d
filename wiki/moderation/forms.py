from __future__ import annotations

from django import forms

from wiki.texts.models import AuditEntry, Protection

from .models import Report

DURATIONS = {"1": "a day", "3": "three days", "7": "a week", "30": "30 days", "365": "a year", "36500": "for good"}


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Why", widget=forms.Textarea(attrs={"rows": 4}), max_length=4_000)


class ModerateForm(forms.Form):
    """One of what a moderator does to a page, by the button that was pressed."""

    action = forms.ChoiceField(
        choices=[
            (action.value, action.label)
            for action in AuditEntry.Action
            if action.value in {"hide", "unhide", "protect", "withhold", "unwithhold"}
        ]
    )
    protection = forms.ChoiceField(choices=Protection.choices, required=False)
    n = forms.IntegerField(label="Revision", min_value=1, required=False)
    reason = forms.CharField(label="Why", max_length=4_000)


class BlockForm(forms.Form):
    days = forms.ChoiceField(label="For how long", choices=list(DURATIONS.items()), initial="7")
    reason = forms.CharField(
        label="Why", widget=forms.Textarea(attrs={"rows": 3}), max_length=4_000, help_text="The person is told."
    )


class ResolveForm(forms.Form):
    outcome = forms.ChoiceField(label="What came of it", choices=Report.Outcome.choices)
    answer = forms.CharField(label="To the reporter", widget=forms.Textarea(attrs={"rows": 3}), max_length=4_000)
