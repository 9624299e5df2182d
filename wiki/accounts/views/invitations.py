"""Moderators ask people in; whom they ask signs up."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from ..access import require_role, require_unblocked
from ..adapter import SESSION_KEY, refuse_invitation
from ..forms import InvitationForm
from ..invitations import DAYS_OPEN, InvitationError, get_open_invitation, hash_of, invite, send_invitation
from ..models import Invitation, Role
from ..signing_in import page_of_people

# Newest first; older ones have expired.
N_LISTED = 200


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@page_of_people
def invitations(request: HttpRequest) -> HttpResponse:
    """The list, and the form for a new one, whose link is shown once."""
    require_role(request.user, Role.MODERATOR, doing="Inviting")
    require_unblocked(request.user, doing="Inviting")
    assert request.user.is_authenticated
    form = InvitationForm(request.POST or None)
    link = made = None
    if request.method == "POST" and form.is_valid():
        email, role = form.cleaned_data["email"], Role(form.cleaned_data["role"])
        made, token = invite(request.user, email=email, role=role)
        link = request.build_absolute_uri(reverse("invitation", args=[token]))
        if made.email:
            send_invitation(made, link)
        form = InvitationForm()
    listed = Invitation.objects.select_related("invited_by", "used_by")[:N_LISTED]
    context = {"form": form, "link": link, "made": made, "invitations": listed, "days_open": DAYS_OPEN}
    return render(request, "accounts/invitations.html", context, status=400 if form.errors else 200)


@require_safe
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Remember in the session by which invitation somebody signs up, and lead them there."""
    try:
        found = get_open_invitation(hash_of(token))
        if request.user.is_authenticated:
            raise InvitationError(
                f"This invitation is for somebody without an account; you are signed in as {request.user}."
            )
    except InvitationError as error:
        return refuse_invitation(request, error)
    request.session[SESSION_KEY] = found.token_sha256
    query = f"?{urlencode({'email': found.email})}" if found.email else ""
    return HttpResponseRedirect(reverse("account_signup") + query)
