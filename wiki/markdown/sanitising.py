"""The last step of rendering: only what is listed here leaves."""

from __future__ import annotations

import nh3

ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title", "rel", "class", "id", "data-relation"},
    "blockquote": set(),
    "br": set(),
    "code": {"class"},
    "div": {"class"},
    "em": set(),
    "figcaption": set(),
    "figure": {"class", "data-live"},
    "h2": {"id"},
    "h3": {"id"},
    "h4": {"id"},
    "h5": {"id"},
    "h6": {"id"},
    "hr": {"class"},
    "img": {"src", "alt", "title", "width", "height", "loading"},
    "input": {"checked", "disabled", "aria-label"},
    "li": {"class", "id"},
    "ol": {"class", "start"},
    "p": set(),
    "pre": set(),
    "s": set(),
    "section": {"class"},
    "span": {"class", "data-component", "data-start", "data-end"},
    "strong": set(),
    "sup": {"class"},
    "table": set(),
    "tbody": set(),
    "td": {"class"},
    "th": {"class"},
    "thead": set(),
    "tr": set(),
    "ul": set(),
}
SCHEMES = {"http", "https", "mailto"}


def sanitise(html: str) -> str:
    return nh3.clean(
        html,
        tags=set(ATTRIBUTES),
        attributes=ATTRIBUTES,
        tag_attribute_values={"input": {"type": {"checkbox"}}},
        url_schemes=SCHEMES,
        link_rel=None,  # set where an address leaves the site
    )
