"""Reports: moderators see all and answer them, others what came of their own."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from wiki.accounts.access import has_role, require_role
from wiki.accounts.models import Role, User
from wiki.accounts.signing_in import page_of_people
from wiki.texts.access import pages_visible_to
from wiki.texts.addresses import address_of
from wiki.texts.errors import TextError

from ..access import reports_visible_to
from ..forms import ResolveForm
from ..models import Report
from ..paging import Listed, list_before
from ..reports import resolve_report, take_report

STATES = ("waiting", *Report.State.values, "all")


def _listed(request: HttpRequest) -> tuple[str, Listed[Report]]:
    """The chosen state and the reports in it; “waiting” are those that nobody has resolved."""
    state = request.GET.get("state", "")
    if state not in STATES:
        state = "waiting" if has_role(request.user, Role.MODERATOR) else "all"
    found: QuerySet[Report] = reports_visible_to(request.user).select_related("page", "reporter", "moderator")
    if state == "waiting":
        found = found.exclude(state=Report.State.RESOLVED)
    elif state != "all":
        found = found.filter(state=state)
    return state, list_before(found, request)


@require_safe
@page_of_people
def reports(request: HttpRequest) -> HttpResponse:
    state, listed = _listed(request)
    context = {
        "state": state,
        "states": STATES,
        "listed": listed,
        "all_of_them": has_role(request.user, Role.MODERATOR),
    }
    return render(request, "moderation/reports.html", context)


@require_safe
@page_of_people
def reports_json(request: HttpRequest) -> JsonResponse:
    _, listed = _listed(request)
    return JsonResponse({"reports": [_data(each) for each in listed.rows], "next": listed.next_query})


def _data(report: Report) -> dict[str, Any]:
    return {
        "id": report.pk,
        "page": report.page_id,
        "revision": report.n,
        "reporter": report.reporter.username,
        "reason": report.reason,
        "created_at": report.created_at,
        "state": report.state,
        "moderator": report.moderator.username if report.moderator else None,
        "outcome": report.outcome or None,
        "answer": report.answer or None,
        "resolved_at": report.resolved_at,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def report(request: HttpRequest, pk: int) -> HttpResponse:
    """One report: its reporter reads what came of it, moderators take and resolve it."""
    assert isinstance(request.user, User)
    shown = reports_visible_to(request.user).select_related("page", "reporter", "moderator").filter(pk=pk).first()
    if shown is None:
        raise Http404(f"Looking for report {pk}: there is none.")
    form, error = ResolveForm(request.POST if "outcome" in request.POST else None), None
    if request.method == "POST":
        require_role(request.user, Role.MODERATOR, doing=f"Answering {shown}")
        try:
            if "take" in request.POST:
                take_report(shown, request.user)
                return HttpResponseRedirect(shown.get_absolute_url())
            if form.is_valid():
                outcome = Report.Outcome(form.cleaned_data["outcome"])
                resolve_report(shown, request.user, outcome, answer=form.cleaned_data["answer"])
                return HttpResponseRedirect(shown.get_absolute_url())
        except TextError as refused:
            error = refused
    context = {
        "report": shown,
        # what was reported may be hidden by now
        "page": pages_visible_to(request.user).filter(pk=shown.page_id).first(),
        "address": address_of(shown.page),
        "form": form,
        "error": error,
        "answers": has_role(request.user, Role.MODERATOR) and shown.state != Report.State.RESOLVED,
    }
    invalid = request.method == "POST"
    return render(request, "moderation/report.html", context, status=error.status if error else 400 if invalid else 200)
