"""Reporting texts, and answering reports."""

from __future__ import annotations

import math
from datetime import timedelta

from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from wiki.accounts.models import User
from wiki.texts.access import may_moderate, require
from wiki.texts.errors import TextError, TooManyWrites
from wiki.texts.models import AuditEntry, Page
from wiki.texts.signals import report_answered

from .access import may_report
from .models import Report

# Of one person, whatever the age of the account.
REPORTS_AN_HOUR = 10
MAX_CHARACTERS = 4_000
_HOUR = timedelta(hours=1)


def report_text(page: Page, reporter: User, *, reason: str) -> Report:
    """A new report; the one that this person made of this page before where nobody has resolved it yet."""
    reason = _clean(reason, "Reporting a text")
    with transaction.atomic():
        # of two that one person sends at once the second waits here
        reporter = User.objects.select_for_update(no_key=True).get(pk=reporter.pk)
        page = Page.objects.select_related("parent__parent").get(pk=page.pk)
        require(may_report(reporter, page), f"Reporting {page}", user=reporter)
        earlier = Report.objects.filter(page=page, reporter=reporter).exclude(state=Report.State.RESOLVED).first()
        if earlier is not None:
            return earlier
        now = timezone.now()
        recent = Report.objects.filter(reporter=reporter, created_at__gt=now - _HOUR).order_by("-created_at")
        made = list(recent.values_list("created_at", flat=True)[:REPORTS_AN_HOUR])
        if len(made) == REPORTS_AN_HOUR:
            seconds = max(1, math.ceil((made[-1] + _HOUR - now).total_seconds()))
            raise TooManyWrites(
                f"Reporting a text: expected at most {REPORTS_AN_HOUR} reports an hour by one person, got one more; "
                f"report it again in {math.ceil(seconds / 60)} min.",
                seconds=seconds,
            )
        report = Report.objects.create(page=page, n=page.version, reporter=reporter, reason=reason)
        AuditEntry.objects.create(actor=reporter, page=page, action=AuditEntry.Action.REPORT, reason=reason)
    return report


def take_report(report: Report, moderator: User) -> Report:
    """Say that one looks at it; refused where another moderator does."""
    with transaction.atomic():
        report = _locked(report, moderator, "Taking")
        if report.state == Report.State.TAKEN and report.moderator != moderator:
            raise TextError(f"Taking {report}: expected one that nobody has taken, got one of {report.moderator}'s.")
        if report.state == Report.State.OPEN:
            report.state, report.moderator = Report.State.TAKEN, moderator
            report.save(update_fields=["state", "moderator"])
            AuditEntry.objects.create(
                actor=moderator, page=report.page, action=AuditEntry.Action.TAKE, before=str(report)
            )
    return report


def resolve_report(report: Report, moderator: User, outcome: Report.Outcome, *, answer: str) -> Report:
    """Say what came of it, and tell the reporter. Whoever resolves it first does."""
    with transaction.atomic():
        report = _locked(report, moderator, "Resolving")
        answer = _clean(answer, "Resolving a report")
        report.state, report.moderator, report.resolved_at = Report.State.RESOLVED, moderator, timezone.now()
        report.outcome, report.answer = outcome, answer
        report.save(update_fields=["state", "moderator", "resolved_at", "outcome", "answer"])
        entry = AuditEntry.objects.create(
            actor=moderator,
            page=report.page,
            action=AuditEntry.Action.RESOLVE,
            before=str(report),
            after=outcome,
            reason=answer,
        )
        report_answered.send(sender=Report, entry=entry, reporter=report.reporter, address=report.get_absolute_url())
        transaction.on_commit(lambda: _tell(report), robust=True)
    return report


def _locked(report: Report, moderator: User, doing: str) -> Report:
    require(may_moderate(moderator), f"{doing} {report}", user=moderator)
    report = Report.objects.select_for_update(of=("self",), no_key=True).get(pk=report.pk)
    if report.state == Report.State.RESOLVED:
        raise TextError(
            f"{doing} {report}: expected one that is not resolved, got one that {report.moderator} resolved."
        )
    return report


def _tell(report: Report) -> None:
    """By e-mail, where the reporter has an address; the report's page says it too, and a notification leads there."""
    if report.reporter.email:
        text = render_to_string("moderation/email/resolved.txt", {"report": report})
        send_mail("[Loupe] What came of your report", text, from_email=None, recipient_list=[report.reporter.email])


def _clean(words: str, doing: str) -> str:
    words = words.strip().replace("\0", "")
    if not words or len(words) > MAX_CHARACTERS:
        raise TextError(f"{doing}: expected 1 to {MAX_CHARACTERS:,} characters that say why, got {len(words):,}.")
    return words
