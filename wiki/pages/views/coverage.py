"""What is written about a model's parts, what is wanted, and who works on what."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from analysis.schema import Component, ComponentKind
from wiki.components.addresses import component_url
from wiki.coverage.counting import all_written, coverage_of
from wiki.coverage.working import give_up, take_up
from wiki.texts.errors import TextError

from ..addresses import get_model, require_component
from ..caching import cached_page
from ..errors import NotFound
from ..footer import provenance_of
from ..measurements import measurements_of
from ..responses import data_response
from ..wanted import Wanted, wanted_parts

PER_PAGE = 50
KINDS = {"": None, "head": ComponentKind.HEAD, "neuron": ComponentKind.NEURON}


def _asked(request: HttpRequest, slug: str) -> tuple[str, int]:
    kind, page = request.GET.get("kind", ""), request.GET.get("page", "1")
    if kind not in KINDS or not (page.isascii() and page.isdigit() and int(page[:6]) > 0):
        raise NotFound(
            f"Looking for what is wanted: expected kind=head or neuron and a page from 1, got “{kind[:40]}” and "
            f"“{page[:40]}”.",
            slug=slug,
        )
    return kind, int(page[:6])


def _at(here: str, parameters: Mapping[str, object]) -> str:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{here}?{query}" if query else here


def _part(wanted: list[Wanted], page: int) -> list[Wanted]:
    return wanted[(page - 1) * PER_PAGE : page * PER_PAGE]


@require_safe
@cached_page("kind", "page")
def wanted_page(request: HttpRequest, slug: str) -> HttpResponse:
    model = get_model(slug)
    kind, page = _asked(request, slug)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    wanted = wanted_parts(measurements, coverage_of(model.slug, user=request.user), kind=KINDS[kind])
    here = reverse("wanted-parts", args=[model.slug])
    kept = {"survey": measurements.survey} if measurements.survey else {}
    asked = {**kept, **({"kind": kind} if kind else {})}
    context = {
        "model": model,
        "jump_model": model.slug,
        "measurements": measurements,
        "n_wanted": len(wanted),
        "first": (page - 1) * PER_PAGE,
        "wanted": _part(wanted, page),
        "kinds": [(label, _at(here, {**kept, "kind": each}), each == kind) for each, label in _LABELS],
        "newer_url": _at(here, {**asked, "page": page - 1}) if page > 1 else "",
        "older_url": _at(here, {**asked, "page": page + 1}) if len(wanted) > page * PER_PAGE else "",
        "provenance": provenance_of(measurements),
        "json_url": reverse("wanted-parts-json", args=[model.slug], query=request.GET),
    }
    return render(request, "pages/wanted_parts.html", context)


_LABELS = [("", "heads and neurons"), ("head", "heads"), ("neuron", "neurons")]


@require_safe
def wanted_json(request: HttpRequest, slug: str) -> JsonResponse:
    """What is wanted, and what of all parts is written about."""
    model = get_model(slug)
    kind, page = _asked(request, slug)
    coverage = coverage_of(model.slug, user=request.user)
    measurements = measurements_of(model, survey=request.GET.get("survey", ""))
    wanted = wanted_parts(measurements, coverage, kind=KINDS[kind])
    summaries, notes = all_written(model.slug)
    return data_response(
        {
            "model": model.slug,
            "wanted": [each.to_json() for each in _part(wanted, page)],
            "page": page,
            "n_wanted": len(wanted),
            "summaries": summaries,
            "notes": notes,
            "worked_on": {
                name: [{"by": work.user.get_username(), "until": work.until.isoformat()} for work in works]
                for name, works in sorted(coverage.works.items())
            },
            "provenance": measurements.provenance_json(),
        }
    )


@require_POST
def work_on(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    """Take a part up for seven days, or give it up."""
    model = get_model(slug)
    require_component(model, component)
    here = component_url(model, component)
    if not request.user.is_authenticated:
        return redirect_to_login(here)
    action = request.POST.get("action", "")
    if action not in ("take up", "give up"):
        sentence = f"Working on {component}: expected to take up or give up, got “{action[:40]}”."
        return render(request, "400.html", {"sentence": sentence}, status=400)
    try:
        if action == "take up":
            take_up(request.user, model.slug, str(component))
        else:
            give_up(request.user, model.slug, str(component))
    except TextError as refusal:
        return render(request, "400.html", {"sentence": str(refusal)}, status=400)
    return HttpResponseRedirect(here)
