"""Stand-ins for pages of texts that another branch brings."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from ..access import pages_visible_to
from ..addresses import address_of
from ..models import Kind
from ..rendering import render_text


def text(request: HttpRequest, pk: int) -> HttpResponse:
    page = pages_visible_to(request.user).select_related("current").filter(pk=pk).first()
    if page is None or page.current is None:
        raise Http404(f"Looking for the text {pk}: there is none.")
    if page.kind == Kind.ARTICLE:
        return HttpResponseRedirect(address_of(page))
    rendered = render_text(page.current.text, user=request.user, prefix="text", model_slug=page.model_slug)
    return render(request, "texts/article.html", {"page": page, "revision": page.current, "rendered": rendered})


def pending(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    raise Http404("Looking for a page of texts: it is not there yet.")
