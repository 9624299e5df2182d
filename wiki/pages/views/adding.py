"""An operator adds a model: the form, and how far the worker is."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from analysis.schema import JobKind, ModelSource, SchemaError
from wiki.experiments.jobs import ask_for_measurement
from wiki.experiments.models import Measurement

from ..access import page_of_operators, require_operator
from ..adding import Adding, adding_of
from ..errors import NotFound
from ..responses import data_response

FIELDS = ("source", "revision", "slug")


@require_http_methods(["GET", "HEAD", "POST"])
@page_of_operators
def add_model(request: HttpRequest) -> HttpResponse:
    typed = {name: request.POST.get(name, "").strip() for name in FIELDS}
    if request.method != "POST":
        return render(request, "pages/add_model.html", {"typed_model": typed})
    try:
        source = ModelSource(typed["source"], revision=typed["revision"] or None, asked_slug=typed["slug"] or None)
    except SchemaError as error:
        return render(request, "pages/add_model.html", {"typed_model": typed, "error": str(error)}, status=400)
    asked = ask_for_measurement(JobKind.ADD_MODEL, source, model=None)
    return HttpResponseRedirect(reverse("adding", args=[asked.hash]))


def _get_adding_for_operator(request: HttpRequest, asked: str) -> Adding:
    require_operator(request.user)
    measurement = Measurement.objects.filter(kind=JobKind.ADD_MODEL.value, hash=asked).first()
    if measurement is None:
        raise NotFound(f"Looking for {asked[:12]}: nobody asked for a model by that hash.")
    return adding_of(measurement)


@require_safe
@page_of_operators
def adding_page(request: HttpRequest, asked: str) -> HttpResponse:
    adding = _get_adding_for_operator(request, asked)
    context = {"adding": adding, "json_url": reverse("adding-json", args=[asked])}
    return render(request, "pages/adding.html", context)


@require_safe
def adding_json(request: HttpRequest, asked: str) -> JsonResponse:
    return data_response(_get_adding_for_operator(request, asked).to_json())


@require_safe
def adding_progress(request: HttpRequest, asked: str) -> HttpResponse:
    response = render(request, "pages/_adding.html", {"adding": _get_adding_for_operator(request, asked)})
    response["Cache-Control"] = "no-store"
    return response
