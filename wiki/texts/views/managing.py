"""What is done to a text other than writing it: renaming, tagging, taking back."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from wiki.accounts.models import User
from wiki.accounts.signing_in import page_of_people

from ..access import audit_entries_visible_to, may_edit, may_retract, require
from ..addresses import address_of, name_of
from ..errors import TextError
from ..models import Kind, Page, Visibility
from ..moderation import retract, tag_page, unretract
from ..writing import name_article, rename_article
from .finding import get_page

N_ENTRIES = 20


@require_safe
@page_of_people
def manage(request: HttpRequest, pk: int) -> HttpResponse:
    page = get_page(request.user, pk)
    may = may_edit(request.user, page) or may_retract(request.user, page)
    require(may, f"Managing {name_of(page)}", user=request.user)
    return _manage_page(request, page)


@require_POST
@page_of_people
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    title = request.POST.get("title", "")
    return _do(request, pk, lambda page, user: rename_article(page, user, title))


@require_POST
@page_of_people
def add_name(request: HttpRequest, pk: int) -> HttpResponse:
    name = request.POST.get("name", "")
    return _do(request, pk, lambda page, user: name_article(page, user, name))


@require_POST
@page_of_people
def change_tags(request: HttpRequest, pk: int) -> HttpResponse:
    names = request.POST.get("tags", "").replace("\0", "").split(",")
    return _do(request, pk, lambda page, user: tag_page(page, user, names))


@require_POST
@page_of_people
def change_retraction(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a text back, or take that back."""
    reason = request.POST.get("reason", "").replace("\0", "")
    back = request.POST.get("do") == "unretract"
    return _do(request, pk, lambda page, user: (unretract if back else retract)(page, user, reason=reason))


def _do(request: HttpRequest, pk: int, change: Callable[[Page, User], Page]) -> HttpResponse:
    """Change a page, and show it; where that is refused the sentence and what was typed."""
    page = get_page(request.user, pk)
    assert isinstance(request.user, User)
    try:
        return HttpResponseRedirect(address_of(change(page, request.user)))
    except TextError as error:
        return _manage_page(request, get_page(request.user, pk), error=str(error), status=error.status)


def _manage_page(request: HttpRequest, page: Page, *, error: str = "", status: int = 200) -> HttpResponse:
    sent = request.POST
    entries = audit_entries_visible_to(request.user).filter(page=page).select_related("actor")[:N_ENTRIES]
    context = {
        "page": page,
        "name": name_of(page),
        "url": address_of(page),
        "error": error,
        "title": sent.get("title", page.title),
        "another": sent.get("name", ""),
        "tags": sent.get("tags", ", ".join(tag.name for tag in page.tags.all())),
        "reason": sent.get("reason", ""),
        "aliases": [alias.key for alias in page.aliases.all() if alias.key != page.key],
        "may_edit": may_edit(request.user, page),
        "may_retract": may_retract(request.user, page),
        "is_article": page.kind == Kind.ARTICLE,
        "is_retracted": page.visibility == Visibility.RETRACTED,
        "entries": entries,
    }
    return render(request, "texts/manage.html", context, status=status)
