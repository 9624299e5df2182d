"""What readers who are signed in, or are not, change about every page."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import Resolver404, resolve
from django.utils.cache import patch_cache_control

from .demo import may_sign_in
from .models import User

# What signs people in, says whether the site is well, is signed by workers or asks for an access key; static files are
# answered before.
OPEN = ("/accounts/", "/health/", "/api/jobs/", "/api/runs/")
DATA = (".json", ".atom", ".u8", ".f32")
SENTENCE = "Reading this site: expected somebody who is signed in, got nobody."


class DemoStaysAtHome:
    """Demo accounts that signed in where there was a demo are signed out where there is none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # who has no session is not looked for: their pages are the same for all
        has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
        if has_session and isinstance(request.user, User) and not may_sign_in(request.user, request):
            logout(request)
        return self.get_response(request)


class NamesStayPrivate:
    """Pages have the reader's name at their top: nothing between site and browser may keep those of who may be signed
    in, and the browser asks each time whether they are still the same."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if is_page and settings.SESSION_COOKIE_NAME in request.COOKIES and "Cache-Control" not in response:
            patch_cache_control(response, private=True, no_cache=True)
        return response


class ReadingNeedsAnAccount:
    """Where LOUPE_ANONYMOUS_READING=no: pages lead to sign in, data answer 401 with a sentence.

    A form that was sent after its session ended is answered by its view, if that gives it back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if settings.ANONYMOUS_READING:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(OPEN):
            return self.get_response(request)
        if not request.user.is_authenticated and not _gives_back(request):
            if request.path.endswith(DATA):
                return JsonResponse({"error": SENTENCE}, status=401)
            return redirect_to_login(request.get_full_path())
        response = self.get_response(request)
        patch_cache_control(response, private=True)  # nothing between site and browser may keep it for others
        return response


def _gives_back(request: HttpRequest) -> bool:
    if request.method != "POST":
        return False
    try:
        view = resolve(request.path).func
    except Resolver404:
        return False
    gives_back_text = getattr(view, "gives_back_what_was_typed", False) and bool(request.POST.get("text"))
    return gives_back_text or getattr(view, "gives_back_what_was_sent", False)
