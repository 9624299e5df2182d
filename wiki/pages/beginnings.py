"""Heads to begin with: of each model those in which a well-known behaviour is strongest."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
from django.urls import reverse

from analysis.families import metric_datasets
from analysis.metrics import Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.progress import Progress
from wiki.experiments.results import StoreError, SurveyResult, open_survey

from .metric_groups import HEAD_METRICS_BY_KEY
from .numbers import with_unit

logger = logging.getLogger(__name__)

# Behaviours that a newcomer reads about first.
_KEYS = ("induction_repeated", "previous_token", "duplicate_token", "self")


@dataclasses.dataclass(frozen=True)
class Beginning:
    """The head of a model with the highest value of a metric."""

    model: LanguageModel
    metric: Metric
    component: Component
    value: float

    @property
    def figure(self) -> str:
        return with_unit(self.metric, self.value)

    @property
    def url(self) -> str:
        return reverse("head", args=[self.model.slug, self.component])

    def to_json(self) -> dict[str, Any]:
        return {"metric": self.metric.key, "head": str(self.component), "value": self.value, "url": self.url}


def beginnings_of(model: LanguageModel) -> list[Beginning]:
    """What the pinned surveys that are finished and readable can name; reads no row beyond `pins__survey`."""
    results = _results(model)
    found = []
    for metric in (HEAD_METRICS_BY_KEY[key] for key in _KEYS):
        assert metric.dataset_kind is not None
        result = results.get(metric_datasets(model.family).get(metric.dataset_kind, ""))
        if result and metric in result.metrics and (beginning := _highest(model, metric, result)):
            found.append(beginning)
    return found


def why_no_beginning(model: LanguageModel, progress: list[Progress]) -> str:
    """Why no head of a model is named, by how far its surveys are."""
    needed = [item for item in progress if item.survey.dataset in metric_datasets(model.family).values()]
    if not needed:
        return "None of its heads has been surveyed."
    waiting, failed = (
        [item.survey.dataset for item in needed if not item.finished and item.failed is failed]
        for failed in (False, True)
    )
    if waiting:
        one = len(waiting) == 1
        surveys = f"survey{'' if one else 's'} of {' and '.join(waiting)} {'is' if one else 'are'} finished"
        return f"Heads to begin with are named when the {surveys}."
    if failed:
        return f"No head to begin with: measuring {' and '.join(failed)} failed."
    return "No head to begin with: its surveys are lost or damaged; they are measured anew at the next start of Loupe."


def _results(model: LanguageModel) -> dict[str, SurveyResult]:
    results = {}
    for survey in (pin.survey for pin in model.pins.all()):
        if survey.finished_at and survey.dataset in metric_datasets(model.family).values():
            try:
                results[survey.dataset] = open_survey(survey)
            except StoreError as error:
                logger.error("survey of %s: %s", survey.dataset, error)
    return results


def _highest(model: LanguageModel, metric: Metric, result: SurveyResult) -> Beginning | None:
    try:
        values = result.metric(metric)
    except StoreError as error:
        logger.error("survey of %s: %s", result.spec.dataset, error)
        return None
    if not np.isfinite(values).any():
        return None
    layer, head = np.unravel_index(np.nanargmax(values), values.shape)
    return Beginning(model, metric, Component(int(layer), head=int(head)), float(values[layer, head]))
