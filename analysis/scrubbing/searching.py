"""A search, among rows that a task makes anew, for inputs on which a hypothesis fails; beside as many uniform draws.

Rows are cheap and scrubs are not: many more rows are made than are scrubbed, and what the scrubbed ones have in common
says which to scrub next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from analysis.datasets.task import FeatureError, Split, TaskError, TaskRows
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.failing import Decode, text_of
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.hypothesis import Hypothesis, SamplerKind
from analysis.scrubbing.plan import PlanError
from analysis.scrubbing.searched import Searched
from analysis.scrubbing.subject import Subject

# So many samples are scrubbed by a search: a quarter of the experiment's, but not fewer than LEAST where it has as
# many, nor more than MOST. With as many uniform ones that costs less than the scrub, unless both take no time.
LEAST, MOST = 32, 512
# Rows that are made for each of them, donors included; and those on which the model itself is run, to be chosen from.
ROWS_A_SAMPLE, CANDIDATES_A_SAMPLE = 8, 4
# In a search this share of the samples is uniform; the others are chosen in so many rounds.
UNIFORM, ROUNDS = 0.4, 4
# Failures that are kept, compared in the mean with as many uniform ones, and gone on from.
WORST = 10
# What a mark says of a failure counts as if so many more samples with it had failed as all do in the mean.
SHRUNK_BY = 8

# Rows of a split: `make(split, n=…, seed=…)`.
MakeRows = Callable[..., TaskRows]
# How far it is: steps done, of how many.
Done = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Tried:
    """Samples that were scrubbed to see how much they fail, in their order."""

    rows: Int[np.ndarray, " n"]  # of equal sequences the first
    model: Float[np.ndarray, " n"]  # losses, or logit differences
    scrubbed: Float[np.ndarray, " n"]
    failures: Float[np.ndarray, " n"]  # by how much the scrubbed one is worse

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: np.ndarray | slice) -> Tried:
        """Those samples alone, in that order."""
        return Tried(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def then(self, more: Tried) -> Tried:
        """These samples, and behind them others."""
        fields = (field.name for field in dataclasses.fields(self))
        return Tried(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in fields))

    def worst(self, count: int = WORST) -> Tried:
        """The worst of them first, each sequence once, by its worst sample."""
        order = np.argsort(-self.failures, kind="stable")
        _, first = np.unique(self.rows[order], return_index=True)
        return self.some(order[np.sort(first)[:count]])

    def mean_of_worst(self) -> float:
        return float(self.worst().failures.mean())


def search_anew(
    subject: Subject, experiment: Experiment, *, make_rows: MakeRows | None, decode: Decode, on_done: Done
) -> Searched:
    """Search among rows of the split for searching that have another seed than the experiment's: who looks never sees
    what confirms. What cannot be searched is said, and loses nothing of the experiment."""
    try:
        if make_rows is None:
            raise ScrubError("Searching for worse inputs: expected the generator of the experiment's task, got none.")
        return _search_anew(subject, experiment, make_rows=make_rows, decode=decode, on_done=on_done)
    except (FeatureError, HypothesisError, PlanError, ScrubError, TaskError) as error:
        return Searched(absent=str(error))


def _search_anew(
    subject: Subject, experiment: Experiment, *, make_rows: MakeRows, decode: Decode, on_done: Done
) -> Searched:
    hypothesis = experiment.hypothesis
    _refuse_fixed(hypothesis)
    samples = n_searched(hypothesis.n)
    n_rows, seed = ROWS_A_SAMPLE * samples, experiment.rows_seed + 1
    dataset = f"{experiment.task}/{Split.SEARCH.value}"
    anew = subject.on(make_rows(Split.SEARCH.value, n=n_rows, seed=seed), dataset=dataset)
    said = dataclasses.replace(hypothesis, dataset=dataset, dataset_hash=anew.dataset_hash)
    uniform = try_uniformly(anew, said, samples=samples)
    on_done(1, ROUNDS + 1)
    found = search(anew, said, uniform=uniform, on_done=lambda done: on_done(done + 1, ROUNDS + 1))
    worst = found.worst()
    return Searched(
        rows=n_rows,
        rows_seed=seed,
        samples=samples,
        worst=tuple(
            {
                "row": int(row),
                "text": text_of(anew, int(row), decode=decode),
                "losses": {"model": float(model), "scrubbed": float(scrubbed)},
            }
            for row, model, scrubbed in zip(worst.rows, worst.model, worst.scrubbed, strict=True)
        ),
        mean_of_worst=found.mean_of_worst(),
        mean_of_worst_uniform=uniform.mean_of_worst(),
    )


def n_searched(n: int) -> int:
    """How many samples are searched for an experiment of `n`."""
    return min(n, MOST, max(n // 4, LEAST))


def _refuse_fixed(hypothesis: Hypothesis) -> None:
    """A row that a hypothesis names by its number is another among other rows."""
    for node in hypothesis.nodes:
        if SamplerKind.FIXED in (node.sampler.kind, node.other.kind):
            raise ScrubError(
                f"Searching for worse inputs: expected nodes that can be sampled among other rows, got "
                f"{hypothesis.path(node.name)}, which names one of the experiment's rows."
            )


def try_uniformly(subject: Subject, hypothesis: Hypothesis, *, samples: int) -> Tried:
    """Samples whose reference rows are drawn uniformly: the first of them are those of fewer."""
    of_size = dataclasses.replace(hypothesis, n=samples)
    return _tried(subject, of_size, _first_equal(subject.rows)[subject.plan(of_size).reference])


def search(subject: Subject, hypothesis: Hypothesis, *, uniform: Tried, on_done: Callable[[int], None]) -> Tried:
    """As many samples as the uniform ones, whose first it begins with. Then by rounds one half goes to new rows that
    are like those that failed, the other to the worst sequences on other draws. `on_done` is told of each round."""
    known_by, n_rows = _marks(subject), len(subject.rows)
    candidates = np.unique(_first_equal(subject.rows)[: CANDIDATES_A_SAMPLE * len(uniform)])
    model = subject.clean(candidates).losses
    found = uniform.some(slice(int(len(uniform) * UNIFORM) or 1))
    for number in range(ROUNDS):
        here = (len(uniform) - len(found)) // (ROUNDS - number)
        if here:
            slope, rest = _by_model(found)
            expected = slope * model + _expected_of_marks(found.rows, rest, known_by, n_rows=n_rows)[candidates]
            order = candidates[np.argsort(-expected, kind="stable")]
            new = order[~np.isin(order, found.rows)][: here // 2]
            rows = np.concatenate([new, np.resize(found.worst().rows, here - len(new))])
            other_draws = dataclasses.replace(hypothesis, n=here, seed=hypothesis.seed + 1 + number)
            found = found.then(_tried(subject, other_draws, rows))
        on_done(number + 1)
    return found


def _tried(subject: Subject, hypothesis: Hypothesis, reference: np.ndarray) -> Tried:
    scrubbed = subject.scrub(hypothesis, plan=subject.plan(hypothesis, reference=reference)).scored.losses
    model = subject.clean(reference).losses
    worse = scrubbed - model
    return Tried(reference, model, scrubbed, -worse if subject.scorer.metric.higher_is_better else worse)


def _first_equal(rows: TaskRows) -> Int[np.ndarray, " rows"]:
    """For each row the first one that is the same sequence."""
    _, first, number = np.unique(rows.tokens, axis=0, return_index=True, return_inverse=True)
    return first[number.reshape(-1)]


def _marks(subject: Subject) -> tuple[Int[np.ndarray, " marks"], Int[np.ndarray, " marks"]]:
    """What each row is known by, as pairs of a row and a number: its classes, what the task's features say of it, not
    only those of the hypothesis, and each token that is in it."""
    task_rows = subject.rows
    of_rows = [np.asarray(values) for values in task_rows.classes.values()]
    of_rows += [
        subject.values(key)
        for key, feature in subject.features.items()
        if not (feature.by_position or feature.continuous)
    ]
    row, position = np.nonzero(task_rows.mask)
    present = np.unique(np.stack([row, task_rows.tokens[row, position]], axis=1), axis=0)
    pairs = [(present[:, 0], present[:, 1]), *((np.arange(len(task_rows)), values) for values in of_rows)]
    rows, marks, total = [], [], 0
    for of_row, values in pairs:
        distinct, number = np.unique(values, return_inverse=True)
        rows.append(of_row)
        marks.append(number.reshape(-1) + total)
        total += len(distinct)
    return np.concatenate(rows), np.concatenate(marks)


def _by_model(found: Tried) -> tuple[float, Float[np.ndarray, " n"]]:
    """By least squares, how much more a sample fails for each unit of the model's own loss, and what that leaves: where
    the model does best there is most to lose."""
    model, failures = found.model - found.model.mean(), found.failures - found.failures.mean()
    squares = float(model @ model)
    slope = float(model @ failures) / squares if squares else 0.0
    return slope, failures - slope * model


def _expected_of_marks(
    tried: np.ndarray, rests: np.ndarray, known_by: tuple[np.ndarray, np.ndarray], *, n_rows: int
) -> Float[np.ndarray, " rows"]:
    """What each row is expected to fail more than the mean: the sum over its marks of what the rows that were tried and
    have a mark fail more, the less of it the fewer they are."""
    row, mark = known_by
    times = np.bincount(tried, minlength=n_rows)
    sums = np.bincount(tried, weights=rests, minlength=n_rows)
    of_mark = np.bincount(mark, weights=sums[row]) / (np.bincount(mark, weights=times[row]) + SHRUNK_BY)
    return np.bincount(row, weights=of_mark[mark], minlength=n_rows)
