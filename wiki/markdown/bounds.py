"""What is refused, or left as it was typed, so that no text takes long to render. Measured in tests/markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token

MAX_BYTES = 200_000
MAX_LINES = 10_000
# Quotes and footnotes inside each other; a list in a list counts twice. Work grows with lines × depth.
MAX_DEPTH = 18
# Characters of one formula; a longer one stays as typed. Browsers typeset formulas one after the other.
MAX_FORMULA = 2_000
# Where quotes, lists and footnotes lie deeper, the parser drops their content; brackets and emphasis stay as typed.
MAX_NESTING = MAX_DEPTH + 2
_CONTAINERS = {"blockquote_open", "list_item_open", "footnote_reference_open"}
_LINE_END = re.compile(r"\r\n?")


class UnreadableTextError(Exception):
    """A text is not rendered. The message is for the writer."""


class TextTooLongError(UnreadableTextError):
    """It has more than MAX_BYTES or MAX_LINES."""


class TextTooDeepError(UnreadableTextError):
    """Its quotes, lists and footnotes lie deeper inside each other than MAX_DEPTH."""


def bounded(text: str) -> str:
    """`text` with one newline at each line's end and without what is no character; TextTooLongError."""
    encoded = _LINE_END.sub("\n", text).encode("utf-8", "replace")
    if len(encoded) > MAX_BYTES:
        raise TextTooLongError(
            f"Reading a text: expected at most {MAX_BYTES // 1000} kB, got {len(encoded) / 1000:.1f} kB; "
            f"make it two pages that link to each other."
        )
    lines = encoded.count(b"\n") + 1
    if lines > MAX_LINES:
        raise TextTooLongError(
            f"Reading a text: expected at most {MAX_LINES} lines, got {lines}; "
            f"make it two pages that link to each other."
        )
    return encoded.decode()


def check_depth(tokens: Sequence[Token]) -> None:
    """Refuse what the parser would drop."""
    if any(token.level >= MAX_DEPTH and token.nesting == 1 and token.type in _CONTAINERS for token in tokens):
        raise TextTooDeepError(
            f"Reading a text: expected quotes and lists at most {MAX_DEPTH} and {MAX_DEPTH // 2} deep inside each "
            f"other, got deeper ones."
        )
