"""Canonical component names in URLs; every other spelling goes to the view that redirects."""

from __future__ import annotations

from analysis.schema import Component


class LayerConverter:
    regex = r"L(?:0|[1-9][0-9]{0,4})"

    def to_python(self, value: str) -> Component:
        return Component.parse(value)

    def to_url(self, value: Component) -> str:
        return str(value)


class HeadConverter(LayerConverter):
    regex = r"L(?:0|[1-9][0-9]{0,4})H(?:0|[1-9][0-9]{0,4})"
