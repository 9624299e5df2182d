"""Experiments: the list, the page of one, two compared; running again and stopping."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from analysis.datasets.tasks.table import TASKS
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.result import ResultError
from analysis.scrubbing.result import compare as compare_samples
from wiki.experiments.access import may_experiment, may_stop, require_may_experiment
from wiki.experiments.models import Experiment, Run
from wiki.experiments.results import StoreError
from wiki.experiments.scrubs import ExperimentError, run_again, stop

from ..agreement import agreement_of
from ..errors import NotFound
from ..experiment_list import CRITERIA, FILTERS, STATES, list_experiments
from ..experiment_shown import (
    ShownRun,
    chosen_run,
    drawn_tree,
    figures_of,
    read_run,
    runs_of,
    zero_of,
)
from ..hypothesis_form import as_yaml
from ..hypothesis_words import claim_of
from ..naming_texts import texts_naming
from ..responses import data_response
from ..scrub_scale import Scale, doubt_of, percent, share_of


@require_safe
def experiments(request: HttpRequest) -> HttpResponse:
    part, shown, error = list_experiments(request.GET.dict(), page=request.GET.get("page"))
    given = {name: request.GET.get(name, "") for name in FILTERS}
    asked = urlencode({name: value for name, value in given.items() if value})
    context = {
        "part": part,
        "listed": shown,
        "error": error,
        "given": given,
        "has_filters": bool(asked),
        "query": f"{asked}&" if asked else "",
        "tasks": TASKS.values(),
        "criteria": CRITERIA.items(),
        "states": STATES.items(),
        "may_experiment": may_experiment(request.user),
        "json_url": reverse("experiments-json", query=request.GET),
    }
    return render(request, "pages/experiments.html", context, status=400 if error else 200)


@require_safe
def experiments_json(request: HttpRequest) -> JsonResponse:
    part, shown, error = list_experiments(request.GET.dict(), page=request.GET.get("page"))
    data = {"page": part.number, "has_more": part.has_next, "items": [each.to_json() for each in shown]}
    response = data_response({"error": error, **data} if error else data)
    response.status_code = 400 if error else 200
    return response


def _get_experiment(experiment_hash: str) -> Experiment:
    found = Experiment.objects.select_related("model", "asked_by").filter(hash=experiment_hash).first()
    if found is None:
        raise NotFound(f"Looking for the experiment {experiment_hash[:12]}: there is none of that hash.")
    return found


@require_safe
def experiment_by_beginning(request: HttpRequest, beginning: str) -> HttpResponse:
    """From the digits of a hash that pages and texts print to the experiment's address."""
    found = list(Experiment.objects.filter(hash__startswith=beginning)[:2])
    if len(found) != 1:
        raise NotFound(
            f"Looking for the experiment {beginning[:12]}: expected the beginning of the hash of one, got "
            f"{'several that begin so' if found else 'none that begins so'}."
        )
    return HttpResponseRedirect(found[0].get_absolute_url())


@require_safe
def experiment_page(request: HttpRequest, experiment_hash: str) -> HttpResponse:
    return _page(request, _get_experiment(experiment_hash))


def _page(request: HttpRequest, experiment: Experiment, *, refusal: str = "", status: int = 200) -> HttpResponse:
    question = Question.from_json(experiment.spec)
    asked = request.GET.get("run", "")
    runs = runs_of(experiment, asked=asked)
    chosen = chosen_run(runs, asked)
    read, error = read_run(chosen.run) if chosen else (None, "")
    figures = figures_of(question, read) if read else None
    json_url = reverse("experiment-json", args=[experiment.hash])
    context = {
        "experiment": experiment,
        "model": experiment.model,
        "jump_model": experiment.model_id,
        "hypothesis": question.hypothesis,
        "question": question,
        "task": question.of_task,
        "zero": zero_of(question),
        "criterion": percent(experiment.criterion, decimals=0) if experiment.criterion is not None else "",
        "runs": runs,
        "shown": chosen,
        "figures": figures,
        "error": error,
        "refusal": refusal,
        "agreement": agreement_of([shown.run for shown in runs]),
        "claim": claim_of(experiment.spec["nodes"]),
        "tree": drawn_tree(experiment, question, figures),
        "yaml": as_yaml({"title": experiment.title, **experiment.spec} if experiment.title else experiment.spec),
        "may_experiment": may_experiment(request.user),
        "named_in": texts_naming(experiment, user=request.user),
        "json_url": json_url,
        "site_url": request.build_absolute_uri("/").rstrip("/"),
        **_progress_context(request, experiment, runs),
    }
    return render(request, "pages/experiment.html", context, status=status)


def _progress_context(request: HttpRequest, experiment: Experiment, runs: list[ShownRun]) -> dict[str, Any]:
    pending = [shown for shown in runs if shown.progress.pending]
    return {
        "pending": [(shown, may_stop(request.user, shown.run)) for shown in pending],
        "failed": runs[0] if runs and runs[0].progress.state == "failed" else None,
        "poll_url": reverse("run-progress", args=[experiment.hash]) if pending else "",
        "experiment": experiment,
    }


