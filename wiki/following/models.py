"""What people are told of, how they want to be told, and when they were here."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from wiki.texts.models import AuditEntry, Page, Revision


class Reason(models.TextChoices):
    """Why somebody is told of a revision, of several the first; or of what was done to a page."""

    MENTION = "mention"  # it names them, which no earlier revision of the page did
    REPLY = "reply"  # it answers what they wrote
    EDIT = "edit"  # it changes, or is about, what they watch
    NAMING = "naming"  # it names what they watch, which no earlier revision of the page did
    ANSWER = "answer"  # a moderator answered their report
    VISIBILITY = "visibility"  # what they wrote or watch was hidden, taken back, or shown again
    RENAME = "rename"  # what they watch has another title


class Notification(models.Model):
    """That somebody is told of a revision, or of an entry of the audit log, once. Whether they may see it is asked
    whenever it is shown or sent."""

    # Hundreds are written by one edit, so no index is there twice: of those in which the rows of one edit lie apart, by
    # their receivers, there are two. Each of these keys begins an index of all rows, for SQLite looks no key up in one
    # with a condition when a revision or an entry is written: it would read all notifications.
    receiver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    # NULL: of an entry
    revision = models.ForeignKey(
        Revision, null=True, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    # NULL: of a revision
    entry = models.ForeignKey(AuditEntry, null=True, on_delete=models.CASCADE, related_name="notifications")
    # the revision's or entry's
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="notifications", db_index=False)
    reason = models.CharField(max_length=10, choices=Reason)
    # what they watch; of an answer where it is read; empty: a mention, a reply, or what they wrote
    target = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True)  # NULL: not read
    mailed_at = models.DateTimeField(null=True)  # NULL: in no digest that was sent

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["revision", "receiver"], name="told_once_of_a_revision"),
            models.UniqueConstraint(
                fields=["entry", "receiver"], condition=~Q(entry=None), name="told_once_of_an_entry"
            ),
            models.CheckConstraint(condition=Q(revision=None) ^ Q(entry=None), name="told_of_a_revision_or_an_entry"),
        ]
        indexes = [
            models.Index(fields=["receiver", "-created_at", "-id"], name="notifications_of_a_person"),
            models.Index(fields=["receiver"], condition=Q(read_at=None), name="unread_notifications"),
            models.Index(fields=["page", "reason"], name="told_of_a_page"),
        ]

    def __str__(self) -> str:
        of = f"revision {self.revision_id}" if self.revision_id else f"entry {self.entry_id}"
        return f"{self.reason} of {of} for {self.receiver_id}"

    @property
    def remark(self) -> str:
        """What who did it says of it."""
        if self.revision is not None:
            return self.revision.summary
        assert self.entry is not None
        return self.entry.reason


class Digest(models.TextChoices):
    """How often what was not read is sent by e-mail."""

    OFF = "off", "never"
    DAILY = "daily", "once a day"
    WEEKLY = "weekly", "once a week"


class Preferences(models.Model):
    """How somebody wants to be told. Who has no row has the defaults."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="following"
    )
    watches_own = models.BooleanField(default=True)  # whether what they write is watched from then on
    digest = models.CharField(max_length=10, choices=Digest, default=Digest.OFF)
    # `https://host` where they asked for the digest: its links lead there. Empty: they never did.
    site = models.CharField(max_length=300, blank=True, default="")
    digest_sent_at = models.DateTimeField(null=True)  # NULL: none was sent yet

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class LastSeen(models.Model):
    """When somebody was here. A visit ends with half an hour of silence."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="last_seen"
    )
    seen_at = models.DateTimeField()  # within some minutes
    before = models.DateTimeField(null=True)  # when the visit before this one ended; NULL: this is the first

    class Meta:
        verbose_name_plural = "last seen"

    def __str__(self) -> str:
        return f"{self.user_id} at {self.seen_at}"
