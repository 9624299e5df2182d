"""Reading what many parts of one page need only once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from django.http import Http404

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
# By function and arguments, what was read or why it could not be; None outside `reading_once`.
_kept: ContextVar[dict[Any, Any] | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def reading_once() -> Iterator[None]:
    """Within this block, and blocks in it, a function marked with `once` answers the same question from memory."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def once(read: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """Mark a function that only reads: within `reading_once` it is asked each question once."""

    @functools.wraps(read)
    def reading(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        kept = _kept.get()
        if kept is None:
            return read(*args, **kwargs)
        question = (read, args, tuple(sorted(kwargs.items())))
        if question not in kept:
            try:
                kept[question] = read(*args, **kwargs), None
            except Http404 as error:
                kept[question] = None, error
        answer, refusal = kept[question]
        if refusal is not None:
            raise refusal
        return answer

    return reading
