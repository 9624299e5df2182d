"""What was not read, by e-mail, to who asked for it: each once, however many send at once."""

from __future__ import annotations

import datetime
import logging
import smtplib
from urllib.parse import urljoin

from django.core import signing
from django.core.mail import EmailMessage
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from wiki.accounts.models import User

from .access import notifications_visible_to
from .models import Digest, Notification, Preferences
from .sentences import line_of

logger = logging.getLogger(__name__)

PERIODS = {Digest.DAILY: datetime.timedelta(days=1), Digest.WEEKLY: datetime.timedelta(days=7)}
MAX_SHOWN = 50
MAX_SENT = 20  # in one run: whoever runs it has other things to do, and runs it again soon
_SALT = "wiki.following.unsubscribe"


def send_digests() -> int:
    """Send the digests that are due; return how many were sent."""
    return sum(send_digest(preferences) for preferences in due_digests())


def due_digests() -> list[Preferences]:
    """Some of those whose time has come, with something that was neither read nor sent, and a verified address to send
    it to. In no order: whose address is always refused keeps nobody else waiting."""
    now = timezone.now()
    is_due = Q()
    for digest, period in PERIODS.items():
        is_due |= Q(digest=digest) & (Q(digest_sent_at=None) | Q(digest_sent_at__lte=now - period))
    waiting = Notification.objects.filter(receiver=OuterRef("pk"), read_at=None, mailed_at=None)
    verified = Q(user__emailaddress__verified=True, user__emailaddress__primary=True)
    found = Preferences.objects.filter(Exists(waiting), is_due, verified, user__is_active=True).exclude(site="")
    return list(found.select_related("user").order_by("?")[:MAX_SENT])


def send_digest(preferences: Preferences) -> bool:
    """Send one person's digest, unless another process does it now or there is nothing that they may see."""
    user, before, now = preferences.user, preferences.digest_sent_at, timezone.now()
    unread = Notification.objects.filter(receiver=user, read_at=None, mailed_at=None)
    newest = unread.aggregate(newest=Max("pk"))["newest"] or 0
    shown = list(with_names(notifications_visible_to(user).filter(pk__in=unread.values("pk")))[: MAX_SHOWN + 1])
    if not shown:
        # all of it is hidden by now: nobody waits for it
        unread.filter(pk__lte=newest).update(mailed_at=now)
        return False
    row = Preferences.objects.filter(pk=preferences.pk)
    # whoever changes it from what was read sends it: of two processes one
    if not row.filter(digest=preferences.digest, digest_sent_at=before).update(digest_sent_at=now):
        return False
    try:
        message_of(preferences, shown).send()
    except (OSError, smtplib.SMTPException) as error:
        logger.error("Sending a digest to %s: %s; trying again later.", user, error)
        row.filter(digest_sent_at=now).update(digest_sent_at=before)
        return False
    # what came in meanwhile is in the next one
    unread.filter(pk__lte=max(each.pk for each in shown)).update(mailed_at=now)
    return True


def with_names(notifications: QuerySet[Notification]) -> QuerySet[Notification]:
    """Notifications with all that their lines show, in one query."""
    return notifications.select_related(
        "revision__author", "entry__actor", "page__author", "page__parent__author", "page__parent__parent__author"
    ).defer("revision__text")


def message_of(preferences: Preferences, notifications: list[Notification]) -> EmailMessage:
    """The digest, which mail programs can unsubscribe from with one click (RFC 8058)."""
    user = preferences.user
    unsubscribe = urljoin(preferences.site, reverse("unsubscribe", args=[token_of(user)]))
    lines = [
        (line_of(each), urljoin(preferences.site, reverse("notification", args=[each.pk])))
        for each in notifications[:MAX_SHOWN]
    ]
    context = {
        "person": user,
        "lines": lines,
        "has_more": len(notifications) > MAX_SHOWN,
        "all_url": urljoin(preferences.site, reverse("notifications")),
        "settings_url": urljoin(preferences.site, reverse("notification-settings")),
        "unsubscribe_url": unsubscribe,
    }
    n = len(lines)
    return EmailMessage(
        subject=f"[Loupe] {'more than ' if context['has_more'] else ''}{n} new notification{'s' if n != 1 else ''}",
        body=render_to_string("following/email/digest.txt", context),
        to=[user.email],
        headers={"List-Unsubscribe": f"<{unsubscribe}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )


def token_of(user: User) -> str:
    """What stops the digests of one person, without signing in; it does not expire."""
    return signing.dumps(user.pk, salt=_SALT)


def stop_digests(token: str) -> User | None:
    """Send no more digests to whom the token is of; None where it is nobody's."""
    user = user_of(token)
    if user is not None:
        Preferences.objects.filter(user=user).update(digest=Digest.OFF)
    return user


def user_of(token: str) -> User | None:
    try:
        return User.objects.filter(pk=signing.loads(token, salt=_SALT)).first()
    except signing.BadSignature:
        return None
