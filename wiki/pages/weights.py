"""What a model's weights say, and why nothing is said where it is not."""

from __future__ import annotations

import dataclasses

from django.db.models import QuerySet

from analysis.schema import JobKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement
from wiki.experiments.progress import Progress, silent_for_long
from wiki.experiments.results import Result, StoreError, SurveyResult, open_weights
from wiki.lib.prepared import objects


@dataclasses.dataclass(frozen=True)
class Weights:
    """The reading of weights that belongs to a survey in depth."""

    result: Result | None
    absent: str = ""  # a sentence, where there is no result
    hash: str = ""  # of the measurement, where there is a result
    pending: bool = False  # whether they are being read, or wait for it
    layers_done: int = 0  # while pending
    sentence: str = ""  # how far they are, while pending


def why_no_weights(progress: Progress | None, *, dataset: str) -> str:
    """Why no weights are read where there is no survey of natural text (of `dataset`) to read them for."""
    if progress is None:
        return f"not measured: weights are read after a survey of {dataset}; none is pinned for this model."
    if progress.finished:
        return f"not measured yet: weights are read after the survey of {dataset}, which is lost or damaged."
    if not progress.survey.parsed_spec.in_depth:
        return f"not measured: weights are read after surveys in depth alone, and that of {dataset} is none."
    if progress.failed:
        return f"not measured yet: weights are read after the survey of {dataset}. {progress.sentence}"
    return f"not measured yet: weights are read when the survey of {dataset} is finished, for the tokens it finds."


def _readings(slug: str) -> QuerySet[Measurement]:
    return Measurement.objects.filter(kind=JobKind.WEIGHTS.value, model=slug)


def weights_of(model: LanguageModel, survey: SurveyResult) -> Weights:
    """What the weights say of the tokens that matter in a survey."""
    readings = objects(_readings, model.slug)
    # there are few, and asking the database for a part of their JSON costs more
    weights = max(
        (each for each in readings if each.spec["survey"] == survey.spec.hash), key=lambda each: each.pk, default=None
    )
    if weights is None:
        return Weights(None, "not measured: the weights were not asked about.")
    if weights.finished_at is None:
        job = weights.job
        if job.state == Job.State.FAILED:
            return Weights(None, f"not measured: reading the weights failed. {job.error}")
        if job.state == Job.State.RUNNING:
            # how far it is stands once on the page, where it is kept up to date
            absent, sentence = "are being read", f"{job.rows_done} of {model.n_layers} layers read."
        else:
            absent, sentence = "wait for their turn to be read", "waiting for their turn."
        sentence = f"{sentence} {silent_for_long(weights.asked_at)}".strip()
        done = job.rows_done if job.state == Job.State.RUNNING else 0
        return Weights(
            None, f"not measured yet: the weights {absent}.", pending=True, layers_done=done, sentence=sentence
        )
    try:
        return Weights(open_weights(weights), hash=weights.hash)
    except StoreError as error:
        return Weights(None, f"what the weights say is lost or damaged. {error}")
