"""Triggers by which the database itself refuses to change what is append-only.

They are installed after every migration: SQLite drops a table's triggers whenever a migration rebuilds the table.
Removal is refused by a trigger on PostgreSQL alone; Django empties SQLite's tables of a test with DELETE.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

APPEND_ONLY_TABLES = ("texts_revision", "texts_auditentry")

_SQLITE = """
CREATE TRIGGER IF NOT EXISTS {table}_is_append_only BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, 'rows of {table} are append-only'); END
"""

_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION texts_refuse_change() RETURNS trigger AS $$
BEGIN RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END
$$ LANGUAGE plpgsql
"""

_POSTGRESQL = """
CREATE OR REPLACE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION texts_refuse_change()
"""


def install_guards(*, using: str, **kwargs: Any) -> None:
    """Install the triggers where their tables are; a signal's receiver, so it may run when they are not yet."""
    connection = connections[using]
    existing = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for table in APPEND_ONLY_TABLES:
            if table in existing:
                template = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
                cursor.execute(template.format(table=table))
