"""The words of every page, in whatever the database looks words up by: FTS5 on SQLite, a tsvector on PostgreSQL.

One table of two columns on both, made by migrations; the rowid of FTS5 is the page's id.
"""

from __future__ import annotations

from typing import Any

from django.db import models

from wiki.texts.models import Page


class WordsField(models.TextField):  # type: ignore[type-arg]  # at run time it takes none
    """The words of a row as its database has them. On SQLite it is the column that FTS5 names after its table."""

    def db_type(self, connection: Any) -> str:
        return "tsvector" if connection.vendor == "postgresql" else "text"


class Entry(models.Model):
    """What a page is found by. Made of the current revision and the titles: `rebuild_search` makes all anew."""

    page = models.OneToOneField(
        Page, primary_key=True, on_delete=models.CASCADE, db_column="rowid", related_name="search_entry"
    )
    words = WordsField(db_column="search_entry")

    class Meta:
        db_table = "search_entry"
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"words of page {self.page_id}"


@WordsField.register_lookup
class Matches(models.Lookup):
    """`words__matches=…`: what `indexing.match_of` made of a query, in the database's own words."""

    lookup_name = "matches"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, column_parameters = self.process_lhs(compiler, connection)
        operator = "@@ %s::tsquery" if connection.vendor == "postgresql" else "MATCH %s"
        return f"{column} {operator}", (*column_parameters, self.rhs)


class Rank(models.Func):
    """How well a row matches, the higher the better; words of titles count most. Only beside `words__matches`."""

    output_field = models.FloatField()

    def __init__(self, words: str, match: str) -> None:
        super().__init__(models.F(words))
        self.match = match

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"-bm25({column}, 8.0, 1.0, 0.0)", tuple(parameters)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = compiler.compile(self.source_expressions[0])
        # 1: a long text does not win by being long
        return f"ts_rank({column}, %s::tsquery, 1)", (*parameters, self.match)
