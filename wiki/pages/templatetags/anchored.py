"""What a note's own page, which is one of texts, asks of measurements."""

from __future__ import annotations

from django import template

from wiki.texts.access import Person
from wiki.texts.models import Page

from ..anchored import Shown, show_anchors

register = template.Library()


@register.simple_tag
def where_noted(page: Page, user: Person) -> Shown | None:
    """Where the exact thing that a note is on is shown now; None of a text that is on none."""
    return show_anchors([page], user=user).get(page.pk)
