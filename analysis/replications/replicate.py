"""All replications from nothing: look at heads, write the experiments, run them, record what came out.

What is finished is kept in a folder of its own until all is, so that a run that was stopped goes on there.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from analysis.datasets.task import TaskRows
from analysis.datasets.tasks.table import TASKS
from analysis.models import load_model, prepare_model
from analysis.organisms.attn_only_2l import SLUG as ATTENTION_ONLY
from analysis.organisms.paren_balance import SLUG as BRACKET_CLASSIFIER
from analysis.schema import CODE_VERSION, Sizes, canonical_json
from analysis.scrubbing.experiment import Experiment, read_experiment
from analysis.scrubbing.recovery import mean_of
from analysis.scrubbing.result import Samples, compare
from analysis.scrubbing.run import OnProgress, decoder, load_subject, publish_run, read_samples, run_on, scrub_path
from analysis.scrubbing.subject import Subject
from analysis.store import Artifact, discard_unless_whole, open_artifact

from .bracket_heads import find_bracket_heads
from .brackets import bracket_experiments
from .gallery import COUNTERPARTS, TRAPS
from .induction import induction_experiments
from .induction_heads import LookingHeads, find_looking_heads
from .language_model import MODEL as LANGUAGE_MODEL_SLUG
from .language_model import language_model_experiments
from .recorded import RECORDED, ReplicationError, experiment_file
from .saying import Data, as_file
from .table import BRACKETS, INDUCTION, LANGUAGE_MODEL, ROWS

# Heads are looked at on so many rows of the split in which hypotheses are looked for.
LOOKED_AT = {INDUCTION: 128, LANGUAGE_MODEL: 48}
# On so many other choices of parts the same tree is tried: of language models on none, for each costs as much as a row.
ASSIGNMENTS = {BRACKET_CLASSIFIER: 20, ATTENTION_ONLY: 0, LANGUAGE_MODEL_SLUG: 0}
OnRow = Callable[[str], OnProgress]


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found of a model's heads before any scrub, and the experiments that say so."""

    heads: list[dict[str, Any]]
    roles: dict[str, list[str]]
    experiments: dict[str, Data]  # by the key of a row


def keys() -> list[str]:
    """Every row there is, those of one model one after the other."""
    return [*(row.key for row in ROWS), *(trap.key for trap in TRAPS), *COUNTERPARTS]


def replicate(store: Path, work: Path, *, on_row: OnRow) -> dict[str, Any]:
    """Run everything and record it. `work` keeps what is finished meanwhile, and is removed in the end."""
    found = {group: _found(store, work, group) for group in (BRACKETS, INDUCTION, LANGUAGE_MODEL)}
    write_experiments(found)
    models = {slug: prepare_model(store, slug).meta["hash"] for slug in _slugs()}
    for _, group in itertools.groupby(in_order(), key=lambda item: _of_subject(item[1])):
        _run_group(list(group), store, work, on_row=on_row)
    rows = {key: recorded_row(key, work) for key in keys()}
    data = {
        "code": CODE_VERSION,
        "torch": torch.__version__,
        "models": models,
        "found": {group: {"heads": of.heads, "roles": of.roles} for group, of in found.items()},
        "rows": rows,
    }
    RECORDED.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    shutil.rmtree(work)
    return data


def _run_group(group: list[tuple[str, Experiment]], store: Path, work: Path, *, on_row: OnRow) -> None:
    """Run what is not finished of rows that share a subject, which keeps what it ran from one to the next."""
    todo = [of for of in group if not discard_unless_whole(scrub_path(work, of[1].hash))]
    for key in {key for key, _ in group} - {key for key, _ in todo}:
        on_row(key)(1.0, "finished before")
    if todo:
        subject = load_subject(todo[0][1], store)
        for key, experiment in todo:
            run_row(experiment, subject, store, work, on_progress=on_row(key))


def _slugs() -> list[str]:
    return [BRACKET_CLASSIFIER, ATTENTION_ONLY, LANGUAGE_MODEL_SLUG]


def in_order() -> Iterator[tuple[str, Experiment]]:
    """Every row with its experiment; those that share a model and rows follow one another."""
    read = {key: read_row(key) for key in keys()}
    yield from sorted(read.items(), key=lambda item: _of_subject(item[1]))


def read_row(key: str) -> Experiment:
    """The experiment of a row, from its file."""
    try:
        return read_experiment(experiment_file(key).read_text(encoding="utf-8"))
    except OSError as error:
        raise ReplicationError(f"Reading the experiment of {key}: expected its file, got none.") from error


def run_row(experiment: Experiment, subject: Subject, store: Path, work: Path, *, on_progress: OnProgress) -> Artifact:
    """Run one row and keep it under `work`."""
    run = run_on(
        subject,
        experiment,
        decode=decoder(store, experiment),
        assignments=ASSIGNMENTS[experiment.hypothesis.model],
        on_progress=on_progress,
    )
    return publish_run(run, work)


def _of_subject(experiment: Experiment) -> str:
    """What experiments that share a subject are equal in."""
    asked = experiment.to_json()
    return canonical_json([asked[name] for name in ("model", "task", "split", "rows", "rows_seed", "rewrites")])


