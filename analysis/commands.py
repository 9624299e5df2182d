"""What `python -m analysis` does: each command one function over a store."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from analysis.anatomy import AnatomyError
from analysis.capture import CaptureError
from analysis.datasets.table import DATASETS, datasets_of, prepare_dataset
from analysis.datasets.task import FeatureError, TaskError
from analysis.metrics import HEAD_METRICS, METRICS, Metric
from analysis.models import add_from_source, bundled_slugs, model_path, prepare_model
from analysis.organisms import OrganismError
from analysis.organisms.table import train_organism
from analysis.plans import planned_spec
from analysis.replications import replicate as replications
from analysis.replications.recorded import ReplicationError
from analysis.schema import Component, ComponentKind, SchemaError, Sizes, SurveySpec, WeightsSpec
from analysis.scrubbing.experiment import read_experiment
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.plan import PlanError
from analysis.scrubbing.printing import lines_of, lines_of_search, share
from analysis.scrubbing.recovery import Recovered
from analysis.scrubbing.run import OnProgress, publish_run, scrub
from analysis.sources import ModelError
from analysis.store import (
    Artifact,
    StoreError,
    StoreUnreachableError,
    address_of,
    discard_unless_whole,
    is_complete,
    open_artifact,
    paths_in,
    survey_path,
)
from analysis.survey import SurveyError, measure_shard, merge_survey, remove_partials
from analysis.vocabulary import prepare_vocabulary

# Errors whose message is a sentence for a person.
SAID_CLEARLY = (
    AnatomyError,
    CaptureError,
    FeatureError,
    HypothesisError,
    ModelError,
    OrganismError,
    PlanError,
    ReplicationError,
    SchemaError,
    ScrubError,
    StoreError,
    SurveyError,
    TaskError,
)


def run(arguments: argparse.Namespace, store: Path) -> int:
    """Do what the arguments ask for; the exit status. What cannot be done is one sentence on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for chatty in ("httpx", "httpx2", "transformers"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    disable_progress_bar()
    try:
        _run(arguments, store)
    except SAID_CLEARLY as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace, store: Path) -> None:
    match arguments.command:
        case "prepare":
            # data goes to stdout, progress to stderr
            json.dump(prepare(store, arguments.model), sys.stdout)
        case "models" if arguments.action == "add":
            model = add_from_source(store, arguments.name, revision=arguments.revision, slug=arguments.slug)
            print(f"{model.meta['slug']} ({model.meta['source']})")
        case "models":
            list_models(store)
        case "survey":
            asked = {name: getattr(arguments, name) for name in ("rows", "pattern_rows", "shard_rows")}
            sizes = {name: size for name, size in asked.items() if size is not None}
            survey(store, ask(store, arguments.model, arguments.dataset, **sizes))
        case "train":
            train(arguments.organism, arguments.out)
        case "scrub":
            scrub_file(store, Path(arguments.file))
        case "replicate":
            replicate_all(store)
        case "show":
            show(store, arguments.model, arguments.component)


def prepare(store: Path, slug: str) -> dict[str, Any]:
    """Fetch the model if it is a bundled one, tokenise the datasets; the cards of both, as the site registers them."""
    model = prepare_model(store, slug)
    prepare_vocabulary(store, model)
    datasets = {name: prepare_dataset(store, model, name).meta for name in datasets_of(model)}
    return {"model": model.meta, "datasets": datasets}


def train(slug: str, out: Path) -> None:
    """Train an organism, going on where it was stopped; say what it can do, and where its files are."""
    folder = train_organism(slug, out)
    for name, figure in json.loads((folder / "card.json").read_text())["abilities"].items():
        print(f"{name}: {figure:.4f}")
    print(f"Its files are in {folder}.")


