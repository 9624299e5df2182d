"""People, and texts about a small model."""

from __future__ import annotations

from wiki.accounts.models import Role, User
from wiki.texts.models import Kind, Page
from wiki.texts.writing import create_page


def person(name: str, role: Role = Role.RESEARCHER) -> User:
    return User.objects.get_or_create(username=name, defaults={"role": role})[0]


def note(text: str, *, about: str = "tiny/L1H2", by: str = "alice") -> Page:
    return create_page(person(by), Kind.NOTE, text, about=about)


def summary(text: str, *, about: str = "tiny/L1H2", by: str = "alice") -> Page:
    return create_page(person(by), Kind.SUMMARY, text, about=about)


def article(text: str, *, title: str, by: str = "alice") -> Page:
    return create_page(person(by), Kind.ARTICLE, text, title=title)
