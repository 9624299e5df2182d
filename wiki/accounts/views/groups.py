"""Research groups: the list, and each with its members."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from ..access import (
    has_role,
    is_blocked,
    may_change_members,
    people_visible_to,
    require_lead,
    require_role,
    require_unblocked,
)
from ..forms import GroupForm
from ..groups import GroupError, add_member, create_group, remove_member
from ..models import ResearchGroup, Role, User


def _get_account(username: str, *, doing: str) -> User:
    username = username.replace("\0", "").strip()
    person = User.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise GroupError(f"{doing}: expected the name of an account here, got “{username}”.")
    return person


@require_http_methods(["GET", "HEAD", "POST"])
def research_groups(request: HttpRequest) -> HttpResponse:
    form, error = GroupForm(request.POST or None), ""
    if request.method == "POST":
        require_role(request.user, Role.MODERATOR, doing="Creating a group")
        require_unblocked(request.user, doing="Creating a group")
        assert request.user.is_authenticated
        if form.is_valid():
            try:
                lead = _get_account(form.cleaned_data["lead"], doing="Creating a group")
                made = create_group(form.cleaned_data["name"], lead=lead, created_by=request.user)
                return HttpResponseRedirect(made.get_absolute_url())
            except GroupError as refused:
                error = str(refused)
    context = {
        "groups": ResearchGroup.objects.select_related("lead").prefetch_related("members"),
        "may_create": has_role(request.user, Role.MODERATOR) and not is_blocked(request.user),
        "form": form,
        "error": error,
    }
    return render(request, "accounts/groups.html", context, status=400 if error or form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def research_group(request: HttpRequest, slug: str) -> HttpResponse:
    group = ResearchGroup.objects.select_related("lead").filter(slug=slug).first()
    if group is None:
        raise Http404(f"No group is called {slug}.")
    error = ""
    if request.method == "POST":
        require_unblocked(request.user, doing=f"Changing who is in {group}")
        require_lead(request.user, group)
        assert request.user.is_authenticated
        try:
            if removed := request.POST.get("remove"):
                remove_member(group, _get_account(removed, doing=f"Removing from {group}"))
            else:
                person = _get_account(request.POST.get("add", ""), doing=f"Adding to {group}")
                add_member(group, person, added_by=request.user)
            return HttpResponseRedirect(group.get_absolute_url())
        except GroupError as refused:
            error = str(refused)
    members = group.memberships.filter(person__in=people_visible_to(request.user)).select_related("person")
    context = {
        "group": group,
        "memberships": members,
        "may_change": may_change_members(request.user, group),
        "error": error,
    }
    return render(request, "accounts/group.html", context, status=400 if error else 200)
