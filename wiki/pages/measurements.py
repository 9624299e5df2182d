"""What the pinned surveys of a model say of its heads, and why a figure is missing where one is."""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.urls import reverse

from analysis.families import absent_metrics, is_causal, metric_datasets
from analysis.metrics import HEAD_METRICS, Metric
from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.progress import Progress, progress_of, progress_of_model
from wiki.experiments.results import Result, StoreError, SurveyResult, open_survey

from .errors import NotFound
from .ranks import ranks_from_bottom, ranks_from_top
from .reading import once
from .weights import Weights, weights_of, why_no_weights

logger = logging.getLogger(__name__)

# Digits of a survey's hash that name it in a URL.
MIN_HASH = 8


@dataclasses.dataclass(frozen=True)
class HeadValue:
    """One metric of one head, among all heads."""

    metric: Metric
    value: float
    rank: int  # from the top
    rank_low: int  # from the bottom
    of: int
    dataset: str
    queries: int  # that the mean is over; 0 for what is read from the weights
    error: float | None  # standard error over documents; None for what is no mean
    uniform: float | None  # what uniform attention would give, where that is known

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "rank": self.rank,
            "of": self.of,
            "dataset": self.dataset,
            "queries": self.queries,
            "error": self.error,
            "uniform": self.uniform,
            "label": self.metric.label,
            "unit": self.metric.unit,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class MeasuredMetric:
    """One metric of all heads of a model: float64 [layer, head].

    Kept as long as its artifact is open, so that what is made of it can be kept too (it compares by identity).
    """

    metric: Metric
    dataset: str  # empty for what is read from the weights
    values: np.ndarray
    queries: int  # that each value is a mean over
    errors: np.ndarray | None = None  # standard errors, in the same shape
    uniform: float | None = None

    @functools.cached_property
    def ranks(self) -> np.ndarray:
        return ranks_from_top(self.values)

    @functools.cached_property
    def ranks_low(self) -> np.ndarray:
        return ranks_from_bottom(self.values)

    @functools.cached_property
    def finite(self) -> np.ndarray:
        """The values there are, flat."""
        return self.values[np.isfinite(self.values)]

    @functools.cached_property
    def median(self) -> float:
        return float(np.median(self.finite))

    @functools.cached_property
    def spread(self) -> float:
        """The difference of the highest and the lowest value."""
        return float(np.ptp(self.finite))

    def at(self, component: Component) -> tuple[float, float | None]:
        """The head's value and its standard error, `None` for what has none."""
        index = (component.layer, component.head)
        error = None if self.errors is None or not np.isfinite(self.errors[index]) else float(self.errors[index])
        return float(self.values[index]), error

    def of_head(self, component: Component) -> HeadValue | None:
        """The head's value; `None` where the figure could not be computed."""
        at = (component.layer, component.head)
        if not np.isfinite(self.values[at]):
            return None
        ranks = int(self.ranks[at]), int(self.ranks_low[at])
        value, error = self.at(component)
        return HeadValue(
            self.metric,
            value,
            *ranks,
            of=self.finite.size,
            dataset=self.dataset,
            queries=self.queries,
            error=error,
            uniform=self.uniform,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "values": self.values.tolist(),
            "errors": None if self.errors is None else self.errors.tolist(),
            "dataset": self.dataset,
            "queries": self.queries,
            "uniform": self.uniform,
            "label": self.metric.label,
            "unit": self.metric.unit,
            "definition": self.metric.definition,
        }


