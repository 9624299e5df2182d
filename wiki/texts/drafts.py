"""What people type before they save it: kept apart, and shown to nobody else."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from wiki.accounts.models import User

from .access import Person, drafts_visible_to, may_read, require
from .errors import TextError
from .models import Draft, Kind, Page

MAX_DRAFTS = 200  # of one person
MAX_CHARACTERS = 400_000  # more than can be saved, so that a text that is too long can be shortened


def draft_target(page: Page) -> str:
    return f"page/{page.pk}"


def new_draft_target(kind: Kind, place: str) -> str:
    """Of a page that is not there yet: what it is about, as `gpt2/L5H1` or `page/12`, or the key of its title."""
    return f"new/{kind}/{place}"[:320]


def keep_draft(
    owner: User,
    target: str,
    text: str,
    *,
    page: Page | None = None,
    title: str = "",
    fields: dict[str, Any] | None = None,
    base_version: int = 0,
) -> Draft:
    """Keep what `owner` has typed so far for a target, in place of what was kept before."""
    text = text.replace("\0", "")[:MAX_CHARACTERS]
    with transaction.atomic():
        if page is not None:
            require(may_read(owner, page), "Keeping a draft", user=owner)
        # one person's drafts are kept one after the other
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        others = Draft.objects.filter(owner=owner).exclude(target=target)
        if others.count() >= MAX_DRAFTS:
            raise TextError(f"Keeping a draft: expected at most {MAX_DRAFTS} drafts of one person; discard some.")
        draft, _ = Draft.objects.update_or_create(
            owner=owner,
            target=target,
            defaults={
                "page": page,
                "title": title[:200],
                "text": text,
                "fields": fields or {},
                "base_version": base_version,
                "updated_at": timezone.now(),
            },
        )
    return draft


def find_draft(owner: Person, target: str) -> Draft | None:
    return drafts_visible_to(owner).filter(target=target).first()


def discard_draft(owner: Person, target: str) -> bool:
    """Remove one's draft of a target; False where there is none."""
    return bool(drafts_visible_to(owner).filter(target=target).delete()[0])
