"""Published results of causal scrubbing beside ours, and hypotheses that must be caught."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.replications.recorded import read_recorded
from analysis.replications.table import BRACKETS, INDUCTION, LANGUAGE_MODEL

from ..replicated import Replications
from ..responses import data_response


@require_safe
def replications_page(request: HttpRequest) -> HttpResponse:
    recorded = read_recorded()
    of = Replications(recorded)
    context = {
        "brackets": of.group(BRACKETS),
        "induction": of.group(INDUCTION),
        "gallery": of.gallery(),
        "side_by_side": of.side_by_side(),
        "bracket_heads": recorded["found"][BRACKETS],
        "induction_heads": recorded["found"][INDUCTION],
        "language_model_heads": recorded["found"][LANGUAGE_MODEL],
        "recorded": recorded,
        "provenance": sorted(
            {
                (row["model"], row["model_hash"], f"{row['task']}, {row['split']}", row["about"]["dataset_hash"])
                for row in of.rows.values()
            }
        ),
        "json_url": reverse("replications-json"),
    }
    return render(request, "pages/replications.html", context)


@require_safe
def replications_json(request: HttpRequest) -> JsonResponse:
    return data_response(read_recorded())
