"""Queries that are compiled once a process: Django takes longer to build a small one than databases to answer it.

A question is a function from strings to a queryset; the same function is compiled once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

_M = TypeVar("_M", bound=Model)


def rows(question: Callable[..., QuerySet[Any, Any]], *asked: str) -> list[tuple[Any, ...]]:
    """The rows of a `values_list`."""
    _, sql, parameters = _compiled(question, len(asked), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(sql, _filled(parameters, asked))
        return list(cursor.fetchall())


def objects(question: Callable[..., QuerySet[_M]], *asked: str) -> list[_M]:
    """The objects of a queryset that joins nothing to them."""
    model, sql, parameters = _compiled(question, len(asked), connection.vendor)
    return list(model.objects.raw(sql, _filled(parameters, asked)))


@functools.cache
def _compiled(
    question: Callable[..., QuerySet[Any, Any]], n: int, _vendor: str
) -> tuple[type[Any], str, tuple[Any, ...]]:
    asked = question(*(f"?{i}" for i in range(n)))
    return asked.model, *asked.query.sql_with_params()


def _filled(parameters: tuple[Any, ...], asked: tuple[str, ...]) -> list[Any]:
    places = {f"?{i}": value for i, value in enumerate(asked)}
    return [places.get(parameter, parameter) for parameter in parameters]
