"""Queries that are compiled once a process: Django takes longer to build a small one than databases to answer it.

A question is a function from what is asked to a queryset. Strings, whole numbers, which are keys, and times stand in
the statement as parameters; what else is asked (None, booleans, tuples) is part of the question, compiled for each.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet

_M = TypeVar("_M", bound=Model)
_V = TypeVar("_V", bound="str | int")
# No key is so small, no time so late. Of statements for parts of questions the oldest is forgotten.
_FIRST_NUMBER, _FIRST_TIME = -2_000_000_000, datetime.datetime(9000, 1, 1, tzinfo=datetime.UTC)
_MOST = 2_000


def rows(question: Callable[..., QuerySet[Any, Any]], *asked: Any) -> list[tuple[Any, ...]]:
    """The rows of a `values_list`, as the database has them."""
    compiled, parameters = _compiled_for(question, asked)
    if compiled.sql is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(compiled.sql, parameters)
        return list(cursor.fetchall())


def objects(question: Callable[..., QuerySet[_M]], *asked: Any) -> list[_M]:
    """The objects of a queryset, with what it selects beside them, prefetches and annotates."""
    compiled, parameters = _compiled_for(question, asked)
    if compiled.sql is None:
        return []
    # what Django reads the rows by, with the statement that it has compiled already
    compiler = copy.copy(compiled.compiler)
    compiler.connection = connection
    compiler.as_sql = lambda *_, **__: (compiled.sql, parameters)
    answering: QuerySet[_M] = compiled.queryset.all()
    answering.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
    return list(answering)


def padded(values: Iterable[_V], filler: _V) -> tuple[_V, ...]:
    """Values for a question that asks of any of many, with as many fillers that few numbers of them are compiled."""
    found = tuple(dict.fromkeys(values))
    size = next(2**n for n in itertools.count() if 2**n >= len(found))
    return (*found, *[filler] * (size - len(found))) if found else ()


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """A question and its statement; None where nothing can answer it."""

    queryset: QuerySet[Any, Any]
    compiler: Any
    sql: str | None
    parameters: tuple[Any, ...]

    def filled(self, places: Sequence[Any], asked: Sequence[Any]) -> tuple[Any, ...]:
        """The parameters, with what is asked in its places."""
        pairs = zip(places, asked, strict=True)
        values = {_adapted(place): _adapted(value) for place, value in pairs if _is_parameter(value)}
        return tuple(values.get(each, each) if _is_parameter(each) else each for each in self.parameters)


def _compiled_for(question: Callable[..., QuerySet[Any, Any]], asked: Sequence[Any]) -> tuple[_Compiled, Any]:
    places = tuple(_place(each, number) for number, each in enumerate(asked))
    compiled = _compiled(question, places, connection.vendor)
    return compiled, compiled.filled(places, asked)


@functools.lru_cache(maxsize=_MOST)
def _compiled(question: Callable[..., QuerySet[Any, Any]], places: tuple[Any, ...], _vendor: str) -> _Compiled:
    queryset = question(*places)
    compiler: Any = queryset.query.get_compiler(queryset.db)
    try:
        sql, parameters = compiler.as_sql()
    except EmptyResultSet:
        sql, parameters = None, ()
    for place, parameter in itertools.product(places, parameters):
        if isinstance(place, str) and isinstance(parameter, str) and place in parameter and place != parameter:
            raise ValueError(f"Compiling a question: expected what is asked as a whole parameter, got “{parameter}”.")
    return _Compiled(queryset, compiler, sql, tuple(parameters))


def _place(each: Any, number: int) -> Any:
    """What stands for what is asked while a question is compiled: another value for each parameter."""
    if not _is_parameter(each):
        return each
    if isinstance(each, datetime.datetime):
        return _FIRST_TIME + datetime.timedelta(days=number)
    return f"?{number}?" if isinstance(each, str) else _FIRST_NUMBER - number


def _is_parameter(each: Any) -> bool:
    return isinstance(each, (str, datetime.datetime)) or type(each) is int


def _adapted(each: Any) -> Any:
    """As the database is given it."""
    return connection.ops.adapt_datetimefield_value(each) if isinstance(each, datetime.datetime) else each
