"""The figures of a scrub as lines for a terminal. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.scrubbing.recovery import Mean, Recovered
from analysis.scrubbing.result import Result
from analysis.scrubbing.searched import Searched

# Of a search so many of the worst inputs are printed, and so many characters of each.
SHOWN, LONGEST = 3, 100


def lines_of(result: Result) -> Iterator[str]:
    """What a person reads first: the recovered share with its interval, both end points, then where and what of it."""
    yield f"recovered: {share(result.recovered)}"
    if result.verdict is not None:
        yield str(result.verdict)
    yield f"n = {result.n:,} samples of {result.documents:,} documents"
    yield f"100 %, the model: {_mean(result.losses['model'])}"
    yield f"0 %, {result.end_point}: {_mean(result.losses['nothing'])}"
    yield f"scrubbed: {_mean(result.losses['scrubbed'])}"
    yield f"a sample's loss moves by {_mean(result.loss_change)}, its output by {_mean(result.output_change)}"
    for of in result.classes:
        means = ", ".join(f"{name} {getattr(of, name).value:.4g}" for name in ("model", "scrubbed", "nothing"))
        yield f"  {of.name} {of.value} ({of.n:,}): {means}"
    for node in result.nodes:
        alone = "exact" if node.made_exact is None else f"if it alone is exact {share(node.made_exact)}"
        yield f"  node {node.path}: {node.drawn.donors:,} donors in {node.drawn.draws:,} draws; {alone}"
    values = [of.recovered.value for of in result.assignments if of.recovered.value is not None]
    if values:
        yield f"the same tree on {len(values)} random choices of other parts: {min(values):.1%} to {max(values):.1%}"
    yield f"paths left intact: {result.paths_intact:.1%}"
    yield f"layer-rows: {result.layer_rows:,}; one forward a node: {result.layer_rows_one_forward_each:,}"
    for warning in result.warnings:
        yield f"Warning: {warning}"


def lines_of_search(searched: Searched, *, split: str) -> Iterator[str]:
    """What was found beyond the samples of an experiment, which is on this split."""
    if searched.mean_of_worst is None or searched.mean_of_worst_uniform is None:
        yield f"no worse inputs were searched for: {searched.absent}"
        return
    where = f"{searched.rows:,} new rows of the split {searched.split}"
    elsewhere = "" if searched.split == split else f" (the experiment is on {split})"
    yield (
        f"searching {where}{elsewhere}, {searched.samples:,} samples: the worst {len(searched.worst)} fail by "
        f"{searched.mean_of_worst:.4g} in the mean, the worst of as many uniform samples by "
        f"{searched.mean_of_worst_uniform:.4g}"
    )
    for of in searched.worst[:SHOWN]:
        yield f"  {of['losses']['model']:.4g} → {of['losses']['scrubbed']:.4g}: {of['text'][:LONGEST]}"


def share(recovered: Recovered) -> str:
    if recovered.value is None:
        return f"not said: {recovered.absent}"
    error = "" if recovered.error is None else f" (standard error {recovered.error:.1%}"
    interval = "" if recovered.low is None else f"; 95 % from {recovered.low:.1%} to {recovered.high:.1%}"
    return f"{recovered.value:.1%}{error}{interval}{')' if error else ''}"


def _mean(mean: Mean) -> str:
    return f"{mean.value:.4g}" + ("" if mean.error is None else f" (standard error {mean.error:.2g})")
