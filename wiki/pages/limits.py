"""How often a client may ask for what costs a measuring worker's time."""

from __future__ import annotations

import ipaddress
import time

from django.conf import settings
from django.http import HttpRequest

from wiki.experiments.texts import count_text

TEXTS_A_MINUTE = 10
WINDOW_SECONDS = 60


def seconds_to_wait(request: HttpRequest) -> int:
    """Count a new text of the client; 0, or the seconds it has to wait where it has had its share of this minute."""
    minute, passed = divmod(time.time(), WINDOW_SECONDS)
    if count_text(client_of(request), minute=int(minute), at_most=TEXTS_A_MINUTE):
        return 0
    return max(1, round(WINDOW_SECONDS - passed))


def client_of(request: HttpRequest) -> str:
    """The network address of who asks: of IPv6 the first 64 bits, which are one customer's.

    Behind a proxy it is the last that `X-Forwarded-For` names, which the proxy has written; what stands before it, and
    all of it without a proxy, is what the client likes.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    if settings.HTTPS:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network(f"{parsed}/64", strict=False)) if parsed.version == 6 else str(parsed)