def scrub_file(store: Path, file: Path) -> None:
    """Run the experiment of a file, print its figures and keep them."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HypothesisError(f"Reading {file.name}: expected a text file, got none that can be read.") from error
    experiment = read_experiment(text)
    prepare_model(store, experiment.hypothesis.model)
    with tqdm(total=100, unit="%", bar_format="{desc}: {percentage:3.0f} %|{bar}|") as bar:

        def on_progress(share: float, doing: str) -> None:
            bar.set_description(doing, refresh=False)
            bar.update(int(100 * share) - bar.n)

        run = scrub(experiment, store, on_progress=on_progress)
    artifact = publish_run(run, store)
    print(*lines_of(run.result), *lines_of_search(run.searched, split=experiment.split), sep="\n")
    print(f"Its samples are in {address_of(artifact.path)}.")


def replicate_all(store: Path) -> None:
    """Run all replications from nothing, going on where they were stopped, and print each row beside its figure."""
    folder = store.parent / "replicating"
    with tqdm(total=len(replications.keys()), unit="row") as bar:

        def on_row(key: str) -> OnProgress:
            def on_progress(share: float, doing: str) -> None:
                bar.set_description(f"{key}, {doing}, {100 * share:.0f} %")
                bar.update(share == 1.0)

            return on_progress

        recorded = replications.replicate(store, folder, on_row=on_row)
    for key, row in recorded["rows"].items():
        print(f"{key}: {share(Recovered(**row['result']['recovered']))}")


def list_models(store: Path) -> None:
    """Print a line a model of the store; what is damaged is named on stderr."""
    cards = [artifact.meta for artifact in _opened(store / "models")[0]]
    if not cards:
        print(f"No models in {address_of(store)} yet: `python -m analysis models add NAME` adds one.", file=sys.stderr)
        return
    lines: list[tuple[str, ...]] = [
        ("slug", "family", "layers", "heads", "d_model", "neurons", "parameters", "licence", "hash")
    ]
    for card in cards:
        sizes = Sizes(**card["sizes"])
        counts = (sizes.n_layers, sizes.n_heads, sizes.d_model, sizes.d_mlp, card["n_parameters"])
        numbers = tuple(f"{count:,}" for count in counts)
        lines.append((card["slug"], card["family"], *numbers, card["licence"], card["hash"][:12]))
    _print_table(lines, right=range(2, 7))


def survey(store: Path, spec: SurveySpec) -> None:
    """Measure what is missing of a survey, shard by shard, and merge it; the bar counts rows."""
    path = survey_path(store, spec.hash)
    if discard_unless_whole(path):
        print(f"It is measured already: {address_of(path)}")
        return
    n_measured = 0
    with tqdm(total=spec.rows, unit="row", desc=f"{spec.model} on {spec.dataset}") as bar:
        for shard in range(spec.n_shards):
            rows, batches = spec.shard(shard), list[int]()

            def on_batch(rows_done: int, rows: range = rows, batches: list[int] = batches) -> None:
                batches.append(rows_done)
                bar.update(rows.start + rows_done - bar.n)

            measure_shard(store, spec, shard, on_batch=on_batch)
            bar.update(rows.stop - bar.n)
            n_measured += bool(batches)
    merge_survey(store, spec, on_partial=lambda _: None)
    remove_partials(store, spec)
    print(f"{n_measured} of {spec.n_shards} shards measured now, the others were there: {address_of(path)}")


def ask(store: Path, slug: str, dataset: str, **sizes: int) -> SurveySpec:
    """The spec of a survey, of the planned sizes or others; the model is fetched if it is a bundled one, and the
    dataset tokenised. More rows than there are is refused."""
    if dataset not in DATASETS:
        raise SchemaError(f"Surveying {slug}: expected a dataset among {', '.join(DATASETS)}, got {dataset}.")
    if not is_complete(model_path(store, slug)) and slug not in bundled_slugs():
        raise ModelError(
            f"Surveying {slug}: expected a model of the store, got another; `python -m analysis models` lists them, "
            "and `models add NAME` adds one."
        )
    model = prepare_model(store, slug)
    if dataset not in datasets_of(model):
        raise SchemaError(
            f"Surveying {slug}: expected a dataset that it reads ({', '.join(datasets_of(model))}), got {dataset}."
        )
    prepared = prepare_dataset(store, model, dataset)
    n_rows = prepared.meta["rows"]
    if sizes.get("rows", 0) > n_rows:
        raise SchemaError(f"Surveying {slug} on {dataset}: expected at most its {n_rows} rows, got {sizes['rows']}.")
    return planned_spec(model.meta, prepared.meta, **sizes)


def show(store: Path, slug: str, name: str) -> None:
    """Print each figure that the store's surveys, and readings of its weights, have of one component, with its rank;
    of a KV head, which has none, where to look.

    Damaged surveys are named on stderr and not shown; where there are any, this ends with a `StoreError`.
    """
    component = Component.parse(name)
    sizes = Sizes(**open_artifact(model_path(store, slug), whole=False).meta["sizes"])
    if not component.exists_in(sizes):
        raise SchemaError(
            f"Showing {component} of {slug}: expected one of its {sizes.n_layers} layers, {sizes.n_heads} heads and "
            f"{sizes.d_mlp} neurons a layer."
        )
    if component.kind is ComponentKind.KV_HEAD:
        print(_about_kv_head(component, slug, sizes))
        return
    opened, n_damaged = _opened(store / "surveys", verified=("summary.safetensors",))
    surveys = [artifact for artifact in opened if artifact.meta["spec"]["model"] == slug]
    blocks = [(artifact, lines) for artifact in surveys if (lines := _figures(artifact, component))]
    if not blocks:
        raise SchemaError(
            f"Showing {component} of {slug}: expected a survey with figures of a {component.kind.value}, found none; "
            f"`python -m analysis survey {slug} DATASET` measures."
        )
    for artifact, lines in blocks:
        spec = SurveySpec.from_json(artifact.meta["spec"])
        print(f"{component} of {slug} on {spec.dataset}, {spec.rows} rows (survey {spec.hash[:12]}, code {spec.code})")
        _print_table(lines, right=range(1, 2))
    _show_weights(store, slug, component)
    if n_damaged:
        raise StoreError(
            f"Showing {component} of {slug}: expected whole surveys, got {n_damaged} damaged, named above and not "
            "shown; `python -m analysis survey` measures them again."
        )


def _figures(artifact: Artifact, component: Component) -> list[tuple[str, ...]]:
    """A line for each metric that a survey has of a component (`_line`)."""
    there = artifact.names(file="summary")
    uniform: dict[str, float] = artifact.meta.get("uniform", {}) if component.kind is ComponentKind.HEAD else {}
    lines: list[tuple[str, ...]] = []
    for metric in METRICS:
        key = f"{component.kind.value}.{metric.key}"
        if metric.component is component.kind and key in there:
            values = artifact.read(key, file="summary")
            errors = artifact.read(f"{key}.error", file="summary") if metric.is_mean else None
            lines.append(_line(metric, component, values, errors, uniform=uniform.get(metric.key)))
    return lines


def _line(
    metric: Metric,
    component: Component,
    values: np.ndarray,
    errors: np.ndarray | None = None,
    *,
    uniform: float | None = None,
) -> tuple[str, ...]:
    """Label, value, standard error, unit, rank among all that are measured, and what uniform attention would give.

    `values` and `errors` are of all components of a kind. What is no number was not measured and has no rank.
    """
    part = component.head if component.head is not None else component.neuron
    at = (component.layer,) if part is None else (component.layer, part)
    label, value = f"  {metric.label}", values[at]
    if np.isnan(value):
        return (label, "not measured", "", "", "", "")
    error = "" if errors is None or np.isnan(errors[at]) else f"± {errors[at]:.4f}"
    rank = f"rank {1 + np.count_nonzero(values > value)} of {np.count_nonzero(~np.isnan(values))}"
    beside = "" if uniform is None else f"uniform attention: {uniform:.4f}"
    return (label, f"{value:.4f}", error, metric.unit, rank, beside)


def _show_weights(store: Path, slug: str, component: Component) -> None:
    """Print what each reading of the model's weights in the store says of a head; nothing where there is none."""
    if component.kind is not ComponentKind.HEAD:
        return
    for artifact in _opened(store / "weights", verified=("summary.safetensors",))[0]:
        if artifact.meta["spec"]["model"] != slug:
            continue
        spec = WeightsSpec.from_json(artifact.meta["spec"])
        print(f"{component} of {slug}, by its weights (reading {spec.hash[:12]}, code {spec.code})")
        there = artifact.names(file="summary")
        metrics = [metric for metric in HEAD_METRICS if metric.dataset_kind is None and metric.key in there]
        lines = [_line(metric, component, artifact.read(metric.key, file="summary")) for metric in metrics]
        _print_table(lines, right=range(1, 2))


