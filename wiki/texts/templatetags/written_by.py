"""What somebody wrote, for their profile."""

from __future__ import annotations

from django import template

from wiki.accounts.models import User

from ..access import Person, pages_visible_to
from ..addresses import address_of, name_of
from ..models import Page

register = template.Library()

N_SHOWN = 10


@register.simple_tag
def newest_pages_by(author: User, reader: Person) -> list[tuple[str, str, Page]]:
    """Name and address of what somebody began last, of what the reader may see."""
    related = ("author", "parent__author", "parent__parent__author")
    pages = pages_visible_to(reader).filter(author=author).select_related(*related).order_by("-created_at", "-pk")
    return [(name_of(page), address_of(page), page) for page in pages[:N_SHOWN]]
