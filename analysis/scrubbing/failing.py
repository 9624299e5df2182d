"""The inputs on which a hypothesis fails worst: what was swapped in, what changed, and a search for worse ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from analysis.scrubbing.further import exact_alone
from analysis.scrubbing.hypothesis import Hypothesis, SamplerKind
from analysis.scrubbing.result import Samples
from analysis.scrubbing.subject import Scrubbed, Subject

WORST = 20
# In a search this share of the samples is uniform; the others are near the worst that were found.
UNIFORM = 0.4
# So many rounds go on from the worst; from so many each.
ROUNDS, PARENTS = 4, 8

Decode = Callable[[list[int]], str]


def failure(samples: Samples, *, higher_is_better: bool) -> Float[np.ndarray, " n"]:
    """How much worse than the model's each sample's loss is, or its logit difference lower."""
    worse = samples.scrubbed - samples.model
    return -worse if higher_is_better else worse


def worst_samples(
    subject: Subject, scrubbed: Scrubbed, samples: Samples, *, decode: Decode, count: int = WORST
) -> list[dict[str, Any]]:
    """The samples that fail worst: the reference, what each node read instead, what came out, and of each node how much
    of the failure is gone where it alone is exact."""
    fails = failure(samples, higher_is_better=subject.scorer.metric.higher_is_better)
    chosen = np.argsort(-fails, kind="stable")[:count]
    mended = _mended(subject, scrubbed, samples, chosen=chosen)
    return [
        {
            "sample": int(sample),
            "row": int(samples.reference[sample]),
            "text": text_of(subject, int(samples.reference[sample]), decode=decode),
            "losses": {name: float(getattr(samples, name)[sample]) for name in ("model", "scrubbed", "nothing")},
            "outputs": {
                "model": _listed(samples.model_outputs[sample]),
                "scrubbed": _listed(samples.scrubbed_outputs[sample]),
            },
            "swapped_in": [
                _swapped_in(subject, str(draw), rows[sample], decode=decode)
                for draw, rows in scrubbed.plan.rows.items()
                if not (draw.path == scrubbed.hypothesis.root.name and not draw.is_other)
            ],
            "mended_by": {path: float(losses[at]) for path, losses in mended.items()},
        }
        for at, sample in enumerate(chosen)
    ]


def text_of(subject: Subject, row: int, *, decode: Decode) -> str:
    """A row as text, padding left out."""
    tokens = subject.rows.tokens[row][subject.rows.mask[row]]
    return decode([int(token) for token in tokens])


def _swapped_in(subject: Subject, name: str, rows: Any, *, decode: Decode) -> dict[str, Any]:
    if np.ndim(rows) == 0:
        return {"draw": name, "row": int(rows), "text": text_of(subject, int(rows), decode=decode)}
    # by position: the token that was read at each from a row of its own
    tokens = [int(subject.rows.tokens[row, at]) for at, row in enumerate(rows)]
    return {"draw": name, "rows": [int(row) for row in rows], "text": decode(tokens)}


def _listed(output: Float[np.ndarray, " output"]) -> list[float | None]:
    return [None if np.isnan(number) else float(number) for number in np.ravel(output)]


def _mended(
    subject: Subject, scrubbed: Scrubbed, samples: Samples, *, chosen: np.ndarray
) -> dict[str, Float[np.ndarray, " chosen"]]:
    """By how much each node's being exact lowers what fails, for these samples."""
    sign = -1.0 if subject.scorer.metric.higher_is_better else 1.0
    found = {}
    for node in scrubbed.hypothesis.nodes:
        if node.parent is None or node.sampler.kind is SamplerKind.EXACT:
            continue
        other = exact_alone(scrubbed.hypothesis, node.name)
        plan = subject.plan(other).only(chosen)
        losses = subject.scrub(dataclasses.replace(other, n=len(chosen)), plan=plan).scored.losses
        found[scrubbed.hypothesis.path(node.name)] = sign * (samples.scrubbed[chosen] - losses)
    return found


@dataclasses.dataclass(frozen=True)
class Found:
    """Failures that were looked for: a reference row each, the worst first."""

    rows: Int[np.ndarray, " found"]
    failures: Float[np.ndarray, " found"]
    evaluated: int  # samples that were scrubbed

    def mean_of_worst(self, count: int = 10) -> float:
        return float(self.failures[:count].mean())


def search_uniformly(subject: Subject, hypothesis: Hypothesis, *, samples: int) -> Found:
    """The worst of so many samples whose reference is drawn uniformly among the rows."""
    uniform = dataclasses.replace(hypothesis, n=samples)
    reference = subject.plan(uniform).reference
    return _ranked(reference, _failures(subject, uniform, reference))


def search_failing(subject: Subject, hypothesis: Hypothesis, *, samples: int) -> Found:
    """Look for references on which a hypothesis fails: some uniform ones, then by rounds those that agree with the
    worst on all that the rows are told apart by, and the worst themselves on other draws."""
    first = max(PARENTS, int(samples * UNIFORM))
    uniform = dataclasses.replace(hypothesis, n=first)
    rows = subject.plan(uniform).reference
    fails = _failures(subject, uniform, rows)
    generator = np.random.default_rng([hypothesis.seed, samples])
    alike = _codes(subject, hypothesis)
    left = samples - first
    for number in range(ROUNDS):
        here = left // (ROUNDS - number)
        if here == 0:
            continue
        near = _near(_ranked(rows, fails).rows[:PARENTS], alike, known=rows, n=here, generator=generator)
        again = dataclasses.replace(hypothesis, n=here, seed=hypothesis.seed + 1 + number)
        rows = np.concatenate([rows, near])
        fails = np.concatenate([fails, _failures(subject, again, near)])
        left -= here
    return _ranked(rows, fails)


def _codes(subject: Subject, hypothesis: Hypothesis) -> Int[np.ndarray, " rows"]:
    """A number for each row: rows with equal numbers are of the same classes and agree on the hypothesis's features."""
    columns = [np.asarray(values) for values in subject.rows.classes.values()]
    for node in hypothesis.nodes:
        if node.sampler.kind is SamplerKind.AGREE:
            values = subject.values(node.sampler.feature)
            columns += [values] if values.ndim == 1 else []
    if not columns:
        return np.zeros(len(subject.rows), dtype=np.int64)
    return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def _near(
    parents: np.ndarray, codes: np.ndarray, *, known: np.ndarray, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Rows like the parents that were not looked at yet; where there are none left, the parents again."""
    fresh = np.setdiff1d(np.flatnonzero(np.isin(codes, codes[parents])), known)
    chosen = generator.permutation(fresh)[:n]
    return np.concatenate([chosen, generator.choice(parents, n - len(chosen))]).astype(np.int64)


def _failures(subject: Subject, hypothesis: Hypothesis, reference: np.ndarray) -> np.ndarray:
    plan = subject.plan(hypothesis, reference=reference)
    scrubbed = subject.scrub(hypothesis, plan=plan).scored.losses
    worse = scrubbed - subject.clean(reference).losses
    return -worse if subject.scorer.metric.higher_is_better else worse


def _ranked(rows: np.ndarray, fails: np.ndarray) -> Found:
    """Each row once, by its worst sample."""
    order = np.argsort(-fails, kind="stable")
    _, first = np.unique(rows[order], return_index=True)
    kept = order[np.sort(first)]
    return Found(rows[kept], fails[kept], len(rows))
