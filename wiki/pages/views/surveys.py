"""A survey: what was asked, how far it is, and the patterns it kept."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component
from wiki.experiments.models import Survey
from wiki.experiments.progress import progress_of
from wiki.experiments.results import StoreError, SurveyResult, open_survey, open_vocabulary

from ..addresses import require_component
from ..errors import NotFound
from ..responses import data_response, progress_response

# What lies at an address with a survey's hash never changes.
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


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
        else (name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in provenance.items()
    ]


@require_safe
def survey_page(request: HttpRequest, survey_hash: str) -> HttpResponse:
    survey = _get_survey(survey_hash)
    result, error = _read(survey)
    context = {
        "survey": survey,
        "model": survey.model,
        "jump_model": survey.model_id,
        "spec": survey.spec,
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
    return progress_response(request, **context, landed=not context["poll_url"])


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


def _kept_text(survey_hash: str, row: int, component: Component) -> tuple[Survey, SurveyResult]:
    """The survey and its numbers where it kept this row and the head exists; else 404 with a sentence."""
    survey = _get_survey(survey_hash)
    require_component(survey.model, component)
    result, error = _read(survey)
    if result is None:
        raise NotFound(error or f"The survey {survey.hash[:8]} has no patterns yet: {progress_of(survey).sentence}")
    if row >= len(result.pattern_rows):
        kept = len(result.pattern_rows)
        raise NotFound(f"Looking for the pattern of row {row} in survey {survey.hash[:8]}: it kept {kept} rows.")
    return survey, result


def _bytes_response(data: bytes) -> HttpResponse:
    headers = IMMUTABLE | {"Content-Length": str(len(data))}
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)


@require_safe
def pattern_bytes(request: HttpRequest, survey_hash: str, row: int, component: Component) -> HttpResponse:
    """A head's attention on a kept row: n × n bytes, row by row, 255 for 1."""
    _, result = _kept_text(survey_hash, row, component)
    try:
        return _bytes_response(result.pattern(row, component).tobytes())
    except StoreError as failure:
        raise NotFound(str(failure)) from failure


@require_safe
def value_norm_bytes(request: HttpRequest, survey_hash: str, row: int, component: Component) -> HttpResponse:
    """How long a vector a head writes for each key that it attends to fully: n float32, little-endian."""
    _, result = _kept_text(survey_hash, row, component)
    try:
        return _bytes_response(result.value_norms(row, component).astype("<f4").tobytes())
    except StoreError as failure:
        raise NotFound(str(failure)) from failure


@require_safe
def promoted_json(request: HttpRequest, survey_hash: str, row: int, component: Component) -> JsonResponse:
    """The tokens that a head's output promotes at every query of a kept row, and by how much."""
    survey, result = _kept_text(survey_hash, row, component)
    try:
        found = result.promoted(row, component, slice(None))
        if found is None:
            raise NotFound(f"Looking for what {component} promotes in survey {survey.hash[:8]}: it was not computed.")
        tokens, logits = found
        texts = open_vocabulary(survey.model).texts(tokens.ravel())
    except StoreError as failure:
        raise NotFound(str(failure)) from failure
    n = tokens.shape[1]
    data = {
        "tokens": [texts[i : i + n] for i in range(0, len(texts), n)],
        "logits": [[round(logit, 4) for logit in row] for row in logits.astype(float).tolist()],
    }
    return JsonResponse(data, headers=IMMUTABLE, json_dumps_params={"ensure_ascii": False, "separators": (",", ":")})
