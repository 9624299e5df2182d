from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings

from wiki.accounts.models import Role, User
from wiki.accounts.roles import give_role

PASSWORD = "Wie es auch sei"


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.DATA_DIR = tmp_path
    cache.clear()  # what limits attempts
    yield
    cache.clear()


def make_person(username: str, role: Role = Role.READER) -> User:
    """A person with a verified address and a password."""
    person = User.objects.create_user(username, f"{username}@example.org", PASSWORD)
    person.emailaddress_set.create(email=person.email, verified=True, primary=True)
    give_role(person, role)
    return person
