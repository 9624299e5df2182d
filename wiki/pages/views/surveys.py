"""A survey: what was asked, how far it is, and the patterns it kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.metrics import NEURON_METRICS
from analysis.schema import Component
from wiki.experiments.models import Survey
from wiki.experiments.progress import progress_of
from wiki.experiments.results import StoreError, SurveyResult, open_survey

from ..addresses import require_component
from ..errors import NotFound
from ..immutable import immutable_bytes, immutable_promoted
from ..responses import data_response, progress_response


def _get_survey(survey_hash: str) -> Survey:
    try:
        return Survey.objects.select_related("model").get(hash=survey_hash)
    except Survey.DoesNotExist as error:
        raise NotFound(f"Looking for the survey {survey_hash[:12]}: no survey of that hash is here.") from error


def _read(survey: Survey) -> tuple[SurveyResult | None, str]:
    """The survey's numbers, or a sentence that says why there are none."""
    if survey.finished_at is None:
        return None, ""
    try:
        return open_survey(survey), ""
    except StoreError as error:
        return None, str(error)


def _facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), ", ".join(f"{key} {number:,}" for key, number in value.items()))
        if isinstance(value, dict)
        else (name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else _figure(value))
        for name, value in provenance.items()
    ]


def _figure(value: Any) -> str:
    """A number with its thousands apart; anything else as it is."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@require_safe
def survey_by_beginning(request: HttpRequest, beginning: str) -> HttpResponse:
    """From the digits of a hash that pages print to the survey's address."""
    found = list(Survey.objects.filter(hash__startswith=beginning)[:2])
    if len(found) != 1:
        raise NotFound(
            f"Looking for the survey {beginning[:12]}: expected the beginning of the hash of one, got "
            f"{'several that begin so' if found else 'none that begins so'}."
        )
    return HttpResponseRedirect(found[0].get_absolute_url())


@require_safe
def survey_page(request: HttpRequest, survey_hash: str) -> HttpResponse:
    survey = _get_survey(survey_hash)
    result, error = _read(survey)
    context = {
        "survey": survey,
        "model": survey.model,
        "rows": survey.parsed_spec.rows,
        "jump_model": survey.model_id,
        "spec": [(name, _figure(value)) for name, value in survey.spec.items()],
        **_progress_context(survey),
        "result": result,
        "error": error,
        "facts": _facts(result.artifact.meta["provenance"]) if result else [],
        "json_url": reverse("survey-json", args=[survey.hash]),
    }
    return render(request, "pages/survey.html", context)


def _progress_context(survey: Survey) -> dict[str, Any]:
    progress = progress_of(survey)
    moving = not (progress.finished or progress.failed)
    return {"items": [progress], "poll_url": reverse("survey-progress", args=[survey.hash]) if moving else ""}


@require_safe
def survey_progress(request: HttpRequest, survey_hash: str) -> HttpResponse:
    context = _progress_context(_get_survey(survey_hash))
    return progress_response(request, context, landed=not context["poll_url"])


@require_safe
def survey_json(request: HttpRequest, survey_hash: str) -> JsonResponse:
    survey = _get_survey(survey_hash)
    result, error = _read(survey)
    progress = progress_of(survey)
    data: dict[str, Any] = {
        "survey": survey.hash,
        "spec": survey.spec,
        "finished": progress.finished,
        "progress": progress.sentence,
    }
    if error:
        data["error"] = error
    if result:
        data["metrics"] = [metric.key for metric in result.metrics]
        data["patterns"] = [{"title": row.title, "tokens": row.tokens} for row in result.pattern_rows]
        data["provenance"] = result.provenance
    return data_response(data)


@require_safe
def pattern_bytes(request: HttpRequest, survey_hash: str, row: int, component: Component) -> HttpResponse:
    """A head's attention on a kept row: n × n bytes, row by row, 255 for 1."""
    result = _require_pattern(survey_hash, row, component)
    return immutable_bytes(lambda: result.pattern(row, component))


@require_safe
def layer_pattern_bytes(request: HttpRequest, survey_hash: str, row: int, component: Component) -> HttpResponse:
    """The attention of all heads of a layer on a kept row: head × n × n bytes, 255 for 1."""
    result = _require_pattern(survey_hash, row, component)
    return immutable_bytes(lambda: result.layer_patterns(row, component.layer))


@require_safe
def layer_neuron_floats(request: HttpRequest, survey_hash: str, component: Component) -> HttpResponse:
    """All metrics of all neurons of a layer, in the order of `NEURON_METRICS`: little-endian float32 [metric, neuron],
    NaN for what could not be computed."""
    result = _require_result(survey_hash, component, wanted="numbers")
    if not set(NEURON_METRICS) <= set(result.metrics):
        raise NotFound(
            f"Looking for the neurons of {component} in survey {survey_hash[:8]}: it did not ask for neurons."
        )
    return immutable_bytes(
        lambda: np.stack([result.metric(metric, component.layer) for metric in NEURON_METRICS]).astype("<f4")
    )


@require_safe
def value_norm_bytes(request: HttpRequest, survey_hash: str, row: int, component: Component) -> HttpResponse:
    """How long a vector a head writes for each key that it attends to fully: n float32, little-endian."""
    result = _require_pattern(survey_hash, row, component)
    return immutable_bytes(lambda: result.value_norms(row, component).astype("<f4"))


@require_safe
def promoted_json(request: HttpRequest, survey_hash: str, row: int, component: Component) -> JsonResponse:
    """The tokens that a head's output promotes at every query of a kept row, and by how much."""
    result = _require_pattern(survey_hash, row, component)
    missing = f"Looking for what {component} promotes in survey {survey_hash[:8]}: it was not computed."
    return immutable_promoted(_get_survey(survey_hash).model, result, row, component, missing=missing)


def _require_result(survey_hash: str, component: Component, *, wanted: str) -> SurveyResult:
    """The numbers of a survey where the component exists; else 404 with a sentence."""
    survey = _get_survey(survey_hash)
    require_component(survey.model, component)
    result, error = _read(survey)
    if result is None:
        raise NotFound(error or f"The survey {survey.hash[:8]} has no {wanted} yet: {progress_of(survey).sentence}")
    return result


def _require_pattern(survey_hash: str, row: int, component: Component) -> SurveyResult:
    result = _require_result(survey_hash, component, wanted="patterns")
    if row >= len(result.pattern_rows):
        kept = len(result.pattern_rows)
        raise NotFound(f"Looking for the pattern of row {row} in survey {survey_hash[:8]}: it kept {kept} rows.")
    return result
