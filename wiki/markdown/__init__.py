"""Texts that people write, as safe HTML: what the rest of the site calls is listed here.

It knows no database: the caller passes a function that says where the things lie that a text names.
"""

from .bounds import MAX_BYTES, MAX_DEPTH, MAX_LINES, TextTooDeepError, TextTooLongError, UnreadableTextError
from .links import Kind, Link, Relation, Resolve, Resolved, State, Target
from .rendering import VERSION, Heading, Rendered, links_of, render, targets_of

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_LINES",
    "VERSION",
    "Heading",
    "Kind",
    "Link",
    "Relation",
    "Rendered",
    "Resolve",
    "Resolved",
    "State",
    "Target",
    "TextTooDeepError",
    "TextTooLongError",
    "UnreadableTextError",
    "links_of",
    "render",
    "targets_of",
]
