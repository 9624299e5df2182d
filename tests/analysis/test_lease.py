"""A worker's hold on a job while it computes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from analysis import lease
from analysis.lease import Lease, LeaseLostError, Site
from analysis.schema import JobKind


class Renewals(Site):
    """A site that only counts renewals, and sets `enough` after three that came while nobody told anything."""

    def __init__(self, *, held: bool = True) -> None:
        self.held, self.rows, self.enough = held, [], threading.Event()

    def call(self, job_id: int, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        self.rows.append(payload["rows_done"])
        if self.rows[-3:] == [self.rows[-1]] * 3 or not self.held:
            self.enough.set()
        return {} if self.held else None


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "KEEP_SECONDS", 0.01)


def test_a_batch_longer_than_the_lease_keeps_it_and_how_far_the_worker_was() -> None:
    site = Renewals()
    with Lease(site, 1, "token", JobKind.SURVEY_SHARD, {}, 0).kept() as tell:
        tell(16)
        assert site.enough.wait(30)
    assert site.rows[-3:] == [16, 16, 16]


def test_a_worker_that_lost_its_lease_is_told_at_the_next_batch() -> None:
    site = Renewals(held=False)
    with Lease(site, 1, "token", JobKind.SURVEY_SHARD, {}, 0).kept() as tell:
        assert site.enough.wait(30)
        with pytest.raises(LeaseLostError):
            tell(16)
