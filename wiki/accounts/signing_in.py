"""Pages for people who are signed in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

TOKEN = "csrfmiddlewaretoken"  # noqa: S105 (the name of a field)
LONG = 60  # characters of what stands in more than a line


def page_of_people(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send who is not signed in to sign in and back, and give back what they sent to be sent again."""

    @functools.wraps(view)
    def guarded_view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if request.method == "POST":
            return _give_back(request)
        return redirect_to_login(request.get_full_path())

    guarded_view.gives_back_what_was_sent = True  # type: ignore[attr-defined]  # read by ReadingNeedsAnAccount
    return guarded_view


def _give_back(request: HttpRequest) -> HttpResponse:
    """What was sent, and nothing that is here: who sent it may not be who opened the form."""
    sent = [
        {"name": name, "value": value, "is_long": len(value) > LONG or "\n" in value}
        for name, values in request.POST.lists()
        for value in values
        if name != TOKEN
    ]
    return render(request, "accounts/sent_without_session.html", {"sent": sent}, status=403)
