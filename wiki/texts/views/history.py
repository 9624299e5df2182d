"""What a text said before: all its revisions, what else was done to it, what changed between two, and the way back."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from wiki.accounts.models import User
from wiki.accounts.signing_in import page_of_people

from ..access import Person, audit_entries_visible_to, may_edit, require, revisions_visible_to
from ..addresses import address_of, name_of
from ..comparing import diff, fold
from ..errors import EditConflict, TextError
from ..events import what_was_done
from ..models import AuditEntry, Page, Revision
from ..moderation import withheld_revisions
from ..writing import revert_to
from .finding import get_page, get_revision

PER_PAGE = 50
MAX_EVENTS = 200  # beside one page of revisions


@require_safe
def history(request: HttpRequest, pk: int) -> HttpResponse:
    page = get_page(request.user, pk)
    revisions, older = _revisions(request, page)
    context = {
        "page": page,
        "name": name_of(page),
        "url": address_of(page),
        "rows": _rows(revisions, _events(request, page, revisions, has_older=older is not None)),
        "n_revisions": len(revisions),
        "withheld": {each.revision.n: each.reason for each in withheld_revisions(page)},
        "older": older,
        "may_edit": may_edit(request.user, page),
    }
    return render(request, "texts/history.html", context)


@require_safe
def history_json(request: HttpRequest, pk: int) -> JsonResponse:
    page = get_page(request.user, pk)
    revisions, older = _revisions(request, page)
    withheld = {each.revision.n: each.reason for each in withheld_revisions(page)}
    return JsonResponse(
        {
            "id": page.pk,
            "name": name_of(page),
            "revisions": [_json(revision, withheld.get(revision.n)) for revision in revisions],
            "events": [
                {"at": each.created_at.isoformat(), "line": line, "reason": each.reason}
                for each, line in _events(request, page, revisions, has_older=older is not None)
            ],
            "before": older,
        },
        json_dumps_params={"ensure_ascii": False, "indent": 1},
    )


def _json(revision: Revision, withheld: str | None) -> dict[str, Any]:
    data = {
        "n": revision.n,
        "author": revision.author.get_username(),
        "created_at": revision.created_at.isoformat(),
    }
    if withheld is not None:
        return data | {"withheld": withheld}
    return data | {"summary": revision.summary, "sha256": revision.digest}


def _revisions(request: HttpRequest, page: Page) -> tuple[list[Revision], int | None]:
    """The newest revisions, or those before `?before=`; and where the older ones begin. No texts are read."""
    before = request.GET.get("before", "")
    found = page.revisions.select_related("author").defer("text", "fields").order_by("-n")
    if before.isascii() and before.isdigit() and len(before) < 9:
        found = found.filter(n__lt=int(before))
    shown = list(found[: PER_PAGE + 1])
    return shown[:PER_PAGE], shown[PER_PAGE - 1].n if len(shown) > PER_PAGE else None


def _events(
    request: HttpRequest, page: Page, revisions: list[Revision], *, has_older: bool
) -> list[tuple[AuditEntry, str]]:
    """What else was done to a page while it said what these revisions say, of what is for who asks, newest first."""
    if not revisions:
        return []
    entries = audit_entries_visible_to(request.user).filter(page=page).select_related("actor")
    if has_older:
        entries = entries.filter(created_at__gte=revisions[-1].created_at)
    if revisions[0].n < page.version:
        later = page.revisions.filter(n=revisions[0].n + 1)
        entries = entries.filter(created_at__lt=later.values("created_at"))
    return [(entry, what_was_done(entry, "this")) for entry in entries[:MAX_EVENTS]]


def _rows(revisions: list[Revision], events: list[tuple[AuditEntry, str]]) -> list[dict[str, Any]]:
    """Both in one order of time, newest first."""
    rows: list[dict[str, Any]] = [
        *({"at": each.created_at, "event": each, "line": line} for each, line in events),
        *({"at": each.created_at, "revision": each, "place": place} for place, each in enumerate(revisions, start=1)),
    ]
    return sorted(rows, key=lambda row: row["at"], reverse=True)


@require_safe
def difference(request: HttpRequest, pk: int) -> HttpResponse:
    """What changed from one revision to another, word by word."""
    page, user = get_page(request.user, pk), request.user
    doing = f"Comparing revisions of {name_of(page)}"
    after = get_revision(user, page, request.GET.get("to") or str(page.version), doing=doing)
    before = get_revision(user, page, request.GET.get("from") or _before(user, page, after), doing=doing)
    context = {
        "page": page,
        "name": name_of(page),
        "url": address_of(page),
        "before": before,
        "after": after,
        "changes": fold(diff(before.text, after.text)),
        "may_edit": may_edit(user, page) and before.n != page.version,
    }
    return render(request, "texts/diff.html", context)


def _before(user: Person, page: Page, revision: Revision) -> str:
    """The newest revision before one that nobody withholds; of the first that itself."""
    earlier = revisions_visible_to(user).filter(page=page, n__lt=revision.n).aggregate(newest=Max("n"))["newest"]
    return str(earlier or revision.n)


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def revert(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what going back to a revision changes, and do it."""
    page, user = get_page(request.user, pk), request.user
    doing = f"Going back in {name_of(page)}"
    require(may_edit(user, page), doing, user=user, page=page)
    assert isinstance(user, User)
    assert page.current is not None
    sent = request.POST if request.method == "POST" else request.GET
    old = get_revision(user, page, sent.get("to", ""), doing=doing)
    error, status = "", 200
    if request.method == "POST":
        base = sent.get("base_version", "")
        try:
            revert_to(
                page,
                user,
                old.n,
                base_version=int(base) if base.isascii() and base.isdigit() and len(base) < 9 else 0,
                submission=sent.get("submission", "")[:64],
            )
            return HttpResponseRedirect(address_of(page))
        except EditConflict as conflict:
            error, status = f"{conflict} Look at what going back changes now.", 409
            page = get_page(user, pk)
        except TextError as refusal:
            error, status = str(refusal), refusal.status
        except PermissionDenied as refusal:
            error, status = str(refusal), 403
    assert page.current is not None
    context = {
        "page": page,
        "name": name_of(page),
        "url": address_of(page),
        "old": old,
        "changes": fold(diff(page.current.text, old.text)),
        "error": error,
        "submission": secrets.token_hex(16),
    }
    return render(request, "texts/revert.html", context, status=status)
