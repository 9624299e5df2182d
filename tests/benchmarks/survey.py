"""A survey against the bare forward pass, merging against the survey, and TransformerLens against both."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from analysis.anatomy import body_of
from analysis.datasets.rows import Rows
from analysis.schema import SurveySpec
from analysis.statistics.neurons import Calibration, Known, join_known
from analysis.store import publish, write_arrays
from analysis.survey import Shard, merge_survey, partial_path, publish_calibration

from .data import MODELS, load, natural_rows, real_store, store_aside, survey_spec
from .peers.recorded import recorded
from .report import Figure

ABOUT = (
    "All statistics of a survey but the logit lens, the planned survey of `sotu` in shards of 256 rows and batches of "
    "16 × 128 tokens, against the bare forward pass of the body (`sdpa`, no unembedding, float32) on the same batches, "
    "the two alternating batch by batch, after one batch of both that is not counted. The time of a survey includes "
    "calibration, by its first batch, and writing its partials."
)
ROWS = 512


@dataclasses.dataclass
class Times:
    """Seconds of each batch, the survey's and the bare pass', and of writing each partial."""

    survey: list[float] = dataclasses.field(default_factory=list)
    bare: list[float] = dataclasses.field(default_factory=list)
    partials: list[float] = dataclasses.field(default_factory=list)  # one a shard
    tokens: int = 0  # of a batch

    @property
    def seconds(self) -> float:
        """Of the survey."""
        return sum(self.survey) + sum(self.partials)

    @property
    def ratio(self) -> float:
        return self.seconds / sum(self.bare)

    @property
    def median_ratio(self) -> float:
        """Of the batches' own ratios, with the share of the partials: one interrupted batch does not count."""
        ratios = [survey / bare for survey, bare in zip(self.survey, self.bare, strict=True)]
        return statistics.median(ratios) + sum(self.partials) / sum(self.bare)

    @property
    def tokens_per_second(self) -> float:
        return len(self.survey) * self.tokens / self.seconds


def measure(rows: int = ROWS) -> list[Figure]:
    figures = []
    for title, name in MODELS.items():
        with store_aside(real_store()) as store:
            spec = survey_spec(store, rows=rows)
            model = load(store, name, spec)
            times = alternate(store, model, natural_rows(store, spec), spec)
            figures += _of_model(title, times)
            if name == "smollm2":
                figures.append(_merging(store, spec, times))
            else:
                figures += _against_transformer_lens(times)
    return figures


def alternate(
    store: Path,
    model: PreTrainedModel,
    rows: Rows,
    spec: SurveySpec,
    *,
    wait: Callable[[], None] = lambda: None,
) -> Times:
    """Survey the rows of a spec as workers do, each batch also with the bare forward pass, and leave the partials in
    the store. `wait` returns when the device has done what it was asked to."""
    times, n = Times(), 0

    def timed(do: Callable[[], object]) -> float:
        start = time.perf_counter()
        do()
        wait()
        return time.perf_counter() - start

    def bare(batch: range) -> None:
        tokens = torch.from_numpy(np.stack([rows[row] for row in batch]).astype(np.int64)).to(model.device)
        with torch.inference_mode():
            body_of(model)(input_ids=tokens, use_cache=False)

    # the first batch of a process is slower: memory is not there yet
    first = range(spec.batch_rows)
    bare(first)
    Shard(model, rows, spec, spec.shard(0)).measure(first)
    calibration: list[Calibration] = []
    shown: dict[int, list[Known]] = {}
    for number in range(spec.n_shards):
        indices = spec.shard(number)
        known = join_known(shown, before=number) if shown else None
        shard = Shard(model, rows, spec, indices, calibration, known=known)

        def survey(batch: range, shard: Shard = shard) -> None:
            shard.measure(batch)
            shard.require_finite()

        for batch in rows.batches(indices, size=spec.batch_rows):
            pair = [(times.survey, survey), (times.bare, bare)]
            for seconds, do in pair if n % 2 else reversed(pair):
                seconds.append(timed(lambda do=do, batch=batch: do(batch)))
            n += 1
        times.tokens = spec.batch_rows * len(rows[0])
        times.partials.append(timed(lambda shard=shard, number=number: _write_partial(store, spec, number, shard)))
        calibration = shard.calibration
        shown[number] = [neurons.known for neurons in shard.neurons]
    publish_calibration(store, spec, calibration)
    return times


def _write_partial(store: Path, spec: SurveySpec, number: int, shard: Shard) -> None:
    meta = {"device": "cpu", "rows": len(spec.shard(number)), "seconds": 0.0, "seconds_of_lens": 0.0}
    with publish(partial_path(store, spec, number), meta=meta) as folder:
        for file, arrays in shard.files().items():
            write_arrays(folder, arrays, file=file)


def _of_model(title: str, times: Times) -> list[Figure]:
    batches = f"{len(times.survey)} batches"
    bare = len(times.bare) * times.tokens / sum(times.bare)
    return [
        Figure(f"{title}: survey ÷ bare forward, wall", times.ratio, "×", at_most=1.25, note=f"totals of {batches}"),
        Figure(f"{title}: the same, median of batches", times.median_ratio, "×"),
        Figure(f"{title}: bare forward", bare, "tokens/s"),
        Figure(f"{title}: survey", times.tokens_per_second, "tokens/s"),
        Figure(f"{title}: writing partials", 100 * sum(times.partials) / times.seconds, "% of the survey"),
    ]


def _merging(store: Path, spec: SurveySpec, times: Times) -> Figure:
    start = time.perf_counter()
    merge_survey(store, spec, on_partial=lambda _: None)
    seconds = time.perf_counter() - start
    note = (
        f"{spec.n_shards} partials merged in {seconds:.1f} s, checksums and writing included; "
        f"the survey {times.seconds:.0f} s"
    )
    return Figure("merging ÷ survey", 100 * seconds / times.seconds, "%", at_most=3, note=note)


def _against_transformer_lens(times: Times) -> list[Figure]:
    """How many times the throughput of TransformerLens, each relative to the same bare forward pass."""
    figures = []
    for peer in recorded():
        name = f"throughput ÷ TransformerLens {peer['version']}"
        note = (
            f"{peer['way']}: {peer['statistics_ratio']:.2f} × the bare forward pass of transformers in its own run "
            f"({peer['tokens_per_second']:,.0f} tokens/s, {peer['date']}, {peer['machine']['CPU']})"
        )
        limit = 1.5 if peer["current"] else None
        figures.append(Figure(name, peer["statistics_ratio"] / times.ratio, "×", at_least=limit, note=note))
    if not figures:
        reason = "no recorded figures; run `python -m tests.benchmarks.peers.transformer_lens`"
        figures.append(Figure("throughput ÷ TransformerLens", None, at_least=1.5, absent=reason))
    return figures
