"""Queries that are compiled once a process: Django takes longer to build a small one than databases to answer it.

A question is a function from what is asked to a queryset. Strings and whole numbers, which are keys, stand in the
statement as parameters; what else is asked (None, booleans, tuples) is part of the question, which is compiled for it.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet

_M = TypeVar("_M", bound=Model)
# No key is so small.
_FIRST_NUMBER = -2_000_000_000


def rows(question: Callable[..., QuerySet[Any, Any]], *asked: Any) -> list[tuple[Any, ...]]:
    """The rows of a `values_list`, as the database has them."""
    compiled = _compiled_for(question, asked)
    if compiled.sql is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(compiled.sql, compiled.filled(asked))
        return list(cursor.fetchall())


def objects(question: Callable[..., QuerySet[_M]], *asked: Any) -> list[_M]:
    """The objects of a queryset, with what it selects beside them, prefetches and annotates."""
    compiled = _compiled_for(question, asked)
    if compiled.sql is None:
        return []
    # what Django reads the rows by, with the statement that it has compiled already
    compiler = copy.copy(compiled.compiler)
    compiler.connection = connection
    compiler.as_sql = lambda *_, **__: (compiled.sql, compiled.filled(asked))
    answering: QuerySet[_M] = compiled.queryset.all()
    answering.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
    return list(answering)


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """A question and its statement; None where nothing can answer it."""

    queryset: QuerySet[Any, Any]
    compiler: Any
    sql: str | None
    parameters: tuple[Any, ...]

    def filled(self, asked: Sequence[Any]) -> tuple[Any, ...]:
        places = {place: value for place, value in zip(_places(asked), asked, strict=True) if _is_parameter(value)}
        return tuple(places.get(each, each) if _is_parameter(each) else each for each in self.parameters)


def _compiled_for(question: Callable[..., QuerySet[Any, Any]], asked: Sequence[Any]) -> _Compiled:
    return _compiled(question, _places(asked), connection.vendor)


@functools.cache
def _compiled(question: Callable[..., QuerySet[Any, Any]], places: tuple[Any, ...], _vendor: str) -> _Compiled:
    queryset = question(*places)
    compiler: Any = queryset.query.get_compiler(queryset.db)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        sql, parameters = None, ()
    return _Compiled(queryset, compiler, sql, tuple(parameters))


def _places(asked: Sequence[Any]) -> tuple[Any, ...]:
    """What stands for what is asked while a question is compiled: another value for each parameter."""
    return tuple(
        each if not _is_parameter(each) else f"?{i}" if isinstance(each, str) else _FIRST_NUMBER - i
        for i, each in enumerate(asked)
    )


def _is_parameter(each: Any) -> bool:
    return isinstance(each, str) or type(each) is int
