"""Access keys: a notebook sends one with what it asks, and acts for the person who made it."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from .demo import may_sign_in
from .models import AccessKey, User

# A key begins so, and whoever finds one in a file knows what it opens.
PREFIX = "loupe_"
LENGTHS = {30: "30 days", 90: "90 days", 365: "a year"}
MOST_KEYS = 20
# That a key was used is written once in so long: notebooks ask often.
NOTED_EVERY = timedelta(minutes=5)


class AccessKeyError(Exception):
    """A key that opens nothing, or cannot be made; the message is one sentence."""


def make_key(owner: User, *, name: str, days: int) -> tuple[AccessKey, str]:
    """A new key, and its secret, which is not kept."""
    secret, until = PREFIX + secrets.token_urlsafe(32), timezone.now() + timedelta(days=days)
    with transaction.atomic():
        # of two that are made at once the second waits here
        User.objects.select_for_update().get(pk=owner.pk)
        if owner.access_keys.count() >= MOST_KEYS:
            raise AccessKeyError(
                f"Making an access key: expected at most {MOST_KEYS} of yours, got one more; remove one."
            )
        key = AccessKey.objects.create(owner=owner, name=name, secret_sha256=_hash_of(secret), expires_at=until)
    return key, secret


def sender_of(request: HttpRequest) -> User:
    """The person for whom a request acts that carries a key as `Authorization: Bearer …`; cookies are not looked at.
    `AccessKeyError` where it opens nothing."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise AccessKeyError("Reading an access key: expected one as “Authorization: Bearer loupe_…”, got none.")
    owner = owner_of(secret.strip())
    if not may_sign_in(owner, request):
        raise AccessKeyError("Reading an access key: expected one of somebody who may sign in here, got a demo's.")
    return owner


def owner_of(secret: str) -> User:
    """The person who made the key with this secret; `AccessKeyError` where there is no such key, or no more."""
    # looked up by its hash: how long that takes says nothing of 256 random bits
    key = AccessKey.objects.select_related("owner").filter(secret_sha256=_hash_of(secret)).first()
    if key is None or not key.owner.is_active:
        raise AccessKeyError("Reading an access key: expected one that somebody here has made, got another.")
    if key.is_expired:
        raise AccessKeyError(
            f"Reading an access key: expected one that is open, got one that expired on {key.expires_at:%-d %B %Y}; "
            "make another on your settings page."
        )
    now = timezone.now()
    if key.used_at is None or key.used_at < now - NOTED_EVERY:
        AccessKey.objects.filter(pk=key.pk).update(used_at=now)
    return key.owner


def _hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