@dataclasses.dataclass(frozen=True)
class Measurements:
    """All that the pinned surveys of one model say, read once for a page."""

    model: LanguageModel
    progress: list[Progress]
    results: dict[str, SurveyResult]  # of finished, readable surveys, by dataset
    weights: Weights
    metrics: dict[str, MeasuredMetric]  # by key, in the table's order
    absent: dict[str, str]  # why a metric is not in `metrics`, by key
    damaged: list[str]  # a sentence for each finished survey that cannot be opened
    unread: dict[str, str]  # why a pinned survey is not in `results`, by dataset
    survey: str = ""  # the survey that the URL names (`?survey=`), by the digits that it has there

    @functools.cached_property
    def survey_query(self) -> str:
        """What ends every link to a part of the model that has no parameters of its own: `?survey=…`, or nothing."""
        return f"?{urlencode({'survey': self.survey})}" if self.survey else ""

    @functools.cached_property
    def survey_and(self) -> str:
        """What the parameters of every other such link begin with: `survey=…&`, or nothing."""
        return f"{self.survey_query[1:]}&" if self.survey else ""

    @functools.cached_property
    def model_url(self) -> str:
        """What the addresses of all pages of the model begin with."""
        return self.model.get_absolute_url()

    def url_of(self, component: Component) -> str:
        """The page of a component, read from the same survey as this one."""
        return f"{self.model_url}{component}/{self.survey_query}"

    @property
    def pending(self) -> bool:
        """Whether a survey may still finish, or the weights may still be read."""
        return self.weights.pending or any(not (progress.finished or progress.failed) for progress in self.progress)

    @property
    def all_finished(self) -> bool:
        """Whether every survey is finished and nothing is under way."""
        return not self.weights.pending and all(progress.finished for progress in self.progress)

    @property
    def n_landed(self) -> int:
        """Of the surveys and the reading of weights, how many there are to show."""
        return sum(progress.finished for progress in self.progress) + (self.weights.result is not None)

    @property
    def poll_url(self) -> str:
        """Where a page asks how far the surveys are; empty when nothing can change any more."""
        if not self.pending:
            return ""
        asked = {"survey": self.survey} if self.survey else {}
        return reverse("model-progress", args=[self.model.slug], query={**asked, "seen": self.n_landed})

    @property
    def natural_dataset(self) -> str:
        """The dataset of natural text whose survey gives metrics their values: of a model that reads no text, of what
        it reads."""
        return metric_datasets(self.model.family)[DatasetKind.NATURAL]

    @property
    def natural(self) -> SurveyResult | None:
        """The survey of natural text that gives neurons and layers their numbers; `why_not_natural` where it is not."""
        return self.results.get(self.natural_dataset)

    @property
    def why_not_natural(self) -> str:
        dataset = self.natural_dataset
        return self.unread.get(dataset, f"not measured: no survey of {dataset} is pinned for this model.")

    @property
    def is_causal(self) -> bool:
        """Whether no position of the model attends to later ones."""
        return is_causal(self.model.family)

    @property
    def norm_follows(self) -> bool:
        """Whether a survey found that a norm comes between the outputs of heads and the residual stream."""
        return any("output_norm" in result.absent for result in self.results.values())

    def of_head(self, component: Component) -> tuple[dict[str, HeadValue], dict[str, str]]:
        """The head's values and, for the metrics without one, the reason; both by key in the table's order."""
        values, absent = {}, {}
        for metric in HEAD_METRICS:
            measured = self.metrics.get(metric.key)
            value = measured.of_head(component) if measured else None
            if value:
                values[metric.key] = value
            else:
                absent[metric.key] = self.absent.get(metric.key) or f"could not be computed for {component}."
        return values, absent

    def surveys_json(self) -> dict[str, Any]:
        """Every pinned survey by dataset: where its numbers come from, or why there are none yet."""
        return {progress.survey.dataset: survey_json(progress, self.results) for progress in self.progress}

    def provenance_json(self) -> dict[str, Any]:
        """All that a page's numbers come from."""
        model = {"slug": self.model.slug, "hash": self.model.hash}
        return {"model": model, "surveys": self.surveys_json(), "weights": self.weights_json()}

    def weights_json(self) -> dict[str, Any]:
        """What reading of the weights the page reads, or why there is none."""
        result = self.weights.result
        if result is None:
            return {"finished": False, "absent": self.weights.absent}
        meta = result.artifact.meta
        return {
            "finished": True,
            "weights": self.weights.hash,
            **{key: meta[key] for key in ("spec", "seconds", "torch") if key in meta},
        }


def survey_json(progress: Progress, results: dict[str, SurveyResult]) -> dict[str, Any]:
    result = results.get(progress.survey.dataset)
    if result:
        return {"finished": True, **result.provenance}
    spec = {"survey": progress.survey.hash, **progress.survey.spec}
    return {"finished": progress.finished, **spec, "progress": progress.sentence}


@once
def measurements_of(model: LanguageModel, *, survey: str = "") -> Measurements:
    """Read the summaries of a model's pinned surveys; whatever cannot be read is absent with a reason.

    `survey` names another survey of the model by its hash or the beginning of it (`?survey=`): it is read in place of
    the pinned one of its dataset. 404 with a sentence where there is none.
    """
    progress = progress_of_model(model)
    if survey:
        other = progress_of(get_survey(model, survey))
        progress = [other if item.survey.dataset == other.survey.dataset else item for item in progress]
        if other not in progress:
            progress.append(other)
    results: dict[str, SurveyResult] = {}
    unread = {item.survey.dataset: _why_unfinished(item) for item in progress if not item.finished}
    damaged = []
    for finished in (item.survey for item in progress if item.finished):
        try:
            results[finished.dataset] = open_survey(finished)
        except StoreError as error:
            unread[finished.dataset] = _why_unreadable(finished.dataset, error)
            damaged.append(unread[finished.dataset])
    weights = _weights(model, progress, results)
    metrics, absent = _read_metrics(model, results, unread, weights)
    return Measurements(model, progress, results, weights, metrics, absent, damaged, unread, survey)


