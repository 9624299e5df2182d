"""Where replies stand in their threads."""

from __future__ import annotations

from .access import Person, pages_visible_to
from .addresses import address_of
from .models import Kind, Page

PER_PAGE = 50  # replies, or threads


def is_reply(page: Page) -> bool:
    return page.kind == Kind.TALK and page.parent is not None and page.parent.kind == Kind.TALK


def address_in_thread(page: Page, *, user: Person) -> str:
    """Where a page is read with what stands around it: a reply on that page of its thread which `user` sees it on."""
    if page.parent is None or not is_reply(page):
        return address_of(page)
    n_before = pages_visible_to(user).filter(parent=page.parent, pk__lt=page.pk).count()
    return f"{address_of(page.parent)}?page={n_before // PER_PAGE + 1}#text-{page.pk}"
