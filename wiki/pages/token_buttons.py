"""The tokens of a text as buttons that say their value under pointer or focus (`colored-tokens.js`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from html import escape

import numpy as np
from django.utils.safestring import SafeString, mark_safe

from .levels import level_class, signed_levels
from .numbers import short
from .shading import visible


def token_buttons(
    texts: Sequence[str],
    values: np.ndarray,
    *,
    largest: float,
    framed: Collection[int],
    first: int = 0,
) -> SafeString:
    """Tokens shaded by values of either sign, float [token], `largest` the darkest; not a number where a value is not
    known. The first token stands at position `first` of its text; those at the places `framed` have a frame, and the
    first of these is the tab stop.
    """
    levels = signed_levels(np.nan_to_num(values), largest=largest).tolist()
    stop = min(framed, default=0)
    # hundreds a page: only texts need escaping, and a template or a `format_html` each would cost milliseconds
    buttons = []
    for place, (text, value, level) in enumerate(zip(texts, values.tolist(), levels, strict=True)):
        shade, figure = ("unknown", "not kept") if math.isnan(value) else (level_class(level), short(value))
        buttons.append(
            f'<button type="button" class="t {shade}{" extreme" if place in framed else ""}" '
            f'title="{figure} at position {first + place}" tabindex="{0 if place == stop else -1}">'
            f"{escape(visible(text))}</button>"
        )
    return mark_safe("".join(buttons))  # noqa: S308 (texts are escaped above, the rest is numbers)