def _weights(model: LanguageModel, progress: list[Progress], results: dict[str, SurveyResult]) -> Weights:
    dataset = metric_datasets(model.family)[DatasetKind.NATURAL]
    if dataset in results:
        return weights_of(model, results[dataset])
    natural = next((item for item in progress if item.survey.dataset == dataset), None)
    return Weights(None, why_no_weights(natural, dataset=dataset))


def get_survey(model: LanguageModel, name: str) -> Survey:
    """The survey of a model whose hash begins so; 404 with a sentence where there is none, or more than one."""
    known = set(name) <= set("0123456789abcdef") and len(name) >= MIN_HASH
    found = list(Survey.objects.filter(model=model, hash__startswith=name)[:2]) if known else []
    if len(found) != 1:
        raise NotFound(
            f"Looking for the survey “{name[:64]}” of {model.slug}: expected {MIN_HASH} or more digits of the hash of "
            f"one, got {'several that begin so' if found else 'none that begins so'}.",
            slug=model.slug,
        )
    return found[0]


def _why_unfinished(progress: Progress) -> str:
    # while it moves, the sentence of the moment stands once on the page, where it is kept up to date
    reason = progress.sentence if progress.failed else f"the survey of {progress.survey.dataset} is not finished."
    return f"not measured yet: {reason}"


def _why_unreadable(dataset: str, error: StoreError) -> str:
    logger.error("survey of %s: %s", dataset, error)
    return f"the survey of {dataset} is lost or damaged and is measured anew at the next start of Loupe. {error}"


def _read_weights_metric(
    metric: Metric, weights: Weights, metrics: dict[str, MeasuredMetric], absent: dict[str, str]
) -> None:
    """One metric that is read from the weights, or why it is absent."""
    if weights.result is None:
        absent[metric.key] = weights.absent
    elif reason := weights.result.artifact.meta["absent"].get(metric.key):
        absent[metric.key] = reason
    else:
        try:
            weights.result.confirm("summary")
            metrics[metric.key] = _read(weights.result, metric)
        except StoreError as error:
            absent[metric.key] = f"not readable: {error}"


def _read_metrics(
    model: LanguageModel, results: dict[str, SurveyResult], unread: dict[str, str], weights: Weights
) -> tuple[dict[str, MeasuredMetric], dict[str, str]]:
    metrics: dict[str, MeasuredMetric] = {}
    absent: dict[str, str] = {}
    damaged = {dataset: reason for dataset in results if (reason := _why_damaged(dataset, results[dataset]))}
    datasets, never = metric_datasets(model.family), absent_metrics(model.family)
    for metric in HEAD_METRICS:
        if metric.key in never:
            absent[metric.key] = never[metric.key]
            continue
        if metric.dataset_kind is None:
            _read_weights_metric(metric, weights, metrics, absent)
            continue
        dataset = datasets[metric.dataset_kind]
        if dataset not in results:
            absent[metric.key] = unread.get(dataset, f"not measured: no survey of {dataset} is pinned for this model.")
        elif metric not in results[dataset].metrics:
            absent[metric.key] = results[dataset].absent.get(
                metric.key, f"not measured: the pinned survey of {dataset} did not ask for it."
            )
        elif dataset in damaged:
            absent[metric.key] = damaged[dataset]
        else:
            metrics[metric.key] = _measured(results[dataset], metric)
    return metrics, absent


def _why_damaged(dataset: str, result: SurveyResult) -> str:
    try:
        result.confirm("summary")
    except StoreError as error:
        return _why_unreadable(dataset, error)
    return ""


@functools.lru_cache(maxsize=64)
def _read(weights: Result, metric: Metric) -> MeasuredMetric:
    """A metric of a reading of weights whose summary was just checked, kept with its ranks."""
    return MeasuredMetric(metric, dataset="", values=weights.read(metric.key, file="summary"), queries=0)


@functools.lru_cache(maxsize=256)
def _measured(result: SurveyResult, metric: Metric) -> MeasuredMetric:
    """A metric of a survey whose summary was just checked, kept with its ranks: a survey never changes."""
    return MeasuredMetric(
        metric,
        result.spec.dataset,
        values=result.metric(metric),
        queries=result.queries[metric.key],
        errors=result.error(metric),
        uniform=result.uniform.get(metric.key),
    )
