"""How a measuring worker and the site prove to each other's messages that they know the shared secret. No torch."""

from __future__ import annotations

from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

# Seconds for which a signed call is accepted.
MAX_AGE = 300


class SigningError(Exception):
    """A call is not signed as it must be; the message is one sentence."""


def sign(payload: dict[str, Any], *, secret: str, action: str) -> str:
    """`payload` as text that only who knows `secret` can make, good for `action` alone."""
    return str(URLSafeTimedSerializer(secret, salt=f"loupe.{action}").dumps(payload))


def unsign(text: str, *, secret: str, action: str) -> dict[str, Any]:
    """The payload of `sign`, or a `SigningError`."""
    try:
        return dict(URLSafeTimedSerializer(secret, salt=f"loupe.{action}").loads(text, max_age=MAX_AGE))
    except SignatureExpired as error:
        raise SigningError(
            f"Reading a worker's call: expected one signed within {MAX_AGE} seconds, got an older one; "
            "do the clocks of worker and site agree?"
        ) from error
    except BadSignature as error:
        raise SigningError(
            "Reading a worker's call: expected one signed with this site's LOUPE_WORKER_SECRET, got another signature."
        ) from error
