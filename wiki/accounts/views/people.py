"""A person's profile, and their own settings."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ..access import has_role, people_visible_to, roles_to_give
from ..forms import SettingsForm
from ..models import Role, User
from ..roles import give_role
from ..signing_in import page_of_people


def _get_person_for_visitor(request: HttpRequest, username: str) -> User:
    # PostgreSQL refuses to look for a NUL
    person = people_visible_to(request.user).filter(username=username).first() if "\0" not in username else None
    if person is None:
        raise Http404(f"Nobody here is called {username}.")
    return person


@require_safe
def person(request: HttpRequest, username: str) -> HttpResponse:
    shown = _get_person_for_visitor(request, username)
    context = {
        "person": shown,
        "role": Role(shown.role),
        "groups": shown.research_groups.all(),
        "roles_to_give": roles_to_give(request.user, shown),
        "is_own": request.user == shown,
    }
    return render(request, "accounts/person.html", context)


@require_POST
@page_of_people
def change_role(request: HttpRequest, username: str) -> HttpResponse:
    shown = _get_person_for_visitor(request, username)
    given = request.POST.get("role", "")
    allowed = {str(role.value): role for role in roles_to_give(request.user, shown)}
    if given not in allowed:
        raise PermissionDenied(
            f"Changing the role of {shown}: expected a role that {request.user} may give, got {given}."
        )
    assert request.user.is_authenticated
    give_role(shown, allowed[given], by=request.user)
    return HttpResponseRedirect(shown.get_absolute_url())


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def settings_page(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    form = SettingsForm(request.POST if request.method == "POST" else {"shown_name": request.user.shown_name})
    if request.method == "POST" and form.is_valid():
        request.user.shown_name = form.cleaned_data["shown_name"]
        request.user.save(update_fields=["shown_name"])
        return HttpResponseRedirect(reverse("settings"))
    context = {"form": form, "may_invite": has_role(request.user, Role.MODERATOR)}
    return render(request, "accounts/settings.html", context, status=400 if form.errors else 200)
