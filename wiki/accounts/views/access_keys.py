"""A person's access keys: made, shown once, taken back."""

from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from ..access_keys import AccessKeyError, make_key
from ..forms import AccessKeyForm
from ..models import User
from ..signing_in import page_of_people


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@page_of_people
def access_keys(request: HttpRequest) -> HttpResponse:
    """The list, and the form for a new one, whose secret is shown once."""
    return _make(request) if request.method == "POST" else _page(request, AccessKeyForm())


# A key acts for a person for months: a browser that was left open does not make one.
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth has no types
def _make(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = AccessKeyForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    try:
        _, secret = make_key(request.user, name=form.cleaned_data["name"], days=form.cleaned_data["days"])
    except AccessKeyError as error:
        form.add_error(None, str(error))
        return _page(request, form)
    return _page(request, AccessKeyForm(), secret=secret)


def _page(request: HttpRequest, form: AccessKeyForm, *, secret: str = "") -> HttpResponse:
    assert isinstance(request.user, User)
    context = {"form": form, "secret": secret, "keys": request.user.access_keys.all()}
    return render(request, "accounts/access_keys.html", context, status=400 if form.errors else 200)


@require_POST
@page_of_people
def remove_access_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a key back: whoever has it is nobody from now on."""
    assert isinstance(request.user, User)
    removed, _ = request.user.access_keys.filter(pk=pk).delete()
    if not removed:
        raise Http404("You have no such access key.")
    return HttpResponseRedirect(reverse("access-keys"))
