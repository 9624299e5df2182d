from __future__ import annotations

from typing import Any

from django.db import migrations

from wiki.search.indexing import rebuild_search

SQLITE = "CREATE VIRTUAL TABLE search_entry USING fts5(title, body, facets, tokenize = 'ascii')"


def add_facets(apps: Any, schema_editor: Any) -> None:
    """A table of FTS5 is given no column: it is made anew, as what is in it. On PostgreSQL facets are in the column."""
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TABLE search_entry")
        schema_editor.execute(SQLITE)
    rebuild_search(apps.get_model("texts", "Page"))


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial"), ("texts", "0007_what_is_read_in_order")]

    operations = [migrations.RunPython(add_facets)]
