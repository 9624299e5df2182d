"""Where texts are read and written."""

from __future__ import annotations

from django.urls import reverse

from .models import Kind, Page


def address_of(page: Page) -> str:
    """Where a page is read: an article by its title, everything else by its number."""
    return reverse("article", args=[page.key]) if page.kind == Kind.ARTICLE else reverse("text", args=[page.pk])


def address_to_write(title: str) -> str:
    """Where the article of this title can be written."""
    return reverse("new-article", query={"title": title})
