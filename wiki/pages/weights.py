"""What a model's weights say, and why nothing is said where it is not."""

from __future__ import annotations

import dataclasses

from analysis.schema import JobKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Job, Measurement
from wiki.experiments.results import Result, StoreError, SurveyResult, open_weights


@dataclasses.dataclass(frozen=True)
class Weights:
    """The reading of weights that belongs to a survey in depth."""

    result: Result | None
    absent: str = ""  # a sentence, where there is no result
    hash: str = ""  # of the measurement, where there is a result
    pending: bool = False  # whether they are being read, or wait for it
    layers_done: int = 0  # while pending


def weights_of(model: LanguageModel, survey: SurveyResult | None) -> Weights:
    """What the weights say of the tokens that matter in a survey; without one nothing was asked."""
    if survey is None:
        return Weights(None, "not measured: weights are read for the tokens of a survey of natural text; none is here.")
    readings = Measurement.objects.select_related("job").filter(kind=JobKind.WEIGHTS.value, model=model)
    # there are few, and asking the database for a part of their JSON costs more
    weights = max(
        (each for each in readings if each.spec["survey"] == survey.spec.hash), key=lambda each: each.pk, default=None
    )
    if weights is None:
        return Weights(None, "not measured: the weights were not asked about.")
    if weights.finished_at is None:
        job = weights.job
        if job.state == Job.State.FAILED:
            return Weights(None, f"not measured yet: {job.error}")
        sentence = f"not measured yet: {job.rows_done} of {model.n_layers} layers are read."
        return Weights(None, sentence, pending=True, layers_done=job.rows_done)
    try:
        return Weights(open_weights(weights), hash=weights.hash)
    except StoreError as error:
        return Weights(None, f"what the weights say is lost or damaged. {error}")
