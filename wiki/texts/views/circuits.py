"""The circuits that articles describe, drawn."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ..access import pages_visible_to
from ..circuits import Drawn, circuit_of, draw, models_of
from ..models import Kind, Page, Revision, Tag


def drawn_circuit(page: Page, revision: Revision, *, tags: list[Tag]) -> Drawn | None:
    """The circuit that a revision of an article describes; None where it describes none."""
    if page.kind != Kind.ARTICLE:
        return None
    return drawn(revision.text, tags=[tag.name for tag in tags])


def drawn(text: str, *, tags: list[str]) -> Drawn | None:
    """The circuit of an article with this text and these tags; None where it describes none."""
    circuit = circuit_of(text, tags=tags)
    return draw(circuit, models_of([circuit])) if circuit.nodes or circuit.unread else None


@require_safe
def circuit_svg(request: HttpRequest, title: str) -> HttpResponse:
    """The drawing of an article's circuit; of several models that of the one that the address names, else the first."""
    pages = pages_visible_to(request.user).select_related("current")
    page = pages.filter(key=title).first() if "\0" not in title else None
    circuit = drawn_circuit(page, page.current, tags=list(page.tags.all())) if page and page.current else None
    asked = request.GET.get("model", "")
    drawings = circuit.drawings if circuit else []
    drawing = next((drawing for drawing in drawings if asked in ("", drawing.slug)), None)
    if page is None or drawing is None:
        raise Http404(f"Looking for the circuit of “{title}”: it describes none{f' of {asked}' if asked else ''}.")
    assert page.current is not None
    base = request.build_absolute_uri("/").removesuffix("/")
    context = {"drawing": drawing, "page": page, "revision": page.current, "base": base}
    response = render(request, "texts/circuit.svg", context, content_type="image/svg+xml")
    response["Content-Disposition"] = f'inline; filename="{drawing.slug}-circuit.svg"'
    return response
