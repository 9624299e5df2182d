"""Scrubbing the whole hypothesis of the bracket classifier, against one forward pass for each node and sample."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from analysis.anatomy import body_of, sizes_of
from analysis.datasets.task import Split, TaskRows
from analysis.datasets.tasks.brackets import make_rows
from analysis.datasets.tasks.table import TASKS
from analysis.models import load_model, model_path
from analysis.organisms.bracket_classifier import BracketClassifierConfig, BracketForSequenceClassification
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.run import n_draws
from analysis.scrubbing.subject import Scrubbed, Subject
from analysis.store import open_artifact

from .data import MODEL, real_store
from .report import Figure

ABOUT = (
    "The whole hypothesis of the bracket classifier (count test, start and open proportion; the horizon test by "
    "position), on a model of its architecture with random weights, by the fast evaluator: sampling, scrubbing and "
    "scoring, from nothing and then for a further hypothesis on the same rows. Against one bare forward pass of the "
    "body for each datum of each sample, which is timed on some thousand rows in batches of 256 and multiplied. "
    "Layer-rows (one layer on one sequence) are counted and compared with U·L + N·Σ span. Before that three nodes on "
    "SmolLM2 (a head, and another that its keys read) on as many rows of repeated random tokens as samples; then on "
    "the same rows with other draws, which run no row, and with other heads, for which the attention of one layer is "
    "run on each row. What is compared is timed in turn, three rounds of all; the median counts."
)
SAMPLES, ROWS = 4_000, 20_000
FORWARD_ROWS = 2_048
TEXT_SAMPLES, TEXT_ROWS, TEXT_POSITIONS = 256, 256, 64
LAYERS = 3
ROUNDS = 3
# Layers between each node and the lowest of its children, by hand.
SPANS = {"out": 2, "count early": 1, "count late": 1, "horizon": 1}


def hypothesis(*, horizon: Any = "horizon_test", seed: int = 0, n: int = SAMPLES) -> Hypothesis:
    """Claims 1, 2 and 3 of the published ones, about heads 1.0, 2.0 and 2.1."""
    counts = {"all": ["count_test", "starts_with_open"]}

    def at_first(parent: str, head: str) -> dict[str, Any]:
        ways = [f"L{head[1]}KV{head[3]}.{slot}" for slot in "kv"]
        reads = {"parts": ["L0H0", "embed"], "via": ways, "positions": "first"}
        return {"name": f"{parent}, first", "parent": parent, "sampler": {"agree": "overall_proportion"}, **reads}

    data = {
        "model": "paren-balance",
        "model_hash": "0" * 64,
        "task": "brackets",
        "n": n,
        "seed": seed,
        "nodes": [
            {"name": "out", "parts": ["out"]},
            _under_out("count early", "L1H0", counts, via=["L1.mlp", "L2.mlp"]),
            _under_out("count late", "L2H0", counts, via=["L2.mlp"]),
            _under_out("horizon", "L2H1", horizon, via=["L2.mlp"]),
            at_first("count early", "L1H0"),
            at_first("count late", "L2H0"),
            {
                "name": "by position",
                "parent": "horizon",
                "parts": ["L0H0", "embed"],
                "via": ["L2KV1.k", "L2KV1.v"],
                "sampler": {"agree": {"all": ["horizon_class", {"bin": ["open_proportion", [0.25, 0.5, 0.75]]}]}},
            },
        ],
    }
    return Experiment.from_json(data).hypothesis


def _under_out(name: str, part: str, feature: Any, *, via: list[str]) -> dict[str, Any]:
    return {"name": name, "parent": "out", "parts": [part], "via": via, "sampler": {"agree": feature}}


def measure() -> list[Figure]:
    store = real_store()
    meta = open_artifact(model_path(store, MODEL)).meta
    tokenizer = Tokenizer.from_file(str(model_path(store, MODEL) / "tokenizer.json"))
    rows = TASKS["induction-random"].rows("search", n=TEXT_ROWS, seed=0, tokenizer=tokenizer, bos=meta["bos"])
    model = load_model(store, MODEL, expected_hash=meta["hash"], device="cpu")
    # SmolLM2 first: the peak of memory is the process's
    return [*of_text(model, cut(rows, TEXT_POSITIONS)), *of_brackets()]


def of_text(
    model: PreTrainedModel, rows: TaskRows, *, samples: int = TEXT_SAMPLES, rounds: int = ROUNDS
) -> list[Figure]:
    """Three nodes on a language model: the output, a head of the last layer but one, and what its keys read."""
    layers = sizes_of(model.config).n_layers
    further: dict[str, dict[str, Any]] = {
        "other draws": {"seed": 1},
        "another head below": {"below": f"L{layers - 4}H1"},
        "another head above": {"above": f"L{layers - 2}H1"},
    }
    seconds: dict[str, list[float]] = {}
    costs: dict[str, str] = {}
    for _ in range(rounds):
        subject = subject_of(model, rows, task="induction-random")
        for name, other in {"cold": {}, **further}.items():
            said = about(subject, three_nodes(layers, samples=samples, **other))
            taken, scrubbed = timed(lambda subject=subject, said=said: subject.scrub(said))
            seconds.setdefault(name, []).append(taken)
            costs[name] = rows_of(scrubbed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    cold_s, note = median(seconds["cold"]), f"{samples} samples of {rows.tokens.shape[1]}, {costs['cold']}"
    return [
        Figure("SmolLM2, three nodes, cold", cold_s, "s", at_most=600, note=note),
        *(
            Figure(f"SmolLM2, {name} ÷ cold", median(seconds[name]) / cold_s, "×", at_most=0.1, note=costs[name])
            for name in further
        ),
        Figure("SmolLM2, peak memory", peak, "GiB", at_most=8),
    ]


def three_nodes(
    layers: int, *, samples: int, seed: int = 0, above: str | None = None, below: str | None = None
) -> Hypothesis:
    """The output, a head of the last layer but one, and a head that its keys read."""
    above, below = above or f"L{layers - 2}H0", below or f"L{layers - 3}H0"
    nodes = [
        {"name": "out", "parts": ["out"]},
        {"name": "induction", "parent": "out", "parts": [above], "via": ["*"], "sampler": "unconditional"},
        {
            "name": "previous",
            "parent": "induction",
            "parts": [below],
            "via": [f"L{layers - 2}KV0.k"],
            "sampler": "unconditional",
        },
    ]
    asked = {"model": "paren-balance", "model_hash": "0" * 64, "task": "induction-random", "n": samples, "seed": seed}
    return Experiment.from_json({**asked, "nodes": nodes}).hypothesis


def cut(rows: TaskRows, positions: int) -> TaskRows:
    """The first positions of each row; the last has no next token to count."""
    by_position = {name: getattr(rows, name)[:, :positions] for name in ("tokens", "mask", "counted", "labels")}
    by_position["counted"] = by_position["counted"].copy()
    by_position["counted"][:, -1] = False
    return dataclasses.replace(rows, **by_position)


def of_brackets(samples: int = SAMPLES, rows: int = ROWS, *, rounds: int = ROUNDS) -> list[Figure]:
    torch.manual_seed(0)
    model = BracketForSequenceClassification(BracketClassifierConfig()).eval()
    data = make_rows(Split.SEARCH, n=rows, seed=0)
    forward_s, cold_s, again_s = [], [], []
    for number in range(rounds):
        subject = subject_of(model, data, task="brackets")
        first = about(subject, hypothesis(n=samples))
        other = hypothesis(horizon={"all": ["horizon_test", "starts_with_open"]}, seed=number + 1, n=samples)
        forward_s.append(forward_seconds(model, subject))
        taken, cold = timed(lambda subject=subject, first=first: subject.scrub(first))
        cold_s.append(taken)
        further = about(subject, other)
        taken, again = timed(lambda subject=subject, further=further: subject.scrub(further))
        again_s.append(taken)
    one_each = median(forward_s) * samples * (n_draws(cold.plan.rows) + 1)
    distinct = len(np.unique(np.concatenate([of.ravel() for of in cold.plan.rows.values()])))
    spans = samples * sum(SPANS.values())
    bounds = distinct * LAYERS + spans, spans
    times = one_each / median(cold_s), one_each / median(again_s)
    return [
        Figure("draws a sample", n_draws(cold.plan.rows), at_least=45),
        Figure("one forward pass for each", one_each, "s", note=f"timed on {FORWARD_ROWS:,} rows, multiplied"),
        Figure("one forward pass for each ÷ fast, cold", times[0], "×", at_least=5, note=f"{median(cold_s):.2f} s"),
        Figure("… ÷ a further hypothesis", times[1], "×", at_least=100, note=f"{median(again_s):.3f} s"),
        Figure("layer-rows ÷ bound, cold", cold.layer_rows / bounds[0], "×", at_most=1.2, note=f"{cold.layer_rows:,}"),
        Figure("layer-rows ÷ bound, further", again.layer_rows / bounds[1], "×", at_most=1.2, note=rows_of(again)),
    ]


def rows_of(scrubbed: Scrubbed) -> str:
    return f"{scrubbed.layer_rows:,} layer-rows"


def subject_of(model: PreTrainedModel, rows: TaskRows, *, task: str) -> Subject:
    return Subject(
        model,
        rows,
        metric=TASKS[task].metric,
        features=TASKS[task].features,
        slug="paren-balance",
        model_hash="0" * 64,
        dataset=f"{task}/search",
    )


def about(subject: Subject, said: Hypothesis) -> Hypothesis:
    return dataclasses.replace(said, dataset_hash=subject.dataset_hash)


def timed(do: Callable[[], Scrubbed]) -> tuple[float, Scrubbed]:
    start = time.perf_counter()
    done = do()
    return time.perf_counter() - start, done


def forward_seconds(model: PreTrainedModel, subject: Subject) -> float:
    """Seconds that a bare forward pass of the body takes for a row."""
    of = np.arange(min(FORWARD_ROWS, len(subject.rows)))
    tokens, mask = (torch.from_numpy(each[of]) for each in (subject.rows.tokens, subject.rows.mask))
    with torch.inference_mode():
        body_of(model)(tokens[:256], mask[:256])  # the first of a process is slower
        start = time.perf_counter()
        for some, of_some in zip(torch.split(tokens, 256), torch.split(mask, 256), strict=True):
            body_of(model)(some, of_some)
        return (time.perf_counter() - start) / len(of)
