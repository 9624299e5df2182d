"""Citing a revision: what it said is found again by its number and its hash."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ..addresses import address_of, name_of
from .finding import get_page, get_revision

_SPECIAL = re.compile(r"[\\{}$&#^_~%]")
_ESCAPED = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}


@require_safe
def bibtex(request: HttpRequest, pk: int) -> HttpResponse:
    """A revision as a BibTeX entry."""
    page = get_page(request.user, pk)
    revision = get_revision(request.user, page, request.GET.get("rev") or str(page.version), doing="Citing a text")
    url = f"{request.build_absolute_uri(address_of(page))}?rev={revision.n}"
    authors = dict.fromkeys([page.author.get_username(), revision.author.get_username()])
    day = revision.created_at
    fields = {
        "title": f"{{{escaped(name_of(page))}}}",
        "author": " and ".join(f"{{{escaped(name)}}}" for name in authors),
        "year": f"{day:%Y}",
        "month": f"{day.month}",
        "howpublished": f"\\url{{{url}}}",
        "note": f"Loupe, text {page.pk}, revision {revision.n} of {day:%Y-%m-%d}, sha256 {revision.digest}",
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    response = HttpResponse(f"@misc{{loupe-{page.pk}-{revision.n},\n{lines}}}\n", content_type="application/x-bibtex")
    response["Content-Disposition"] = f'inline; filename="loupe-{page.pk}-{revision.n}.bib"'
    return response


def escaped(text: str) -> str:
    """A text as TeX prints it."""
    return _SPECIAL.sub(lambda match: _ESCAPED.get(match[0], f"\\{match[0]}"), text)
