"""Finding texts for views: what somebody may not see is not there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse

from wiki.lib.prepared import objects

from ..access import Person, pages_visible_to, person_of, revisions_visible_to, sight_of
from ..models import Alias, Page, Revision
from ..moderation import withheld_revisions

# What names, rights and addresses of a page read.
RELATED = ("author", "current__author", "parent__author", "parent__parent__author")


def get_page(user: Person, pk: int) -> Page:
    page = next(iter(objects(_numbered, pk, *sight_of(user))), None) if pk < 2**63 else None
    if page is None:
        raise Http404(f"Looking for text {pk}: there is none.")
    return page


def get_article(user: Person, key: str) -> Page | None:
    """The article that has or had this title, by its key."""
    return next(iter(objects(_titled, key, *sight_of(user))), None)


def _numbered(pk: int, moderates: bool | None, key: int) -> QuerySet[Page]:
    return _whole(moderates, key).filter(pk=pk)


def _titled(title: str, moderates: bool | None, key: int) -> QuerySet[Page]:
    return _whole(moderates, key).filter(pk__in=Alias.objects.filter(key=title).values("page"))


def _whole(moderates: bool | None, key: int) -> QuerySet[Page]:
    return pages_visible_to(person_of(moderates, key)).select_related(*RELATED).order_by()


def get_revision(user: Person, page: Page, n: str, *, doing: str) -> Revision:
    """A revision by its number as an address has it; 404 with a sentence where there is none, or it is withheld."""
    number = int(n) if n.isascii() and n.isdigit() and len(n) < 9 else 0
    if page.current is not None and number == page.current.n:
        return page.current
    revision = revisions_visible_to(user).select_related("author").filter(page=page, n=number).first()
    if revision is not None:
        return revision
    withheld = withheld_revisions(page).filter(revision__n=number).first()
    if withheld is not None:
        raise Http404(f"{doing}: a moderator withholds revision {number}. The reason: {withheld.reason}")
    raise Http404(f"{doing}: expected a revision from 1 to {page.version}, got “{n[:40]}”.")


def gives_back_what_was_typed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send who opens a form of writers without being signed in to sign in and back. What is sent without a session the
    view itself answers with what was typed, in an editor, and with nothing that is here: where reading needs an account
    too it is asked all the same."""

    @functools.wraps(view)
    def guarded_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated and request.method != "POST":
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    guarded_view.gives_back_what_was_typed = True  # type: ignore[attr-defined]  # read by ReadingNeedsAnAccount
    return guarded_view
