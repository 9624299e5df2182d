"""How often somebody may ask for what is made anew each time."""

from __future__ import annotations

import time

from django.core.cache import cache

from wiki.accounts.models import User

WINDOW_SECONDS = 60


def seconds_to_wait(user: User, what: str, *, at_most: int) -> int:
    """Count one more; 0, or the seconds to wait for who has had so many in this minute.

    Two requests at the same moment may count as one: this keeps a machine from being kept busy, nothing else.
    """
    minute, passed = divmod(time.time(), WINDOW_SECONDS)
    key = f"throttle:{what}:{user.pk}:{int(minute)}"
    n = cache.get(key, 0) + 1
    cache.set(key, n, timeout=2 * WINDOW_SECONDS)
    return 0 if n <= at_most else max(1, round(WINDOW_SECONDS - passed))
