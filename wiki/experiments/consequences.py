"""What follows when a job is done: weights after a survey, promoted tokens after a text, surveys after a new model."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from analysis.schema import JobKind, PromotedSpec, WeightsSpec

from .first_surveys import ask_for_first_surveys
from .jobs import ask_for_measurement, fail_job, finish_job
from .models import Survey
from .scrubs import note_figures


def finish_and_follow(job_id: int, token: str, *, result: dict[str, Any]) -> bool:
    """Mark the job done for the holder of `token` and ask for what follows from it; False if it lost the job.

    `result` is what `add-model` prepared, or what a scrub recovered; where that cannot be used the job fails with the
    reason.
    """
    try:
        with transaction.atomic():
            job = finish_job(job_id, token)
            if job and job.kind == JobKind.SURVEY_MERGE.value and job.survey:
                ask_for_weights(job.survey)
            if job and job.kind == JobKind.PROMPT.value and job.measurement:
                prompt = job.measurement
                ask_for_measurement(JobKind.PROMOTED, PromotedSpec.from_json(prompt.spec), model=prompt.model)
            if job and job.run:
                note_figures(job.run, result)
            if job and job.kind == JobKind.ADD_MODEL.value:
                ask_for_first_surveys(result)
    except ValueError as error:
        return fail_job(job_id, token, error=str(error))
    return job is not None


def ask_for_weights(survey: Survey) -> None:
    """Have the weights read for the tokens that a survey in depth found to matter to heads."""
    spec = survey.parsed_spec
    if spec.in_depth:
        weights = WeightsSpec(model=spec.model, model_hash=spec.model_hash, survey=survey.hash)
        ask_for_measurement(JobKind.WEIGHTS, weights, model=survey.model)
