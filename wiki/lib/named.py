"""Addresses of named pages, remembered: lists lead to hundreds, and Django looks for the pattern anew each time."""

from __future__ import annotations

import functools

from django.urls import get_script_prefix, reverse


def address(name: str, *arguments: object) -> str:
    """The address of the page of this name; NoReverseMatch where there is none for these arguments."""
    return _address(get_script_prefix(), name, *map(str, arguments))


@functools.lru_cache(maxsize=50_000)
def _address(_prefix: str, name: str, *arguments: str) -> str:
    return reverse(name, args=arguments)
