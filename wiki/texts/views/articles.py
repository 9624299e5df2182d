"""Articles: free pages with a title."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ..access import pages_visible_to
from ..addresses import address_of
from ..circuits import Drawn, circuit_of, draw, models_of
from ..models import Alias, Kind, Page
from ..rendering import render_text
from ..targets import key_of


@require_safe
def articles(request: HttpRequest) -> HttpResponse:
    pages = pages_visible_to(request.user).filter(kind=Kind.ARTICLE).select_related("current").order_by("title")
    return render(request, "texts/articles.html", {"pages": pages})


def drawn_circuit(page: Page) -> Drawn | None:
    """The circuit that an article describes; None where it describes none."""
    assert page.current is not None
    circuit = circuit_of(page.current.text, tags=[tag.name for tag in page.tags.all()])
    return draw(circuit, models_of([circuit])) if circuit.nodes or circuit.unread else None


@require_safe
def circuit_svg(request: HttpRequest, title: str) -> HttpResponse:
    """The drawing of an article's circuit; of several models that of the one that the address names, else the first."""
    page = pages_visible_to(request.user).select_related("current").filter(key=title).first()
    circuit = drawn_circuit(page) if page else None
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


@require_safe
def article(request: HttpRequest, title: str) -> HttpResponse:
    """An article by its key; by another spelling or an earlier title it leads there."""
    alias = Alias.objects.filter(key=key_of(title)).first()
    pages = pages_visible_to(request.user).select_related("current__author")
    page = pages.filter(pk=alias.page_id).first() if alias else None
    if page is None:
        raise Http404(f"Looking for the article “{title}”: nobody has written it yet.")
    if page.key != title:
        return HttpResponseRedirect(address_of(page))
    assert page.current is not None
    rendered = render_text(page.current.text, user=request.user, prefix="text")
    context = {
        "page": page,
        "revision": page.current,
        "rendered": rendered,
        "circuit": drawn_circuit(page),
    }
    return render(request, "texts/article.html", context)


@require_safe
def text(request: HttpRequest, pk: int) -> HttpResponse:
    """Any text by its number; an article's leads to its title."""
    page = pages_visible_to(request.user).select_related("current__author").filter(pk=pk).first()
    if page is None:
        raise Http404(f"Looking for text {pk}: there is none.")
    if page.kind == Kind.ARTICLE:
        return HttpResponseRedirect(address_of(page))
    assert page.current is not None
    rendered = render_text(page.current.text, user=request.user, prefix="text", model_slug=page.model_slug)
    context = {"page": page, "revision": page.current, "rendered": rendered}
    return render(request, "texts/article.html", context)