def _about_kv_head(component: Component, slug: str, sizes: Sizes) -> str:
    """A sentence that says where to look, since no metric is defined on KV heads."""
    assert component.kv_head is not None
    group = sizes.n_heads // sizes.n_kv_heads
    first = component.kv_head * group
    *others, last = (str(Component(component.layer, head=head)) for head in range(first, first + group))
    heads = f"heads {', '.join(others)} and {last} read" if others else f"head {last} reads"
    return (
        f"{component} of {slug} has no figures of its own: it is one W_K and one W_V, which {heads}; `show` prints the "
        "figures of a head, and the page of the KV head has all of them with their compositions."
    )


def _opened(folder: Path, *, verified: tuple[str, ...] = ()) -> tuple[list[Artifact], int]:
    """The artifacts of a folder of the store, by name; those that cannot be opened, or whose files of the names in
    `verified` are damaged, are named on stderr and counted."""
    found: list[Artifact] = []
    n_damaged = 0
    for path in paths_in(folder):
        try:
            artifact = open_artifact(path, whole=False)
            for name in verified:
                artifact.verify(name)
            found.append(artifact)
        except StoreUnreachableError:
            raise
        except StoreError as error:
            print(error, file=sys.stderr)
            n_damaged += 1
    return found, n_damaged


def _print_table(lines: Sequence[tuple[str, ...]], *, right: range) -> None:
    """Print columns aligned, those in `right` to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
