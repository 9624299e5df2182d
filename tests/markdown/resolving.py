"""Resolvers that tests pass to `render`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wiki.markdown import Resolved, State, Target


def resolve_all(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
    """Everything is there, below /there/, and is called as the text calls it."""
    return {target: Resolved("/there/", target.text, State.EXISTS) for target in targets}


def resolve_none(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
    return {}


def resolve_missing(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
    """Nothing is there, but each has a page where it can be made."""
    return {target: Resolved("/new/", target.text, State.MISSING) for target in targets}
