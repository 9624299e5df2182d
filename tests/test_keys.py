"""What a row refers to is looked up by an index when its target is written or removed."""

from __future__ import annotations

import pytest
from django.db import connection

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db]

UNINDEXED_IN_POSTGRESQL = """
SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
WHERE contype = 'f' AND NOT EXISTS(
    SELECT 1 FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL)
"""


def _unindexed_in_sqlite() -> list[str]:
    """The tables that SQLite reads whole when a row is removed; it does where an index has a condition."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            key = connection.introspection.get_primary_key_column(cursor, table)
            if key is not None:
                cursor.execute(f'EXPLAIN QUERY PLAN DELETE FROM "{table}" WHERE "{key}" = 1')  # noqa: S608
                found += [f"{table}: {step}" for *_, step in cursor.fetchall() if step.startswith("SCAN")]
    return found


def _unindexed_in_postgresql() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(UNINDEXED_IN_POSTGRESQL)
        return [what for (what,) in cursor.fetchall()]


def test_every_key_to_another_table_begins_an_index_of_all_rows() -> None:
    found = _unindexed_in_sqlite() if connection.vendor == "sqlite" else _unindexed_in_postgresql()
    assert found == []
