"""The audit log: what was done to texts and people other than writing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from wiki.accounts.access import require_role
from wiki.accounts.models import Role
from wiki.accounts.signing_in import page_of_people
from wiki.texts.access import audit_entries_visible_to
from wiki.texts.addresses import address_of
from wiki.texts.models import AuditEntry

from ..paging import Listed, list_before


def _chosen(request: HttpRequest) -> dict[str, str]:
    """The filters of the address; one that is not understood finds nothing, and stands in its field."""
    return {name: request.GET.get(name, "").replace("\0", "").strip() for name in ("action", "by", "person", "page")}


def _listed(request: HttpRequest) -> Listed[AuditEntry]:
    require_role(request.user, Role.MODERATOR, doing="Reading the audit log")
    chosen = _chosen(request)
    entries = audit_entries_visible_to(request.user).select_related("actor", "person", "page")
    if chosen["action"]:
        entries = entries.filter(action=chosen["action"])
    if chosen["by"]:
        entries = entries.filter(actor__username=chosen["by"])
    if chosen["person"]:
        entries = entries.filter(person__username=chosen["person"])
    if chosen["page"]:
        number = chosen["page"]
        entries = entries.filter(page=int(number)) if _is_number(number) else entries.none()
    return list_before(entries, request)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


@require_safe
@page_of_people
def audit(request: HttpRequest) -> HttpResponse:
    listed = _listed(request)
    context = {
        "listed": listed,
        "rows": [(entry, address_of(entry.page) if entry.page else "") for entry in listed.rows],
        "chosen": _chosen(request),
        "actions": AuditEntry.Action.choices,
    }
    return render(request, "moderation/audit.html", context)


@require_safe
@page_of_people
def audit_json(request: HttpRequest) -> JsonResponse:
    listed = _listed(request)
    return JsonResponse({"entries": [_data(each) for each in listed.rows], "next": listed.next_query})


def _data(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "at": entry.created_at,
        "by": entry.actor.username,
        "action": entry.action,
        "page": entry.page_id,
        "person": entry.person.username if entry.person else None,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }
