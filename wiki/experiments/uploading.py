"""Runs that were done in a notebook: what of them is believed, and how they are kept beside the server's own.

Figures are taken as they come, for their samples stay where they are; what follows from them (the verdict, warnings) is
said anew here, and what does not follow from them is refused. The page marks them until this server has run it itself.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pydantic
from django.db import transaction
from django.utils import timezone

from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.result import Result, Verdict, warnings
from analysis.scrubbing.searched import Searched
from wiki.accounts.models import User
from wiki.components.models import LanguageModel

from .models import Run
from .scrubs import keep_experiment, problems_of
from .signals import experiment_changed

# A recovered share may differ so much from what its losses say: they were added in another order.
ROUNDING = 1e-6
DOING = "Reading an uploaded run"


class UploadError(Exception):
    """A run that cannot be kept; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class _Outputs:
    model: list[float | None]
    scrubbed: list[float | None]


@dataclasses.dataclass(frozen=True)
class _SwappedIn:
    draw: str
    text: str
    row: int | None = None
    rows: list[int] | None = None  # of a draw by position


@dataclasses.dataclass(frozen=True)
class _Worst:
    """A sample that fails worst, as `analysis.scrubbing.failing` says it."""

    sample: int
    row: int
    text: str
    losses: dict[str, float]
    outputs: _Outputs
    swapped_in: list[_SwappedIn]
    mended_by: dict[str, float]


@dataclasses.dataclass(frozen=True)
class _About:
    code: str
    device: str
    dataset_hash: str
    rows: int
    task_version: int


@dataclasses.dataclass(frozen=True)
class _Sent:
    """What a notebook sends."""

    experiment: dict[str, Any]
    seed: int  # of the draws of this run
    result: Result
    worst: list[_Worst]
    searched: Searched
    about: _About


_SENT = pydantic.TypeAdapter(_Sent)


def upload_run(body: bytes, *, user: User) -> tuple[Run, bool]:
    """The run that a notebook sent as JSON, kept as `user`'s upload, and whether it is new: who sends the same again
    finds the first. `UploadError` where it cannot be kept."""
    sent = _read(body)
    question, model = _asked(sent.experiment)
    result = _checked(sent, question)
    try:
        artifact = Question.from_json({**question.to_json(), "seed": sent.seed}).hash
    except HypothesisError as error:
        raise UploadError(str(error)) from error
    told = _as_kept(
        {
            "result": result.to_json(),
            "worst": [dataclasses.asdict(each) for each in sent.worst],
            "searched": sent.searched.to_json(),
            "about": dataclasses.asdict(sent.about),
        }
    )
    with transaction.atomic():
        # locked, so that of two that are sent at once the second finds the first
        experiment = keep_experiment(question, model, user=user)
        here = experiment.runs.filter(origin=Run.Origin.UPLOADED, asked_by=user, artifact=artifact)
        if same := next((run for run in here if run.uploaded == told), None):
            return same, False
        run = Run.objects.create(
            experiment=experiment,
            asked_by=user,
            seed=sent.seed,
            origin=Run.Origin.UPLOADED,
            artifact=artifact,
            finished_at=timezone.now(),
            device=sent.about.device,
            code=sent.about.code,
            dataset_hash=sent.about.dataset_hash,
            recovered=result.recovered.value,
            error=result.recovered.error,
            low=result.recovered.low,
            high=result.recovered.high,
            uploaded=told,
        )
        experiment_changed.send(Run, experiment=experiment)
    return run, True


def _as_kept(told: dict[str, Any]) -> dict[str, Any]:
    """As the database gives it back: JSON knows lists alone."""
    kept: dict[str, Any] = json.loads(json.dumps(told))
    return kept


def _read(body: bytes) -> _Sent:
    try:
        sent = _SENT.validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80] or "it"
        raise UploadError(f"{DOING}: expected what a run has, got another {where} ({first['msg']}).") from error
    if not _is_keepable(dataclasses.asdict(sent)):
        raise UploadError(f"{DOING}: expected finite numbers and text without control characters, got others.")
    return sent


def _is_keepable(data: Any) -> bool:
    """Whether data is made of finite numbers and of text that databases take and that can be sent."""
    match data:
        case dict():
            return all(_is_keepable(key) and _is_keepable(value) for key, value in data.items())
        case list() | tuple():
            return all(map(_is_keepable, data))
        case float():
            return math.isfinite(data)
        case str():
            return "\0" not in data and not any("\ud800" <= letter <= "\udfff" for letter in data)
    return True


def _asked(data: dict[str, Any]) -> tuple[Question, LanguageModel]:
    """What was asked, legal and of a model of this site."""
    try:
        question = Question.from_json(data)
    except HypothesisError as error:
        raise UploadError(str(error)) from error
    model = LanguageModel.objects.filter(slug=question.hypothesis.model).first()
    if model is None:
        raise UploadError(f"{DOING}: expected a model of this site, got {question.hypothesis.model[:80]}.")
    if problems := problems_of(question, model):
        raise UploadError(problems[0].sentence)
    return question, model


def _checked(sent: _Sent, question: Question) -> Result:
    """The figures with what follows from them said anew."""
    result, hypothesis = sent.result, question.hypothesis
    _expect(set(result.losses) == {"scrubbed", "model", "nothing"}, "the losses scrubbed, model and nothing", "others")
    _expect(result.n == hypothesis.n, f"{hypothesis.n:,} samples, as the experiment says", f"{result.n:,}")
    _expect(sent.about.rows == question.rows, f"{question.rows:,} rows", f"{sent.about.rows:,}")
    version = question.of_task.version
    _expect(sent.about.task_version == version, f"version {version} of the task", f"version {sent.about.task_version}")
    paths = {hypothesis.path(node.name) for node in hypothesis.nodes}
    strange = next((of.path for of in result.nodes if of.path not in paths), None)
    _expect(strange is None, "nodes of the experiment alone", f"{str(strange)[:80]}")
    _expect(_follows(result), "a recovered share that follows from the losses", "another")
    for name, most in (("code", 40), ("device", 100), ("dataset_hash", 64)):
        got = getattr(sent.about, name)
        _expect(0 < len(got) <= most, f"a {name} of at most {most} characters", f"{len(got)}")
    criterion, value = hypothesis.criterion, result.recovered.value
    verdict = None if criterion is None or value is None else Verdict(criterion, value >= criterion)
    result = dataclasses.replace(result, verdict=verdict)
    return dataclasses.replace(result, warnings=warnings(result))


def _follows(result: Result) -> bool:
    """Whether the recovered share is (E_scrubbed − E_0) / (E_model − E_0)."""
    scrubbed, model, nothing = (result.losses[name].value for name in ("scrubbed", "model", "nothing"))
    value, between = result.recovered.value, model - nothing
    if value is None or between == 0:
        return value is None
    return math.isclose(value, (scrubbed - nothing) / between, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _expect(holds: bool, expected: str, got: str) -> None:
    if not holds:
        raise UploadError(f"{DOING}: expected {expected}, got {got}.")
