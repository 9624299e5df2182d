"""How many texts a client may ask for, counted by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import RequestFactory

from wiki.experiments.models import TextCount
from wiki.pages import limits

AT_ONCE, EACH, AT_MOST = 8, 25, 100
NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TEXTS_A_MINUTE", AT_MOST)
    monkeypatch.setattr("wiki.pages.limits.time.time", lambda: NOW)


def ask(n: int) -> int:
    """How many of `n` texts may be asked for, from a connection of its own."""
    try:
        return sum(limits.seconds_to_wait(RequestFactory().post("/")) == 0 for _ in range(n))
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_clients_that_ask_at_once_get_their_share_and_no_more() -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sum(pool.map(ask, [EACH] * AT_ONCE)) == AT_MOST
    assert [count.n for count in TextCount.objects.all()] == [AT_MOST]


def test_counts_of_past_minutes_are_removed(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = RequestFactory()
    for client in ("192.0.2.1", "192.0.2.2"):
        assert limits.seconds_to_wait(factory.post("/", REMOTE_ADDR=client)) == 0
    assert TextCount.objects.count() == 2
    monkeypatch.setattr("wiki.pages.limits.time.time", lambda: NOW + limits.WINDOW_SECONDS)
    assert limits.seconds_to_wait(factory.post("/", REMOTE_ADDR="192.0.2.1")) == 0
    assert [(count.client, count.n) for count in TextCount.objects.all()] == [("192.0.2.1", 1)]
