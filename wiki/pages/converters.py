"""Hashes and canonical component names in URLs; other spellings of components go to the view that redirects."""

from __future__ import annotations

from analysis.schema import Component


class HashConverter:
    regex = r"[0-9a-f]{64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class LayerConverter:
    regex = r"L(?:0|[1-9][0-9]{0,4})"

    def to_python(self, value: str) -> Component:
        return Component.parse(value)

    def to_url(self, value: Component) -> str:
        return str(value)


class HeadConverter(LayerConverter):
    regex = r"L(?:0|[1-9][0-9]{0,4})H(?:0|[1-9][0-9]{0,4})"


class NeuronConverter(LayerConverter):
    regex = r"L(?:0|[1-9][0-9]{0,4})N(?:0|[1-9][0-9]{0,6})"


class KVHeadConverter(LayerConverter):
    regex = r"L(?:0|[1-9][0-9]{0,4})KV(?:0|[1-9][0-9]{0,4})"


class ComponentConverter(LayerConverter):
    regex = r"L(?:0|[1-9][0-9]{0,4})(?:[HN](?:0|[1-9][0-9]{0,6}))?"


class PartConverter(LayerConverter):
    """Every kind of component that has a page."""

    regex = r"L(?:0|[1-9][0-9]{0,4})(?:(?:H|N|KV)(?:0|[1-9][0-9]{0,6}))?"


class TextNameConverter(HashConverter):
    """The first digits of a hash, or all of them."""

    regex = r"[0-9a-f]{8,64}"


class FormConverter:
    """A form in which a figure can be had."""

    regex = r"svg|csv"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
