"""Texts that people write, as safe HTML: what the rest of the site calls is listed here.

It knows no database: the caller passes a function that says where the things lie that a text names.
"""

from .beginning import first_sentence
from .bounds import MAX_BYTES, MAX_DEPTH, MAX_LINES, TextTooDeepError, TextTooLongError, UnreadableTextError
from .links import (
    Absent,
    File,
    Filling,
    Kind,
    Link,
    Number,
    Picture,
    Relation,
    Resolve,
    Resolved,
    State,
    Target,
)
from .rendering import VERSION, Heading, Rendered, blocks_of, links_of, render, targets_of

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_LINES",
    "VERSION",
    "Absent",
    "File",
    "Filling",
    "Heading",
    "Kind",
    "Link",
    "Number",
    "Picture",
    "Relation",
    "Rendered",
    "Resolve",
    "Resolved",
    "State",
    "Target",
    "TextTooDeepError",
    "TextTooLongError",
    "UnreadableTextError",
    "blocks_of",
    "first_sentence",
    "links_of",
    "render",
    "targets_of",
]
