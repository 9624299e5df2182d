"""The inputs of an experiment on which its hypothesis fails worst: what was swapped in, and what changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.scrubbing.further import exact_alone
from analysis.scrubbing.hypothesis import SamplerKind
from analysis.scrubbing.result import Samples
from analysis.scrubbing.subject import Scrubbed, Subject

WORST = 20

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
