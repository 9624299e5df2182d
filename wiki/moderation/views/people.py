"""Blocking a person and letting them write again."""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from wiki.accounts.access import people_visible_to, require_role
from wiki.accounts.models import Role, User
from wiki.accounts.signing_in import page_of_people
from wiki.texts.access import audit_entries_visible_to, require
from wiki.texts.errors import TextError

from ..access import may_block
from ..blocking import block, unblock
from ..forms import BlockForm, ReasonForm

N_ENTRIES = 50


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def block_person(request: HttpRequest, username: str) -> HttpResponse:
    assert isinstance(request.user, User)
    person = people_visible_to(request.user).filter(username=username).first() if "\0" not in username else None
    if person is None:
        raise Http404(f"Nobody here is called {username}.")
    require_role(request.user, Role.MODERATOR, doing=f"Blocking {person}")
    require(may_block(request.user, person), f"Blocking {person}", user=request.user)
    lifting = "lift" in request.POST
    form = ReasonForm(request.POST, auto_id="lift_%s") if lifting else BlockForm(request.POST or None)
    error = None
    if request.method == "POST" and form.is_valid():
        try:
            reason = form.cleaned_data["reason"]
            if lifting:
                unblock(person, request.user, reason=reason)
            else:
                until = timezone.now() + timedelta(days=int(form.cleaned_data["days"]))
                block(person, request.user, until=until, reason=reason)
            return HttpResponseRedirect(request.path)
        except TextError as refused:
            error = refused
    entries = audit_entries_visible_to(request.user).filter(person=person).select_related("actor")[:N_ENTRIES]
    context = {
        "person": person,
        "form": form if not lifting else BlockForm(),
        "lift_form": form if lifting else ReasonForm(auto_id="lift_%s"),
        "error": error,
        "entries": entries,
    }
    return render(request, "moderation/block.html", context, status=400 if error or form.errors else 200)
