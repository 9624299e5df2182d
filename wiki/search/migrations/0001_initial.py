from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import wiki.search.models

SQLITE = "CREATE VIRTUAL TABLE search_entry USING fts5(title, body, tokenize = 'ascii')"
POSTGRESQL = [
    "CREATE TABLE search_entry (rowid bigint PRIMARY KEY REFERENCES texts_page (id) DEFERRABLE INITIALLY DEFERRED, "
    "search_entry tsvector NOT NULL)",
    "CREATE INDEX search_entry_words ON search_entry USING gin (search_entry)",
]


def create_table(apps: Any, schema_editor: Any) -> None:
    """FTS5 names the column of all words after the table; PostgreSQL's has the same name."""
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else [SQLITE]:
        schema_editor.execute(statement)


def drop_table(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute("DROP TABLE search_entry")


class Migration(migrations.Migration):
    initial = True

    dependencies = [("texts", "0002_versions")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create_table, drop_table)],
            state_operations=[
                migrations.CreateModel(
                    name="Entry",
                    fields=[
                        (
                            "page",
                            models.OneToOneField(
                                db_column="rowid",
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="search_entry",
                                serialize=False,
                                to="texts.page",
                            ),
                        ),
                        ("words", wiki.search.models.WordsField(db_column="search_entry")),
                    ],
                    options={"verbose_name_plural": "entries", "db_table": "search_entry"},
                )
            ],
        )
    ]
