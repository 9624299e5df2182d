"""Notifications: the list, one, reading them, how one wants them, and wanting them no more."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from wiki.accounts.signing_in import page_of_people
from wiki.lib.paging import part_of
from wiki.lib.prepared import objects
from wiki.texts.access import person_of, sight_of
from wiki.texts.addresses import address_of
from wiki.texts.threads import address_in_thread

from ..access import notifications_visible_to
from ..digests import stop_digests, user_of, with_names
from ..forms import PreferencesForm
from ..models import Notification, Preferences, Reason
from ..notifying import mark_read
from ..sentences import line_of

PAGE_SIZE = 50


@require_safe
@page_of_people
def notifications(request: HttpRequest) -> HttpResponse:
    sight = sight_of(request.user)
    page = part_of(lambda *part: objects(_told, part, *sight), PAGE_SIZE, request.GET.get("page"))
    context = {
        "page": page,
        "told": [(each, line_of(each)) for each in page.object_list],
        "newest": max((each.pk for each in page.object_list), default=0),
        "has_unread": any(each.read_at is None for each in page.object_list),
        "json_url": reverse("notifications-json"),
    }
    return render(request, "following/notifications.html", context)


def _told(part: tuple[int, int], moderates: bool | None, key: int) -> QuerySet[Notification]:
    return with_names(notifications_visible_to(person_of(moderates, key)))[slice(*part)]


@require_safe
def notifications_json(request: HttpRequest) -> JsonResponse:
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Listing notifications: expected somebody who is signed in."}, status=401)
    rows = objects(_told, (0, PAGE_SIZE), *sight_of(request.user))
    data = [
        {
            "id": each.pk,
            "line": line_of(each),
            "reason": each.reason,
            "target": each.target,
            "url": _address(each),
            "revision": each.revision.n if each.revision else None,
            "at": each.created_at.isoformat(),
            "read": each.read_at is not None,
        }
        for each in rows
    ]
    return JsonResponse({"notifications": data}, json_dumps_params={"ensure_ascii": False, "indent": 1})


@require_GET
@page_of_people
def notification(request: HttpRequest, pk: int) -> HttpResponse:
    """Go where it happened, of a reply into its thread; from then on it is read."""
    told = _own(request, pk)
    mark_read(Notification.objects.filter(pk=told.pk))
    is_answer = told.reason == Reason.ANSWER
    return HttpResponseRedirect(_address(told) if is_answer else address_in_thread(told.page, user=request.user))


@require_POST
@page_of_people
def read(request: HttpRequest) -> HttpResponse:
    """Mark the one that the form names as read, or all up to the newest that the page showed."""
    number = request.POST.get("one", "") or request.POST.get("newest", "")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Http404("Marking notifications as read: expected the number of one.")
    if request.POST.get("one"):
        mark_read(Notification.objects.filter(pk=_own(request, int(number)).pk))
    else:
        mark_read(notifications_visible_to(request.user).filter(pk__lte=int(number)))
    return HttpResponseRedirect(reverse("notifications"))


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_people
def settings_page(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    preferences = Preferences.objects.filter(user=request.user).first() or Preferences(user=request.user)
    given = {"watches_own": preferences.watches_own, "digest": preferences.digest}
    form = PreferencesForm(request.POST if request.method == "POST" else given)
    if request.method == "POST" and form.is_valid():
        Preferences.objects.update_or_create(
            user=request.user, defaults={**form.cleaned_data, "site": request.build_absolute_uri("/")[:300]}
        )
        return HttpResponseRedirect(reverse("notification-settings") + "?saved")
    context = {"form": form, "is_saved": "saved" in request.GET and not form.errors}
    return render(request, "following/settings.html", context, status=400 if form.errors else 200)


@csrf_exempt  # mail programs post here with one click (RFC 8058); the token is what says who
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """A page with a button, for what opens links in mails to look at them stops nothing; a POST stops the digests."""
    user = stop_digests(token) if request.method == "POST" else user_of(token)
    if user is None:
        raise Http404("Stopping e-mails: this link is not whole, or not of this site.")
    context = {"person": user, "is_done": request.method == "POST"}
    return render(request, "following/unsubscribe.html", context)


def _address(told: Notification) -> str:
    return told.target if told.reason == Reason.ANSWER else address_of(told.page)


def _own(request: HttpRequest, pk: int) -> Notification:
    return get_object_or_404(notifications_visible_to(request.user).select_related("page__parent"), pk=pk)