def recorded_row(key: str, work: Path) -> dict[str, Any]:
    """What is kept of a row for people to compare with."""
    experiment = read_row(key)
    artifact = open_artifact(scrub_path(work, experiment.hash))
    recorded = {
        "hash": experiment.hash,
        "model": experiment.hypothesis.model,
        "model_hash": experiment.hypothesis.model_hash,
        "task": experiment.task,
        "split": experiment.split,
        "seed": experiment.hypothesis.seed,
        "about": artifact.meta["about"],
        "result": _short(artifact.meta["result"]),
        "raised": _raised(read_samples(artifact)),
    }
    other = _against(key)
    if other is None:
        return recorded
    samples = [read_samples(open_artifact(scrub_path(work, read_row(of).hash))) for of in (key, other)]
    paired = compare(samples[0], samples[1], seed=experiment.hypothesis.seed)
    return {**recorded, "compared": {"with": other, **dataclasses.asdict(paired)}}


def _raised(samples: Samples) -> dict[str, Any]:
    """By how much scrubbing raises the metric of the model, on the same samples: in nats, where it is a loss."""
    return dataclasses.asdict(mean_of(samples.scrubbed - samples.model, samples.documents))


def _against(key: str) -> str | None:
    against = {row.key: row.against for row in ROWS} | {trap.key: trap.against for trap in TRAPS}
    return against.get(key)


def _short(result: dict[str, Any]) -> dict[str, Any]:
    """The figures without what is of single nodes; of other choices of parts only the shares."""
    kept = {name: of for name, of in result.items() if name not in ("nodes", "assignments", "verdict")}
    return {**kept, "assignments": [of["recovered"]["value"] for of in result["assignments"]]}


# --- what is found before any scrub


def _found(store: Path, work: Path, group: str) -> Found:
    """What is found of a group's model, looked for once until all is finished."""
    file = work / f"found-{group}.json"
    if not file.exists():
        found = find_heads(store, group)
        work.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
    return Found(**json.loads(file.read_text(encoding="utf-8")))


def find_heads(store: Path, group: str) -> Found:
    """Look at the heads of a group's model, by attention and ablation, and say the experiments that follow."""
    if group == BRACKETS:
        return _of_brackets(store)
    slug = {INDUCTION: ATTENTION_ONLY, LANGUAGE_MODEL: LANGUAGE_MODEL_SLUG}[group]
    artifact = prepare_model(store, slug)
    model = load_model(store, slug, expected_hash=artifact.meta["hash"], device="cpu")
    heads = find_looking_heads(model, _random_rows(artifact, LOOKED_AT[group]), ablate=group == INDUCTION)
    model_hash = artifact.meta["hash"]
    if group == INDUCTION:
        experiments = induction_experiments(heads, model_hash=model_hash)
    else:
        experiments = language_model_experiments(heads, Sizes(**artifact.meta["sizes"]), model_hash=model_hash)
    named = {f"{group}/{name}": experiment for name, experiment in experiments.items()}
    return Found(_strongest(heads), _roles(heads), named)


def _of_brackets(store: Path) -> Found:
    artifact = prepare_model(store, BRACKET_CLASSIFIER)
    heads = find_bracket_heads(load_model(store, BRACKET_CLASSIFIER, expected_hash=artifact.meta["hash"], device="cpu"))
    experiments = bracket_experiments(heads, model_hash=artifact.meta["hash"])
    roles = {"count": list(heads.count), "horizon": list(heads.horizon), "proportion": [heads.proportion]}
    named = {f"{BRACKETS}/{name}": experiment for name, experiment in experiments.items()}
    return Found([dataclasses.asdict(head) for head in heads.heads], roles, named)


def _random_rows(model: Artifact, n: int) -> TaskRows:
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    return TASKS["induction-random"].rows("search", n=n, seed=0, tokenizer=tokenizer, bos=model.meta["bos"])


def _roles(heads: LookingHeads) -> dict[str, list[str]]:
    return {place: list(heads.role(place)) for place in ("induction", "previous_token", "itself")}


def _strongest(heads: LookingHeads) -> list[dict[str, Any]]:
    """The heads that play a part, or are missed."""
    named = {name for of in _roles(heads).values() for name in of}
    return [dataclasses.asdict(head) for head in heads.heads if head.name in named or (head.lost or 0.0) > 0.1]


def write_experiments(found: dict[str, Found]) -> None:
    """Write the files of what was found, each with its claim; those of the gallery are written by hand."""
    for key, text in texts_of(found).items():
        file = experiment_file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def texts_of(found: dict[str, Found]) -> dict[str, str]:
    """The text of each file that follows from what was found."""
    rows = {row.key: row for row in ROWS}
    return {
        key: as_file(
            {"title": f"{rows[key].group}, {rows[key].label}", **experiment},
            comment=f"{rows[key].claim}\nMade by `make replicate` from what was found of the heads.",
        )
        for of in found.values()
        for key, experiment in of.experiments.items()
    }
