"""Reporting a text, and what moderators do to one."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from wiki.accounts.access import require_role
from wiki.accounts.models import Role, User
from wiki.accounts.signing_in import page_of_people
from wiki.texts.access import Person, audit_entries_visible_to, pages_visible_to
from wiki.texts.addresses import address_of
from wiki.texts.errors import TextError
from wiki.texts.models import Page, Protection
from wiki.texts.moderation import hide, protect, unhide, unwithhold_revision, withheld_revisions, withhold_revision

from ..access import reports_visible_to
from ..forms import ModerateForm, ReasonForm
from ..models import Report
from ..reports import report_text

N_ENTRIES = 50


def _get_page_for_visitor(user: Person, pk: int) -> Page:
    page = pages_visible_to(user).select_related("author", "parent__parent").filter(pk=pk).first()
    if page is None:
        raise Http404(f"Looking for text {pk}: there is none.")
    return page


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def report_page(request: HttpRequest, pk: int) -> HttpResponse:
    assert isinstance(request.user, User)
    page = _get_page_for_visitor(request.user, pk)
    form, error = ReasonForm(request.POST or None), None
    if request.method == "POST" and form.is_valid():
        try:
            return HttpResponseRedirect(
                report_text(page, request.user, reason=form.cleaned_data["reason"]).get_absolute_url()
            )
        except TextError as refused:
            error = refused
    own = reports_visible_to(request.user).filter(page=page, reporter=request.user)
    context = {
        "page": page,
        "address": address_of(page),
        "form": form,
        "error": error,
        "earlier": own.exclude(state=Report.State.RESOLVED).first(),
    }
    return _answered(request, "moderation/report_text.html", context, refused=error, invalid=bool(form.errors))


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def moderate(request: HttpRequest, pk: int) -> HttpResponse:
    """Hide, protect, withhold a revision; what was done before; open reports."""
    assert isinstance(request.user, User)
    page = _get_page_for_visitor(request.user, pk)
    require_role(request.user, Role.MODERATOR, doing=f"Moderating {page}")
    form = ModerateForm(request.POST if request.method == "POST" else {"n": request.GET.get("rev", "")})
    error = None
    if request.method == "POST" and form.is_valid():
        try:
            _act(page, request.user, form)
            return HttpResponseRedirect(reverse("moderate-text", args=[page.pk]))
        except TextError as refused:
            error = refused
    entries = audit_entries_visible_to(request.user).filter(page=page).select_related("actor")
    reports = reports_visible_to(request.user).filter(page=page).exclude(state=Report.State.RESOLVED)
    context = {
        "page": page,
        "address": address_of(page),
        "form": form,
        "invalid": request.method == "POST" and form.errors,
        "error": error,
        "protections": Protection.choices,
        "withheld": withheld_revisions(page),
        "entries": entries[:N_ENTRIES],
        "reports": reports.select_related("reporter", "moderator"),
    }
    invalid = bool(context["invalid"])
    return _answered(request, "moderation/moderate.html", context, refused=error, invalid=invalid)


def _act(page: Page, moderator: User, form: ModerateForm) -> None:
    """Do what the button says."""
    action, reason, n = form.cleaned_data["action"], form.cleaned_data["reason"], form.cleaned_data["n"] or 0
    if action == "hide":
        hide(page, moderator, reason=reason)
    elif action == "unhide":
        unhide(page, moderator, reason=reason)
    elif action == "withhold":
        withhold_revision(page, moderator, n, reason=reason)
    elif action == "unwithhold":
        unwithhold_revision(page, moderator, n, reason=reason)
    else:
        protect(page, moderator, Protection(form.cleaned_data["protection"] or page.protection), reason=reason)


def _answered(
    request: HttpRequest, template: str, context: dict[str, object], *, refused: TextError | None, invalid: bool
) -> HttpResponse:
    """A form's page; what was typed is in it, whatever was wrong."""
    response = render(request, template, context, status=refused.status if refused else 400 if invalid else 200)
    for name, value in (refused.headers if refused else {}).items():
        response[name] = value
    return response
