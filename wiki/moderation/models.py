"""What readers tell moderators of texts. Rows are changed by the services beside this module alone."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from wiki.texts.models import Page


class Report(models.Model):
    """That somebody wants a moderator to look at a text, and what came of it."""

    class State(models.TextChoices):
        OPEN = "open"
        TAKEN = "taken"  # a moderator is looking at it
        RESOLVED = "resolved"

    class Outcome(models.TextChoices):
        HIDDEN = "hidden", "the text was hidden"
        CHANGED = "changed", "the text was changed"
        OTHER = "other", "something else was done"
        NOTHING = "nothing", "nothing had to be done"

    page = models.ForeignKey(Page, on_delete=models.PROTECT, related_name="reports")
    n = models.PositiveIntegerField()  # the revision that was the newest when it was reported
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reports")
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    # who looks at it, or resolved it; NULL: open
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True, default="")  # empty: not resolved
    answer = models.TextField(blank=True, default="")  # what the reporter is told beside the outcome
    resolved_at = models.DateTimeField(null=True)  # NULL: not resolved

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["page", "reporter"], condition=~Q(state="resolved"), name="one_open_report_a_text_and_person"
            ),
            models.CheckConstraint(condition=Q(state="open") ^ Q(moderator__isnull=False), name="taken_by_somebody"),
            models.CheckConstraint(condition=Q(state="resolved") ^ Q(resolved_at=None), name="resolved_at_some_time"),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="reports_in_a_state"),
            models.Index(fields=["reporter", "-created_at"], name="reports_of_a_person"),
        ]

    def __str__(self) -> str:
        return f"report {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("report", args=[self.pk])
