"""The sweeper outlives the database."""

from __future__ import annotations

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from wiki.experiments.models import Job


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_sweeper_goes_on_after_the_database_cut_its_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passes: list[float] = []

    def sleep(seconds: float) -> None:
        """Between passes: cut the connection after the first; stop after the third."""
        passes.append(seconds)
        if len(passes) == 1:
            parameters = connection.get_connection_params()
            names = ("dbname", "user", "host", "port")
            with psycopg.connect(**{name: parameters[name] for name in names}) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"  # others test on this server too
                )
        elif len(passes) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        call_command("sweep", every=1.0)
    assert "the database does not answer" not in caplog.text
    assert Job.objects.count() == 0
