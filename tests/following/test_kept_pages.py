"""Pages that are kept for everybody say nothing of who reads."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client

from tests.pages.building import build_measured_model
from wiki.accounts.models import Role, User


@pytest.fixture(autouse=True)
def _measured(db: None) -> None:
    cache.clear()
    build_measured_model()


def test_a_kept_page_has_no_reader_and_a_readers_page_is_not_kept(client: Client) -> None:
    reader = Client()
    reader.force_login(User.objects.create_user("alice", role=Role.RESEARCHER))
    for path in ("/m/tiny/L1H2/", "/m/tiny/"):
        own = reader.get(path).content.decode()
        assert ">alice</a>" in own
        assert 'class="watch"' in own
        for _ in range(2):
            response = client.get(path)
            assert "alice" not in response.content.decode()
            assert 'class="watch"' not in response.content.decode()
            assert "Cookie" in response["Vary"]
        assert ">alice</a>" in reader.get(path).content.decode()
