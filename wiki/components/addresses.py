"""Where the pages of components lie."""

from __future__ import annotations

from django.urls import reverse

from analysis.schema import Component

from .models import LanguageModel


def component_url(model: LanguageModel, component: Component, *, json: bool = False) -> str:
    """The canonical address of a component's page or of its data."""
    page = component.kind.value.lower().replace(" ", "-")
    return reverse(f"{page}{'-json' if json else ''}", args=[model.slug, component])
