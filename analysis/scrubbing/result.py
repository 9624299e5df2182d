"""What a scrub says: how much is recovered between which end points, where, and what to be wary of. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.plan import FEW, Drawn
from analysis.scrubbing.recovery import Mean, Recovered, difference, mean_of, recover

# Per-datum changes so many times the change of the mean are cancelling.
CANCELLING = 3.0
# A hypothesis that leaves more of the paths than this alone is permissive.
PERMISSIVE = 0.5


class ResultError(Exception):
    """Results that cannot be compared; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """Of each sample what came out; the artifact keeps all of it."""

    reference: Int[np.ndarray, " n"]  # rows of the dataset
    documents: Int[np.ndarray, " n"]
    scrubbed: Float[np.ndarray, " n"]  # losses
    model: Float[np.ndarray, " n"]
    nothing: Float[np.ndarray, " n"]
    scrubbed_outputs: Float[np.ndarray, "n ..."]
    model_outputs: Float[np.ndarray, "n ..."]

    @property
    def n(self) -> int:
        return len(self.reference)

    def arrays(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def some(self, chosen: np.ndarray) -> Samples:
        """Those samples alone."""
        return Samples(**{name: array[chosen] for name, array in self.arrays().items()})

    def recovered(self, *, seed: int, losses: np.ndarray | None = None) -> Recovered:
        """What these losses, or the scrubbed ones, recover."""
        scrubbed = self.scrubbed if losses is None else losses
        return recover(scrubbed, self.model, self.nothing, documents=self.documents, seed=seed)


@dataclasses.dataclass(frozen=True)
class OfClass:
    """The losses of the samples whose reference is of one class."""

    name: str
    value: int
    n: int
    scrubbed: Mean
    model: Mean
    nothing: Mean
    recovered: Recovered


@dataclasses.dataclass(frozen=True)
class OfNode:
    """What a node's draws came to, and what is recovered if it alone is exact."""

    path: str
    drawn: Drawn
    made_exact: Recovered | None = None  # None: it is exact already
    gain: Recovered | None = None  # what that recovers more, on the same draws


@dataclasses.dataclass(frozen=True)
class OfAssignment:
    """The same tree on other parts."""

    parts: tuple[str, ...]  # of the nodes below the root
    recovered: Recovered


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a criterion that was stated beforehand is met."""

    criterion: float
    met: bool

    def __str__(self) -> str:
        return f"criterion ≥ {self.criterion:.0%}: {'met' if self.met else 'not met'}".replace("%", " %")


@dataclasses.dataclass(frozen=True)
class Result:
    """All that is said of one scrub."""

    recovered: Recovered
    losses: Mapping[str, Mean]  # scrubbed, model, nothing
    between: Mean  # the end points: nothing less model
    end_point: str
    n: int
    documents: int
    loss_change: Mean  # the mean over samples of how far the loss moved, up or down
    output_change: Mean  # … and each number of the output
    classes: Sequence[OfClass]
    nodes: Sequence[OfNode]
    assignments: Sequence[OfAssignment]
    paths_intact: float
    verdict: Verdict | None
    warnings: Sequence[str]
    layer_rows: int
    layer_rows_one_forward_each: int

    def to_json(self) -> dict[str, Any]:
        data = dataclasses.asdict(self)
        data["verdict"] = None if self.verdict is None else {**data["verdict"], "text": str(self.verdict)}
        return data


def summarise(
    hypothesis: Hypothesis,
    samples: Samples,
    *,
    classes: Mapping[str, Int[np.ndarray, " rows"]],
    nodes: Sequence[OfNode],
    assignments: Sequence[OfAssignment],
    paths_intact: float,
    layer_rows: int,
    layer_rows_one_forward_each: int,
) -> Result:
    """The figures of a scrub; `classes` are those of the dataset's rows."""
    recovered = samples.recovered(seed=hypothesis.seed)
    loss_change = mean_of(np.abs(samples.scrubbed - samples.model), samples.documents)
    result = Result(
        recovered=recovered,
        losses={name: mean_of(getattr(samples, name), samples.documents) for name in ("scrubbed", "model", "nothing")},
        between=mean_of(samples.nothing - samples.model, samples.documents),
        end_point=str(hypothesis.end_point.to_json()),
        n=samples.n,
        documents=len(np.unique(samples.documents)),
        loss_change=loss_change,
        output_change=mean_of(output_changes(samples), samples.documents),
        classes=[
            of for name in sorted(classes) for of in _by_class(samples, name, classes[name], seed=hypothesis.seed)
        ],
        nodes=nodes,
        assignments=assignments,
        paths_intact=paths_intact,
        verdict=_verdict(hypothesis, recovered),
        warnings=(),
        layer_rows=layer_rows,
        layer_rows_one_forward_each=layer_rows_one_forward_each,
    )
    return dataclasses.replace(result, warnings=warnings(result))


def output_changes(samples: Samples) -> Float[np.ndarray, " n"]:
    """How far the outputs of each sample moved, the mean over its numbers: equal losses can hide opposite outputs."""
    moved = np.abs(samples.scrubbed_outputs - samples.model_outputs).reshape(samples.n, -1)
    return np.nanmean(moved, axis=1)


def compare(first: Samples, second: Samples, *, seed: int) -> Recovered:
    """What the first of two scrubs of the same samples, between the same end points, recovers more than the second."""
    for name in ("reference", "model", "nothing"):
        if not np.array_equal(getattr(first, name), getattr(second, name)):
            raise ResultError(
                "Comparing two results: expected the same reference rows, model and end point, got others; give both "
                "the same seed, n, rows and end point."
            )
    return difference(first.scrubbed, second.scrubbed, first.model, first.nothing, documents=first.documents, seed=seed)


def _by_class(samples: Samples, name: str, values: Int[np.ndarray, " rows"], *, seed: int) -> list[OfClass]:
    of_sample = values[samples.reference]
    found = []
    for value in np.unique(of_sample):
        some = samples.some(of_sample == value)
        means = {each: mean_of(getattr(some, each), some.documents) for each in ("scrubbed", "model", "nothing")}
        found.append(OfClass(name, int(value), some.n, **means, recovered=some.recovered(seed=seed)))
    return found


def _verdict(hypothesis: Hypothesis, recovered: Recovered) -> Verdict | None:
    if hypothesis.criterion is None or recovered.value is None:
        return None
    return Verdict(hypothesis.criterion, recovered.value >= hypothesis.criterion)


def warnings(result: Result) -> list[str]:
    """What a reader of the figures should know, a sentence each."""
    found = []
    scale = abs(result.between.value)
    if result.between.error is not None and scale < 2 * result.between.error:
        found.append(
            f"The end points are hardly apart: {scale:.3g}, with a standard error of {result.between.error:.2g}, so "
            "that the recovered share says little."
        )
    of_mean = abs(result.losses["scrubbed"].value - result.losses["model"].value)
    if result.loss_change.value > CANCELLING * of_mean and result.loss_change.value > 0.1 * scale:
        found.append(
            f"Errors cancel: the loss of a sample moves by {result.loss_change.value:.3g} in the mean, up or down, the "
            f"mean loss by {of_mean:.3g} only."
        )
    if result.recovered.low is not None and result.recovered.low > 1:
        found.append(
            f"More than 100 % is recovered (its interval begins at {100 * result.recovered.low:.1f} %): what the "
            "hypothesis leaves out makes the model worse, so it does something."
        )
    if result.paths_intact > PERMISSIVE:
        found.append(
            f"The hypothesis is permissive: {100 * result.paths_intact:.0f} % of the paths from the input to the "
            "output still read the reference."
        )
    shares = [of.recovered.value for of in result.assignments if of.recovered.value is not None]
    value = result.recovered.value
    if value is not None and shares and (as_good := sum(share >= value for share in shares)):
        found.append(
            f"The same tree recovers as much or more on {as_good} of {len(shares)} random choices of other parts, so "
            "it says little of these."
        )
    found += [
        f"Node {of.path}: {of.drawn.few:,} of {of.drawn.draws:,} draws were among fewer than {FEW} rows that agree, "
        f"and {of.drawn.only_one:,} had no row but their own, so that nothing was swapped in there."
        for of in result.nodes
        if of.drawn.only_one or of.drawn.few > of.drawn.draws // 10
    ]
    return found
