"""A model on the rows of a task, ready to be scrubbed: what is kept between hypotheses on the same two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from analysis.anatomy import sizes_of
from analysis.datasets.features import evaluate, validate
from analysis.datasets.task import Feature, FeatureError, TaskMetric, TaskRows
from analysis.schema import canonical_json
from analysis.scrubbing.donors import Donors, distinct, kept_name
from analysis.scrubbing.fast import KEPT_BYTES, layer_rows, needed, scrub_fast, size_of
from analysis.scrubbing.hypothesis import EndPoint, EndPointKind, Hypothesis, Node, Rewrite, Sampler, SamplerKind
from analysis.scrubbing.legality import World, check
from analysis.scrubbing.parts import ROOT
from analysis.scrubbing.plan import Known, Plan, PlanError, make_plan, uniform
from analysis.scrubbing.rewrites import rewrite_graph
from analysis.scrubbing.scoring import Scored, Scorer, join
from analysis.scrubbing.spans import TransformerSpans
from analysis.scrubbing.transformer import TransformerGraph, parts_of
from analysis.scrubbing.wiring import Draw, Wiring, wire

# How far it is: samples done, of how many.
Progress = Callable[[int, int], None]

OTHER_EXACT = Sampler(SamplerKind.EXACT)


@dataclasses.dataclass(frozen=True)
class Scrubbed:
    """A hypothesis that was scrubbed: its draws, what came out, and what it cost."""

    hypothesis: Hypothesis
    plan: Plan
    wiring: Wiring
    scored: Scored
    layer_rows: int  # layers evaluated on sequences, the runs of rows that were not kept from before included


@dataclasses.dataclass(frozen=True)
class Ends:
    """What is 100 % and what is 0 %, sample by sample."""

    model: Scored
    nothing: Scored


class Subject:
    """A model on rows. Rows that were run for one hypothesis are kept for the next."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: TaskRows,
        *,
        metric: TaskMetric,
        features: Mapping[str, Feature],
        slug: str,
        model_hash: str,
        dataset: str,
        rewrites: Sequence[Rewrite] = (),
    ) -> None:
        self.rows, self.features = rows, features
        self.slug, self.model_hash, self.dataset, self.rewrites = slug, model_hash, dataset, tuple(rewrites)
        self._values: dict[str, np.ndarray] = {}
        self._ends: dict[str, Ends] = {}
        self._known: Known = {}
        plain = TransformerGraph(model, parts_of(model, sizes_of(model.config)), tokens=rows.tokens, mask=rows.mask)
        self.graph = rewrite_graph(plain, self.rewrites, values=self.values, features=features)
        self.donors = Donors(self.graph, len(rows))
        self.scorer = Scorer(self.graph, rows, metric)
        self.spans = TransformerSpans(self.graph, read_at=self.scorer.read_at)
        self.dataset_hash = rows.hash

    def on(self, rows: TaskRows, *, dataset: str) -> Subject:
        """The same model on other rows of its task; estimates of heads are made anew, of these."""
        return Subject(
            self.graph.model,
            rows,
            metric=self.scorer.metric,
            features=self.features,
            slug=self.slug,
            model_hash=self.model_hash,
            dataset=dataset,
            rewrites=self.rewrites,
        )

    @property
    def world(self) -> World:
        """What a hypothesis about this model on these rows may speak of."""
        return World(
            self.slug,
            self.model_hash,
            self.dataset,
            self.dataset_hash,
            parts=self.graph.parts,
            rows=len(self.rows),
            features={key: feature.by_position for key, feature in self.features.items()},
            roles=frozenset(self.rows.roles),
            positions=self.rows.tokens.shape[1],
        )

    def values(self, expression: Any) -> Int[np.ndarray, "rows ..."]:
        """The value of an expression of features, for each row or each of its positions."""
        key = canonical_json(expression)
        if key not in self._values:
            self._values[key] = evaluate(expression, self.rows, self.features)
        return self._values[key]

    def plan(self, hypothesis: Hypothesis, *, reference: Int[np.ndarray, " n"] | None = None) -> Plan:
        """The draws of a hypothesis, once it was found to be legal; a `HypothesisError` or `PlanError` where it is not.
        `reference`: these rows instead of random ones."""
        check(hypothesis, self.world)
        for node in hypothesis.nodes:
            for sampler in (node.sampler, node.other):
                if sampler.kind is SamplerKind.AGREE:
                    try:
                        validate(sampler.feature, self.features)
                    except FeatureError as error:
                        raise PlanError(f"Sampling node {hypothesis.path(node.name)}: {error}") from error
        return make_plan(
            hypothesis, self.world, evaluate=self.values, roles=self.rows.roles, reference=reference, known=self._known
        )

    def prepare(self, hypotheses: Sequence[Hypothesis]) -> None:
        """Run each row that these hypotheses read once for all of them, unless that is more than is kept."""
        wanted: dict[str, list[np.ndarray]] = {}
        for hypothesis in hypotheses:
            plan, wiring = self.plan(hypothesis), wire(hypothesis, self.graph.parts)
            self.spans.prepare(wiring, plan)
            for name, rows in needed(self.spans, wiring, plan, samples=slice(0, plan.n), n_rows=len(self.rows)).items():
                wanted.setdefault(name, []).append(rows)
        together = {name: distinct(rows, len(self.rows)) for name, rows in wanted.items()}
        if self.donors.bytes + size_of(self.donors.missing(together), self.spans) <= KEPT_BYTES:
            self.donors.ensure(together)

    def scrub(
        self, hypothesis: Hypothesis, *, plan: Plan | None = None, on_progress: Progress | None = None
    ) -> Scrubbed:
        """Scrub a hypothesis by the fast evaluator and score what comes out against the reference rows."""
        plan = plan or self.plan(hypothesis)
        wiring = wire(hypothesis, self.graph.parts)
        before, pieces = self.donors.layer_rows, []
        for samples, streams in scrub_fast(self.spans, wiring, plan, donors=self.donors):
            pieces.append(self.scorer.score(streams, plan.reference[samples], at=self.spans.read_at))
            if on_progress:
                on_progress(samples.stop, plan.n)
        cost = layer_rows(self.graph, wiring, plan, run=self.donors.layer_rows - before)
        return Scrubbed(hypothesis, plan, wiring, join(pieces), cost)

    def ends(self, hypothesis: Hypothesis, plan: Plan) -> Ends:
        """The model's own losses on the reference rows, and those of the end point."""
        key = canonical_json([hypothesis.seed, hypothesis.end_point.to_json(), hypothesis.root.name])
        key += plan.reference.tobytes().hex()
        if key not in self._ends:
            self._ends[key] = self._find_ends(hypothesis, plan)
        return self._ends[key]

    def _find_ends(self, hypothesis: Hypothesis, plan: Plan) -> Ends:
        end_point, reference = hypothesis.end_point, plan.reference
        model = self._clean(reference, reference)
        match end_point.kind:
            case EndPointKind.LABELS_PERMUTED:
                order = np.argsort(uniform(hypothesis.seed, "labels permuted", len(reference)), kind="stable")
                return Ends(model, self._clean(reference, reference, labels_of=reference[order]))
            case EndPointKind.EVERYTHING_SCRUBBED:
                others = plan.rows[Draw(hypothesis.root.name, is_other=True)]
                if hypothesis.root.other != Sampler(SamplerKind.UNCONDITIONAL):
                    others = (uniform(hypothesis.seed, "everything scrubbed", len(reference)) * len(self.rows)).astype(
                        int
                    )
                return Ends(model, self._clean(others, reference))
        scrubbed = inputs_scrubbed(hypothesis, end_point)
        return Ends(model, self.scrub(scrubbed, plan=self.plan(scrubbed, reference=reference)).scored)

    def clean(self, reference: Int[np.ndarray, " n"]) -> Scored:
        """What the model says of rows, nothing scrubbed."""
        return self._clean(reference, reference)

    def _clean(
        self, rows: Int[np.ndarray, " n"], reference: Int[np.ndarray, " n"], *, labels_of: np.ndarray | None = None
    ) -> Scored:
        """The model's own outputs on rows, against the labels of reference rows."""
        at = self.scorer.read_at
        self.donors.ensure({kept_name(ROOT, at): rows})
        pieces = []
        for some in np.array_split(np.arange(len(rows)), range(256, len(rows), 256)):
            streams: Float[Tensor, "items some d_model"] = self.donors.values(ROOT, rows[some], at=at)
            labels = None if labels_of is None else labels_of[some]
            pieces.append(self.scorer.score(streams, reference[some], labels_of=labels, at=at))
        return join(pieces)


def inputs_scrubbed(hypothesis: Hypothesis, end_point: EndPoint) -> Hypothesis:
    """Everything as it is but named parts, which are computed on another row: what counts as 0 % then."""
    root = Node(hypothesis.root.name, None, (ROOT,), other=OTHER_EXACT)
    named = Node("end point", root.name, end_point.parts, sampler=Sampler(SamplerKind.UNCONDITIONAL), via=("*",))
    return dataclasses.replace(hypothesis, nodes=(root, named))
