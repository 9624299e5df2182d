"""One experiment from its file to its artifact: load, refuse what is wrong, scrub, say what it means, keep it."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from analysis.datasets.task import TaskError, TaskRows
from analysis.models import load_model, open_model
from analysis.schema import CODE_VERSION
from analysis.scrubbing.assignments import ASSIGNMENTS
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.failing import worst_samples
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.further import loss_budget, on_other_parts, samples_of
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.intact import share_intact
from analysis.scrubbing.result import Result, Samples, summarise
from analysis.scrubbing.searched import Searched
from analysis.scrubbing.searching import MakeRows, search_anew
from analysis.scrubbing.subject import Subject
from analysis.store import Artifact, open_artifact, publish, write_arrays

# How far it is: a share from 0 to 1, and what is being done.
OnProgress = Callable[[float, str], None]
# The shares of the whole at which scrubbing, the loss budget, other parts and the worst samples are done.
SCRUBBED, BUDGETED, ASSIGNED, LOOKED_AT = 0.35, 0.6, 0.8, 0.85


def say_nothing(share: float, doing: str) -> None:
    """For who does not watch."""


@dataclasses.dataclass(frozen=True)
class Run:
    """An experiment that was run."""

    experiment: Experiment
    result: Result
    samples: Samples
    worst: list[dict[str, Any]]
    searched: Searched
    plan: dict[str, np.ndarray]  # by draw
    about: dict[str, Any]  # by which code, on which device, and of which rows


def scrub_path(store: Path, experiment_hash: str) -> Path:
    """Where what came out of an experiment is."""
    return store / "scrubs" / experiment_hash


def scrub(
    experiment: Experiment,
    store: Path,
    *,
    device: str = "cpu",
    assignments: int = ASSIGNMENTS,
    on_progress: OnProgress = say_nothing,
) -> Run:
    """Run an experiment on a model of the store. What is wrong of it is one sentence: a `HypothesisError`, `PlanError`,
    `FeatureError`, `TaskError`, `ScrubError`, or what opening the model raises."""
    on_progress(0.0, "loading")
    subject = load_subject(experiment, store, device=device)
    return run_on(
        subject,
        experiment,
        assignments=assignments,
        decode=decoder(store, experiment),
        make_rows=row_maker(experiment, store),
        on_progress=on_progress,
    )


def load_subject(experiment: Experiment, store: Path, *, device: str = "cpu") -> Subject:
    """The model and the rows of an experiment."""
    hypothesis = experiment.hypothesis
    artifact = open_model(store, hypothesis.model)
    if artifact.meta["hash"] != hypothesis.model_hash:
        raise HypothesisError(
            f"Loading {hypothesis.model}: expected weights with hash {hypothesis.model_hash[:12]}…, got "
            f"{artifact.meta['hash'][:12]}…."
        )
    rows = rows_of(experiment, store)
    if hypothesis.dataset_hash not in ("any", rows.hash):
        raise HypothesisError(
            f"Making rows of {experiment.task}: expected those with hash {hypothesis.dataset_hash[:12]}…, got "
            f"{rows.hash[:12]}…."
        )
    n_tokens = artifact.meta["sizes"]["d_vocab"]
    if int(rows.tokens.max()) >= n_tokens:
        raise ScrubError(
            f"Scrubbing {hypothesis.model} on {experiment.task}: expected tokens of its {n_tokens:,}, got number "
            f"{int(rows.tokens.max()):,}; the task is of another model."
        )
    return Subject(
        load_model(store, hypothesis.model, expected_hash=hypothesis.model_hash, device=device),
        rows,
        metric=experiment.of_task.metric,
        features=experiment.of_task.features,
        slug=hypothesis.model,
        model_hash=hypothesis.model_hash,
        dataset=hypothesis.dataset,
        rewrites=hypothesis.rewrites,
    )


def rows_of(experiment: Experiment, store: Path) -> TaskRows:
    """The rows from which an experiment draws, in the tokens of its model."""
    rows = row_maker(experiment, store)(experiment.split, n=experiment.rows, seed=experiment.rows_seed)
    if len(rows) < 2:
        raise TaskError(f"Making rows of {experiment.task}: expected 2 at least, got {len(rows)}.")
    return rows


def row_maker(experiment: Experiment, store: Path) -> MakeRows:
    """The generator of an experiment's task, in the tokens of its model."""
    task = experiment.of_task
    if not task.needs_tokenizer:
        return task.rows
    model = open_model(store, experiment.hypothesis.model)
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    return functools.partial(task.rows, tokenizer=tokenizer, bos=model.meta["bos"])


