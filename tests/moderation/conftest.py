"""alice writes, bob reports, charlie moderates, and there is somebody who only reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from wiki.accounts.models import Role, User
from wiki.texts.models import Kind, Page
from wiki.texts.writing import create_page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.both_databases)


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def make_person(name: str, role: Role) -> User:
    return User.objects.create_user(name, f"{name}@example.org", role=role)


@pytest.fixture
def alice(db: None) -> User:
    return make_person("alice", Role.RESEARCHER)


@pytest.fixture
def bob(db: None) -> User:
    return make_person("bob", Role.READER)


@pytest.fixture
def charlie(db: None) -> User:
    return make_person("charlie", Role.MODERATOR)


@pytest.fixture
def page(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, "Buy these pills.", title="Pills")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client
