"""Home: the models, and heads to begin with."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from wiki.components.models import LanguageModel

from ..access import may_add_models
from ..beginnings import Beginning, beginnings_of
from ..responses import data_response


@dataclasses.dataclass(frozen=True)
class Row:
    """A model as home lists it."""

    model: LanguageModel
    n_finished: int
    n_pinned: int
    beginnings: list[Beginning]

    def to_json(self) -> dict[str, Any]:
        model = self.model
        return {
            "slug": model.slug,
            "title": model.title,
            "hash": model.hash,
            "url": model.get_absolute_url(),
            "n_parameters": model.n_parameters,
            "n_layers": model.n_layers,
            "n_all_heads": model.n_all_heads,
            "n_all_neurons": model.n_all_neurons,
            "surveys": {"finished": self.n_finished, "pinned": self.n_pinned},
            "begin_with": [beginning.to_json() for beginning in self.beginnings],
        }


def _rows() -> list[Row]:
    return [
        Row(
            model,
            n_finished=sum(pin.survey.finished_at is not None for pin in model.pins.all()),
            n_pinned=len(model.pins.all()),
            beginnings=beginnings_of(model),
        )
        for model in LanguageModel.objects.prefetch_related("pins__survey")
    ]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    context = {"rows": _rows(), "may_add": may_add_models(request.user), "json_url": reverse("home-json")}
    return render(request, "pages/home.html", context)


@require_safe
def home_json(request: HttpRequest) -> JsonResponse:
    return data_response({"models": [row.to_json() for row in _rows()]})