def decoder(store: Path, experiment: Experiment) -> Callable[[list[int]], str]:
    """Tokens as text."""
    path = open_model(store, experiment.hypothesis.model).path / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    return lambda tokens: tokenizer.decode(tokens, skip_special_tokens=False)


def run_on(
    subject: Subject,
    experiment: Experiment,
    *,
    decode: Callable[[list[int]], str],
    assignments: int = ASSIGNMENTS,
    make_rows: MakeRows | None = None,
    on_progress: OnProgress = say_nothing,
) -> Run:
    """Run an experiment on a subject, which keeps what it ran for the next. Without `make_rows`, which makes rows of
    its task, no worse inputs are searched for."""
    hypothesis = dataclasses.replace(experiment.hypothesis, dataset_hash=subject.dataset_hash)
    plan = subject.plan(hypothesis)
    on_progress(0.02, "running the model on what is swapped in")
    done = _between(0.05, SCRUBBED, on_progress, "scrubbing")
    scrubbed = subject.scrub(hypothesis, plan=plan, on_progress=done)
    ends = subject.ends(hypothesis, plan)
    samples = samples_of(subject, scrubbed, ends)
    budget = _between(SCRUBBED, BUDGETED, on_progress, "making each node exact")
    nodes = loss_budget(subject, scrubbed, samples, on_done=budget)
    others = on_other_parts(
        subject,
        hypothesis,
        samples,
        count=assignments,
        on_done=_between(BUDGETED, ASSIGNED, on_progress, "trying other parts"),
    )
    result = summarise(
        hypothesis,
        samples,
        classes=subject.rows.classes,
        nodes=nodes,
        assignments=others,
        paths_intact=share_intact(scrubbed.wiring, plan, subject.graph.parts, positions=subject.graph.n_positions),
        layer_rows=scrubbed.layer_rows,
        layer_rows_one_forward_each=subject.graph.layers * (n_draws(plan.rows) + 1) * plan.n,
    )
    on_progress(ASSIGNED, "looking at what fails")
    worst = worst_samples(subject, scrubbed, samples, decode=decode)
    searching = _between(LOOKED_AT, 1.0, on_progress, "searching for worse inputs")
    searching(0, 1)
    searched = search_anew(subject, experiment, make_rows=make_rows, decode=decode, on_done=searching)
    about = {
        "code": CODE_VERSION,
        "device": str(subject.graph.model.device),
        "dataset_hash": subject.dataset_hash,
        "rows": len(subject.rows),
        "task_version": experiment.of_task.version,
    }
    on_progress(1.0, "done")
    draws = {str(draw): rows for draw, rows in plan.rows.items()}
    return Run(experiment, result, samples, worst, searched, draws, about)


def n_draws(rows: Any) -> int:
    """How many data a sample takes: a draw by position takes one for each."""
    return sum(1 if of.ndim == 1 else of.shape[1] for of in rows.values())


def _between(low: float, high: float, on_progress: OnProgress, doing: str) -> Callable[[int, int], None]:
    return lambda done, of: on_progress(low + (high - low) * done / of, doing)


def publish_run(run: Run, store: Path) -> Artifact:
    """Keep a run: losses, outputs and draws as arrays, the figures, the worst inputs and what a search found beside.
    Whoever comes second finds the first one's kept."""
    path = scrub_path(store, run.experiment.hash)
    meta = {
        "experiment": run.experiment.to_json(),
        "hash": run.experiment.hash,
        "about": run.about,
        "result": run.result.to_json(),
    }
    with publish(path, meta=meta) as folder:
        arrays = {name: np.asarray(array) for name, array in run.samples.arrays().items()}
        write_arrays(folder, arrays, file="samples")
        write_arrays(folder, {name: rows.astype(np.int64) for name, rows in run.plan.items()}, file="plan")
        (folder / "worst.json").write_text(json.dumps(run.worst, ensure_ascii=False, allow_nan=False))
        searched = json.dumps(run.searched.to_json(), ensure_ascii=False, allow_nan=False)
        (folder / "searched.json").write_text(searched)
    return open_artifact(path)


def read_samples(artifact: Artifact) -> Samples:
    """The samples of a run that was kept, as for comparing two."""
    names = [field.name for field in dataclasses.fields(Samples)]
    return Samples(**{name: artifact.read(name, file="samples") for name in names})


def read_searched(artifact: Artifact) -> Searched:
    """What was searched for and found beyond the samples of a run that was kept."""
    return Searched.from_json(json.loads((artifact.path / "searched.json").read_text()))