@require_safe
def run_progress(request: HttpRequest, experiment_hash: str) -> HttpResponse:
    experiment = _get_experiment(experiment_hash)
    context = _progress_context(request, experiment, runs_of(experiment))
    response = render(request, "pages/_run_progress.html", context)
    if not context["poll_url"]:
        response["HX-Refresh"] = "true"  # the page has figures now, or says why not
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def experiment_json(request: HttpRequest, experiment_hash: str) -> JsonResponse:
    experiment = _get_experiment(experiment_hash)
    asked = request.GET.get("run", "")
    runs = runs_of(experiment, asked=asked)
    chosen = chosen_run(runs, asked)
    read, error = read_run(chosen.run) if chosen else (None, "")
    data: dict[str, Any] = {
        "experiment": experiment.hash,
        "title": experiment.title,
        "asked_by": experiment.asked_by.get_username(),
        "asked_at": experiment.asked_at.isoformat(),
        "spec": experiment.spec,
        "runs": [shown.to_json() for shown in runs],
        "named_in": [text.to_json() for text in texts_naming(experiment, user=request.user)],
    }
    if chosen and read:
        data |= {"run": chosen.run.pk, "result": read.figures, "worst": read.worst}
        data |= {"searched": read.searched, "about": read.about}
    return data_response({**data, "error": error} if error else data)


@require_POST
def again(request: HttpRequest, experiment_hash: str) -> HttpResponse:
    user = require_may_experiment(request.user, doing="Running an experiment again")
    experiment = _get_experiment(experiment_hash)
    try:
        run_again(experiment, user=user)
    except ExperimentError as error:
        return _page(request, experiment, refusal=str(error), status=429)
    return HttpResponseRedirect(experiment.get_absolute_url())


@require_POST
def stop_run(request: HttpRequest, experiment_hash: str) -> HttpResponse:
    user = require_may_experiment(request.user, doing="Stopping a run")
    experiment = _get_experiment(experiment_hash)
    number = request.POST.get("run", "")
    known = number.isascii() and number.isdigit() and len(number) < 18
    run = experiment.runs.select_related("asked_by").filter(pk=int(number)).first() if known else None
    if run is None:
        raise NotFound(f"Stopping a run of {experiment.hash[:12]}: expected one of its runs, got “{number[:40]}”.")
    if not may_stop(user, run):
        refusal = f"Stopping a run: expected {run.asked_by.get_username()}, who asked for it, or a moderator."
        return _page(request, experiment, refusal=refusal, status=403)
    if not stop(run, user=user):
        return _page(request, experiment, refusal="Stopping a run: it was over already.", status=409)
    return HttpResponseRedirect(experiment.get_absolute_url())


@dataclasses.dataclass(frozen=True)
class _Side:
    """One of two experiments that are compared."""

    experiment: Experiment
    run: Run | None
    share: str
    doubt: str
    tree: Any
    zero: str
    error: str


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Two experiments side by side, and on the same draws their difference."""
    asked = [request.GET.get(name, "").strip().removeprefix("x:")[:64] for name in ("a", "b")]
    if not all(asked):
        return render(request, "pages/compare_experiments.html", {"asked": asked, "jump_model": ""})
    chosen = [_by_name(name) for name in asked]
    read = [(run, *_samples_of(run)) for run in _runs_to_pair([runs_of(experiment) for experiment in chosen])]
    paired, why_not = _paired(chosen, read)
    sides = [
        _Side(
            experiment,
            run,
            percent(run.recovered) if run else "",
            doubt_of(run.recovery) if run else "",
            drawn_tree(experiment, question := Question.from_json(experiment.spec), None),
            zero_of(question),
            error,
        )
        for experiment, (run, _, error) in zip(chosen, read, strict=True)
    ]
    shares = [share for run, _, _ in read if run for share in (run.recovered, run.low, run.high)]
    scale = Scale.of(shares)
    context: dict[str, Any] = {
        "asked": asked,
        "sides": [(side, scale.draw(side.run.recovery if side.run else {})) for side in sides],
        "paired": paired,
        "why_not": why_not,
        "jump_model": chosen[0].model_id,
    }
    return render(request, "pages/compare_experiments.html", context)


def _by_name(name: str) -> Experiment:
    found = []
    if len(name) >= 8 and set(name) <= set("0123456789abcdef"):
        found = list(Experiment.objects.select_related("model", "asked_by").filter(hash__startswith=name)[:2])
    if len(found) != 1:
        raise NotFound(f"Comparing experiments: expected the hash of one, or its first 8 digits, got “{name[:40]}”.")
    return found[0]


def _runs_to_pair(of_each: list[list[ShownRun]]) -> list[Run | None]:
    """Of each of two experiments the run to compare: the newest of the server whose seed the other was run with too,
    for these have the same draws; where there is none, those that their pages show."""
    by_seed = [
        {shown.run.seed: shown.run for shown in reversed(runs) if shown.run.finished_at and not shown.is_uploaded}
        for runs in of_each
    ]
    common = [run for seed, run in by_seed[0].items() if seed in by_seed[1]]
    if common:
        newest = max(common, key=lambda run: run.pk)
        return [newest, by_seed[1][newest.seed]]
    shown = [chosen_run(runs, "") for runs in of_each]
    return [each.run if each else None for each in shown]


def _samples_of(run: Run | None) -> tuple[Any, str]:
    """The samples of a run, or why there are none."""
    if run is None:
        return None, "No run of it is finished."
    read, error = read_run(run)
    try:
        return read.samples() if read else None, error
    except StoreError as unreadable:
        return None, str(unreadable)


def _paired(chosen: list[Experiment], read: list[tuple[Run | None, Any, str]]) -> tuple[dict[str, str], str]:
    """What the second recovers more than the first on the same draws, or why that cannot be said."""
    (first_run, first, _), (_, second, _) = read
    if first is None or second is None:
        return {}, "Their difference on the same draws needs a finished run of each, done by the server."
    assert first_run is not None
    try:
        found = compare_samples(second, first, seed=first_run.seed)
    except ResultError as error:
        return {}, str(error)
    recovered = dataclasses.asdict(found)
    return {"share": share_of(recovered), "doubt": doubt_of(recovered)}, ""
