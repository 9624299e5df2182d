"""Watching, and what one watches."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from wiki.accounts.signing_in import page_of_people
from wiki.components.addresses import component_url
from wiki.texts.access import pages_visible_to
from wiki.texts.addresses import address_of, name_of
from wiki.texts.models import Watch
from wiki.texts.targets import Resolution, Target, normalise, resolve
from wiki.texts.watching import unwatch, watch

PAGE_SIZE = 50


@require_POST
@page_of_people
def set_watch(request: HttpRequest) -> HttpResponse:
    """Watch what the form names, or with `on` left out no more, and go back to where the button was."""
    assert request.user.is_authenticated
    words = request.POST.get("target", "")
    target = normalise(words)
    if target is None:
        raise Http404(f"Watching “{words[:80]}”: expected a model, a component, a page or a person.")
    if not request.POST.get("on"):
        unwatch(request.user, target)
    elif target in resolve([target], user=request.user):
        watch(request.user, target)
    else:
        raise Http404(f"Watching “{words[:80]}”: there is nothing of that name here.")
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(back if is_ours else reverse("watching"))


@require_safe
@page_of_people
def watching(request: HttpRequest) -> HttpResponse:
    assert request.user.is_authenticated
    page = Paginator(Watch.objects.filter(user=request.user), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "watched": _watched(request, page.object_list), "json_url": reverse("watching-json")}
    return render(request, "following/watching.html", context)


@require_safe
def watching_json(request: HttpRequest) -> JsonResponse:
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Listing what you watch: expected somebody who is signed in."}, status=401)
    rows = Watch.objects.filter(user=request.user)
    data = [{"target": row.target, "since": row.created_at.isoformat()} for row in rows]
    return JsonResponse({"watching": data}, json_dumps_params={"ensure_ascii": False, "indent": 1})


def _watched(request: HttpRequest, rows: Any) -> list[dict[str, Any]]:
    """What one watches, with where it is now; five queries, however many there are."""
    targets = {row.target: normalise(row.target) for row in rows}
    found = resolve([target for target in targets.values() if target], user=request.user)
    # their names say by whom and about what they are
    pages = pages_visible_to(request.user).select_related("author", "parent__author", "parent__parent__author")
    by_number = pages.in_bulk([here.page.pk for here in found.values() if here.page])
    found = {
        target: dataclasses.replace(here, page=by_number.get(here.page.pk)) if here.page else here
        for target, here in found.items()
    }
    return [{"target": row.target, "since": row.created_at, **_shown(targets[row.target], found)} for row in rows]


def _shown(target: Target | None, found: dict[Target, Resolution]) -> dict[str, str]:
    """The name and address of a target; no address where it is not there, or not to be seen, any more."""
    here = found.get(target) if target else None
    if here is None or here == Resolution():
        return {"name": "", "url": ""}
    if here.component is not None and here.model is not None:
        return {
            "name": f"{here.component.kind.value} of {here.model.title}",
            "url": component_url(here.model, here.component),
        }
    if here.model is not None:
        return {"name": f"model {here.model.title}", "url": here.model.get_absolute_url()}
    if here.user is not None:
        return {"name": here.user.shown_name or "what this person writes", "url": here.user.get_absolute_url()}
    assert here.page is not None
    return {"name": name_of(here.page), "url": address_of(here.page)}
