"""Further scrubs that say what a result is worth: each node alone made exact, and the same tree on other parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from analysis.scrubbing.assignments import random_assignments
from analysis.scrubbing.hypothesis import EXACT, Hypothesis, SamplerKind
from analysis.scrubbing.parts import ROOT
from analysis.scrubbing.recovery import difference
from analysis.scrubbing.result import OfAssignment, OfNode, Samples
from analysis.scrubbing.subject import Ends, Scrubbed, Subject

# Of further scrubs, which are many, the first so many samples.
SAMPLES = 512

# How far it is: scrubs done, of how many.
Done = Callable[[int, int], None]


def samples_of(subject: Subject, scrubbed: Scrubbed, ends: Ends) -> Samples:
    """What came out of a scrub, sample by sample."""
    reference = scrubbed.plan.reference
    return Samples(
        reference=reference,
        documents=subject.rows.documents[reference],
        scrubbed=scrubbed.scored.losses,
        model=ends.model.losses,
        nothing=ends.nothing.losses,
        scrubbed_outputs=scrubbed.scored.outputs,
        model_outputs=ends.model.outputs,
    )


def exact_alone(hypothesis: Hypothesis, name: str) -> Hypothesis:
    """The hypothesis with one node's datum made its parent's."""
    nodes = tuple(dataclasses.replace(node, sampler=EXACT) if node.name == name else node for node in hypothesis.nodes)
    return dataclasses.replace(hypothesis, nodes=nodes)


def loss_budget(subject: Subject, scrubbed: Scrubbed, samples: Samples, *, on_done: Done) -> list[OfNode]:
    """What each node costs: what is recovered where it alone is exact, on the first samples and the same draws."""
    hypothesis, few = scrubbed.hypothesis, _first(samples)
    nodes = [node for node in hypothesis.nodes if node.parent is not None]
    found = []
    for number, node in enumerate(nodes):
        path = hypothesis.path(node.name)
        drawn = scrubbed.plan.drawn[path]
        if node.sampler.kind is SamplerKind.EXACT:
            found.append(OfNode(path, drawn))
        else:
            losses = _losses(subject, exact_alone(hypothesis, node.name), n=few.n)
            gain = difference(
                losses, few.scrubbed, few.model, few.nothing, documents=few.documents, seed=hypothesis.seed
            )
            found.append(OfNode(path, drawn, few.recovered(seed=hypothesis.seed, losses=losses), gain))
        on_done(number + 1, len(nodes))
    return found


def on_other_parts(
    subject: Subject, hypothesis: Hypothesis, samples: Samples, *, count: int, on_done: Done
) -> list[OfAssignment]:
    """What the same tree recovers on other parts of the model, on the first samples and the same draws."""
    few = _first(samples)
    others = [
        dataclasses.replace(other, n=few.n)
        for other in random_assignments(hypothesis, subject.graph.parts, count=count)
    ]
    # rows are run once for all of them
    subject.prepare(others)
    found = []
    for number, other in enumerate(others):
        losses = subject.scrub(other).scored.losses
        parts = tuple(part for node in other.nodes if node.parts != (ROOT,) for part in node.parts)
        found.append(OfAssignment(parts, few.recovered(seed=hypothesis.seed, losses=losses)))
        on_done(number + 1, len(others))
    return found


def _first(samples: Samples) -> Samples:
    return samples.some(np.arange(min(SAMPLES, samples.n)))


def _losses(subject: Subject, hypothesis: Hypothesis, *, n: int) -> np.ndarray:
    return subject.scrub(dataclasses.replace(hypothesis, n=n)).scored.losses
