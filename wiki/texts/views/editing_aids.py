"""What helps while somebody writes: a preview, and what a link may name."""

from __future__ import annotations

import functools

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from analysis.schema import SLUG
from wiki import markdown
from wiki.accounts.models import User

from ..access import may_write, require
from ..circuits import cut_for_drawing
from ..completing import LONGEST, complete_embed, complete_link, complete_person
from ..models import Kind
from ..rendering import render_text
from ..throttling import seconds_to_wait
from .circuits import drawn

PREVIEWS_A_MINUTE = 60
KINDS = ("link", "embed", "person")


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """The text as it would be shown: to scripts (`X-Fragment`) a fragment, to a form a page of its own."""
    require(may_write(request.user), "Previewing a text", user=request.user)
    assert isinstance(request.user, User)
    if seconds := seconds_to_wait(request.user, "preview", at_most=PREVIEWS_A_MINUTE):
        sentence = f"Previewing a text: expected at most {PREVIEWS_A_MINUTE} previews a minute; wait {seconds} seconds."
        response = _preview(request, {"sentence": sentence}, status=429)
        response["Retry-After"] = str(seconds)
        return response
    text, slug = request.POST.get("text", ""), request.GET.get("model", "")
    try:
        rendered = render_text(
            text,
            user=request.user,
            prefix="preview",
            model_slug=slug if SLUG.fullmatch(slug) else "",
        )
        circuit = drawn(text, tags=[]) if request.GET.get("kind") == Kind.ARTICLE else None
    except markdown.UnreadableTextError as error:
        return _preview(request, {"sentence": str(error)}, status=400)
    parts = cut_for_drawing(rendered.html) if circuit else (rendered.html, "")
    return _preview(request, {"parts": parts, "circuit": circuit}, status=200)


def _preview(request: HttpRequest, context: dict[str, object], *, status: int) -> HttpResponse:
    template = "texts/_preview.html" if "X-Fragment" in request.headers else "texts/preview.html"
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def writing_help(request: HttpRequest) -> HttpResponse:
    """How texts are written: the document of the repository."""
    title, rendered = _help()
    return render(request, "texts/help.html", {"title": title, "rendered": rendered})


@functools.cache
def _help() -> tuple[str, markdown.Rendered]:
    """Its title, which is that of the page, and what stands below, whose headings are then of the first level."""
    title, _, text = (settings.BASE_DIR / "docs" / "markdown.md").read_text().partition("\n")
    return title.removeprefix("# "), render_text(text.replace("\n## ", "\n# "), user=AnonymousUser(), prefix="help")


@require_safe
def complete(request: HttpRequest) -> JsonResponse:
    """What `?q=` may be the beginning of: `?kind=` is what is typed, `?model=` the model that the text is about."""
    typed, kind, slug = (request.GET.get(name, "") for name in ("q", "kind", "model"))
    if kind not in KINDS:
        sentence = f"Completing what is typed: expected kind={', '.join(KINDS)}, got “{kind[:40]}”."
        return JsonResponse({"error": sentence}, status=400)
    found = []
    if len(typed) <= LONGEST and typed.isprintable():
        if kind == "person":
            found = complete_person(typed, user=request.user)
        elif kind == "embed":
            found = complete_embed(typed, model_slug=slug)
        else:
            found = complete_link(typed, user=request.user, model_slug=slug)
    return JsonResponse({"items": [completion.to_json() for completion in found]})
