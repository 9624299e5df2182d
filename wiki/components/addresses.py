"""Where the pages of components lie."""

from __future__ import annotations

from analysis.schema import Component
from wiki.lib.named import address

from .models import LanguageModel


def component_url(model: LanguageModel, component: Component, *, json: bool = False) -> str:
    """The canonical address of a component's page or of its data."""
    page = component.kind.value.lower().replace(" ", "-")
    return address(f"{page}{'-json' if json else ''}", model.slug, component)
