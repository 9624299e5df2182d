"""The real site, and a form with the editor in it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

_FORM = """{% extends "texts/base.html" %}
{% block main %}
  <h1>Write</h1>
  <form method="post" action="/form/">
    {% csrf_token %}
    {% include "texts/_editor.html" with text=text model_slug=model_slug %}
    <button>Save</button>
  </form>
{% endblock main %}"""


def form(request: HttpRequest) -> HttpResponse:
    """`?text=` is what is in it, `?model=` the model that it is about."""
    context = {"text": request.GET.get("text", ""), "model_slug": request.GET.get("model", "")}
    return HttpResponse(engines["django"].from_string(_FORM).render(context, request))


urlpatterns = [path("form/", form), path("", include("wiki.urls")), path("write/article/", form, name="new-article")]
handler403 = "wiki.pages.errors.refused"
handler404 = "wiki.pages.errors.page_not_found"
