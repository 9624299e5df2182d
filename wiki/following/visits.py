"""When somebody was here before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from wiki.accounts.models import User

from .models import LastSeen

GAP = timedelta(minutes=30)  # of silence, between two visits
SECONDS = 300  # a visit is noted so often at most


def last_visit(user: User) -> datetime | None:
    """When the visit before this one ended; None on the first."""
    seen = LastSeen.objects.filter(user=user).first()
    if seen is None:
        return None
    # this one may not have been noted yet
    return seen.seen_at if seen.seen_at < timezone.now() - GAP else seen.before


def note_visit(user: User) -> None:
    """Note that somebody is here; two at once note it once."""
    now = timezone.now()
    row = LastSeen.objects.filter(user=user)
    if row.filter(seen_at__lt=now - GAP).update(before=F("seen_at"), seen_at=now):
        return
    if not row.filter(seen_at__lt=now).update(seen_at=now):
        LastSeen.objects.bulk_create([LastSeen(user=user, seen_at=now)], ignore_conflicts=True)


class NotesVisits:
    """Notes who reads pages, after answering, and seldom: nothing is asked of the database while the cache knows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = request.method == "GET" and response.get("Content-Type", "").startswith("text/html")
        if is_page and response.status_code == 200 and settings.SESSION_COOKIE_NAME in request.COOKIES:
            user = request.user
            if isinstance(user, User) and cache.add(f"seen:{user.pk}", 1, timeout=SECONDS):
                note_visit(user)
        return response
