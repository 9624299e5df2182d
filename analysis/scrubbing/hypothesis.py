"""What a hypothesis says, as frozen data read from JSON or YAML. No torch.

A hypothesis is a tree of nodes below the model's output. Each node is mapped to parts of the model on their way to the
parts of its parent, and says of which other row of the dataset they may be. Who may say what is `legality`'s business;
here only the shape of the data is read.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any

from analysis.schema import content_hash
from analysis.scrubbing.fields import (
    HypothesisError,
    is_count,
    load_data,
    named_fields,
    read_text,
    read_texts,
    read_whole,
)

__all__ = ["Hypothesis", "HypothesisError", "read_hypothesis"]

MAX_NODES = 1_000
MAX_SAMPLES = 1_000_000
# A criterion that no recovered share comes near is a slip; infinity and what is no number are above it too.
MAX_CRITERION = 1e6


class SamplerKind(enum.Enum):
    """How a node's datum is drawn. The value is the word in the file."""

    AGREE = "agree"  # among the rows that agree with the parent's datum on a feature
    UNCONDITIONAL = "unconditional"  # among all rows
    EXACT = "exact"  # the parent's datum itself
    FIXED = "fixed"  # one row, always the same


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How a datum is drawn. `shared` names a draw: nodes that give the same name read the same row."""

    kind: SamplerKind
    feature: Any = None  # of AGREE: an expression of features, as JSON
    row: int | None = None  # of FIXED
    shared: str | None = None

    @classmethod
    def from_json(cls, data: Any, *, where: str) -> Sampler:
        if data in ("unconditional", "exact"):
            return cls(SamplerKind(data))
        expected = (
            f"{where}: expected a sampler such as {{agree: feature}}, unconditional, exact, {{fixed: row}} or "
            f"{{shared: name}}, got {json.dumps(data, default=str)[:100]}."
        )
        if not isinstance(data, dict) or not data or not set(data) <= {"agree", "fixed", "shared"}:
            raise HypothesisError(expected)
        shared = data.get("shared")
        if shared is not None and (not isinstance(shared, str) or not shared or "fixed" in data):
            raise HypothesisError(expected)
        if "fixed" in data:
            if "agree" in data or not is_count(data["fixed"], least=0):
                raise HypothesisError(expected)
            return cls(SamplerKind.FIXED, row=data["fixed"])
        if "agree" not in data:
            return cls(SamplerKind.UNCONDITIONAL, shared=shared)
        return cls(SamplerKind.AGREE, feature=data["agree"], shared=shared)

    def to_json(self) -> Any:
        if self.kind is SamplerKind.FIXED:
            return {"fixed": self.row}
        shared = {} if self.shared is None else {"shared": self.shared}
        if self.kind is SamplerKind.AGREE:
            return {"agree": self.feature, **shared}
        return shared or self.kind.value


UNCONDITIONAL = Sampler(SamplerKind.UNCONDITIONAL)
EXACT = Sampler(SamplerKind.EXACT)


@dataclasses.dataclass(frozen=True)
class Node:
    """One node of the interpretation. `parts` of one node are sampled together."""

    name: str
    parent: str | None  # None: the root
    parts: tuple[str, ...]
    sampler: Sampler = EXACT  # its own datum; of the root always the reference
    other: Sampler = UNCONDITIONAL  # the one datum that its inputs read where no child is mapped
    via: tuple[str, ...] | None = None  # the parts that the way to the parent may pass; None: as few as there are
    positions: str | tuple[int, ...] | None = None  # at which the parts are read: a role or numbers; None: all
    offset: int | None = None  # of a way through keys and values: only from the position so many further on

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"name": self.name, "parts": list(self.parts)}
        if self.parent is not None:
            data |= {"parent": self.parent, "sampler": self.sampler.to_json()}
        if self.other != UNCONDITIONAL:
            data["other"] = self.other.to_json()
        if self.via is not None:
            data["via"] = list(self.via)
        if self.positions is not None:
            data["positions"] = self.positions if isinstance(self.positions, str) else list(self.positions)
        if self.offset is not None:
            data["offset"] = self.offset
        return data


class EndPointKind(enum.Enum):
    """What counts as 0 %. The value is the word in the file."""

    LABELS_PERMUTED = "labels permuted"
    INPUTS_SCRUBBED = "inputs scrubbed"  # of named parts, which then do nothing about their input
    EVERYTHING_SCRUBBED = "everything scrubbed"


@dataclasses.dataclass(frozen=True)
class EndPoint:
    """What counts as 0 %."""

    kind: EndPointKind = EndPointKind.EVERYTHING_SCRUBBED
    parts: tuple[str, ...] = ()

    def to_json(self) -> Any:
        return {self.kind.value: list(self.parts)} if self.parts else self.kind.value


class MaskOf(enum.Enum):
    """Whose padding mask a node's attention uses: masks are inputs of the graph. The value is the word in the file."""

    OTHER = "other"  # the mask is an unimportant input
    DATUM = "datum"  # the mask is that of the node's own datum


class RewriteKind(enum.Enum):
    """A change of the graph that leaves what it computes as it is. The value is the word in the file."""

    ESTIMATE = "estimate"  # a head's output as a function of a feature, and the rest
    UNGROUP = "ungroup"  # keys and values of its own for one query head of a group


class EstimateForm(enum.Enum):
    """Which function of a feature estimates a head's output. The value is the word in the file."""

    MEAN = "mean"  # the mean over the rows that agree with a row at a position
    SLOPE = "slope"  # v · (2p − 1) of a share p, v by least squares; nothing where the share is absent


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """A change of the graph that leaves what it computes as it is."""

    kind: RewriteKind
    head: str
    feature: Any = None  # of an estimate
    form: EstimateForm = EstimateForm.MEAN

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"kind": self.kind.value, "head": self.head}
        if self.feature is not None:
            data["feature"] = self.feature
        return data if self.form is EstimateForm.MEAN else {**data, "form": self.form.value}


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A causal question: which model, which rows, what is claimed, and what counts as nothing."""

    model: str
    model_hash: str
    dataset: str
    dataset_hash: str
    nodes: tuple[Node, ...]
    n: int = 1_000
    seed: int = 0
    end_point: EndPoint = EndPoint()
    mask: MaskOf = MaskOf.OTHER
    rewrites: tuple[Rewrite, ...] = ()
    criterion: float | None = None  # the recovered share that was said beforehand to be enough; None: no verdict

    @classmethod
    def from_json(cls, data: Any) -> Hypothesis:
        """The hypothesis that JSON says; a `HypothesisError` where its shape is not that of `json_schema`."""
        return _read_hypothesis(data)

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            name: getattr(self, name) for name in ("model", "model_hash", "dataset", "dataset_hash", "n", "seed")
        }
        data |= {"end_point": self.end_point.to_json(), "mask": self.mask.value}
        data["rewrites"] = [rewrite.to_json() for rewrite in self.rewrites]
        data["nodes"] = [node.to_json() for node in self.nodes]
        return data if self.criterion is None else {**data, "criterion": self.criterion}

    @property
    def hash(self) -> str:
        return content_hash(self.to_json())

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    @property
    def root(self) -> Node:
        return next(node for node in self.nodes if node.parent is None)

    def children(self, name: str) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.parent == name)

    def path(self, name: str) -> str:
        """The names from the root down to a node: what its draws are keyed by."""
        node = self.node(name)
        return node.name if node.parent is None else f"{self.path(node.parent)}/{node.name}"


def read_hypothesis(text: str) -> Hypothesis:
    """A hypothesis from the text of a file, YAML or JSON (which is YAML)."""
    return Hypothesis.from_json(load_data(text))


def _read_node(data: Any, *, index: int) -> Node:
    named = data.get("name") if isinstance(data, dict) else None
    where = f"Reading node {named if isinstance(named, str) else index + 1}"
    optional = {"parent", "parts", "sampler", "other", "via", "positions", "offset"}
    fields = named_fields(data, where=where, required={"name"}, optional=optional)
    name = read_text(fields["name"], where=f"{where}, name")
    if "/" in name:
        raise HypothesisError(f"{where}: expected a name without /, got {name}.")
    parent = fields.get("parent")
    if parent is not None and "sampler" not in fields:
        raise HypothesisError(f"{where}: expected the field sampler, which is not there.")
    if parent is None and "sampler" in fields:
        raise HypothesisError(f"{where}: expected a root without a sampler, for its datum is the reference.")
    positions = fields.get("positions")
    if isinstance(positions, list):
        positions = tuple(read_whole(at, where=f"{where}, positions", least=0, most=1_000_000) for at in positions)
    elif positions is not None:
        positions = read_text(positions, where=f"{where}, positions")
    offset, via = fields.get("offset"), fields.get("via")
    if offset is not None:
        offset = read_whole(offset, where=f"{where}, offset", least=-1_000_000, most=1_000_000)
    if via == "*":
        via = ["*"]
    return Node(
        name=name,
        parent=None if parent is None else read_text(parent, where=f"{where}, parent"),
        parts=read_texts(fields.get("parts", []), where=f"{where}, parts"),
        sampler=EXACT if parent is None else Sampler.from_json(fields["sampler"], where=f"{where}, sampler"),
        other=Sampler.from_json(fields.get("other", "unconditional"), where=f"{where}, other"),
        via=None if via is None else read_texts(via, where=f"{where}, via"),
        positions=positions,
        offset=offset,
    )


def _read_end_point(data: Any) -> EndPoint:
    where = "Reading the end point"
    for kind in EndPointKind:
        if data == kind.value and kind is not EndPointKind.INPUTS_SCRUBBED:
            return EndPoint(kind)
    if isinstance(data, dict) and set(data) == {EndPointKind.INPUTS_SCRUBBED.value}:
        return EndPoint(EndPointKind.INPUTS_SCRUBBED, read_texts(data[EndPointKind.INPUTS_SCRUBBED.value], where=where))
    raise HypothesisError(
        f"{where}: expected “labels permuted”, “everything scrubbed” or {{inputs scrubbed: [parts]}}, got "
        f"{json.dumps(data, default=str)[:100]}."
    )


def _read_rewrite(data: Any) -> Rewrite:
    where = "Reading a rewrite"
    fields = named_fields(data, where=where, required={"kind", "head"}, optional={"feature", "form"})
    kinds = [kind.value for kind in RewriteKind]
    if fields["kind"] not in kinds:
        raise HypothesisError(f"{where}: expected a kind among {', '.join(kinds)}, got {str(fields['kind'])[:100]}.")
    kind = RewriteKind(fields["kind"])
    if (kind is RewriteKind.ESTIMATE) != ("feature" in fields):
        raise HypothesisError(f"{where}: expected a feature of an estimate, and of nothing else.")
    form, forms = fields.get("form", "mean"), [form.value for form in EstimateForm]
    if form not in forms or ("form" in fields and kind is not RewriteKind.ESTIMATE):
        raise HypothesisError(
            f"{where}: expected a form among {', '.join(forms)}, and of an estimate alone, got {str(form)[:100]}."
        )
    return Rewrite(kind, read_text(fields["head"], where=where), fields.get("feature"), EstimateForm(form))


def _read_hypothesis(data: Any) -> Hypothesis:
    where = "Reading a hypothesis"
    required = {"model", "model_hash", "dataset", "dataset_hash", "nodes"}
    optional = {"n", "seed", "end_point", "mask", "rewrites", "criterion"}
    fields = named_fields(data, where=where, required=required, optional=optional)
    nodes, rewrites = fields["nodes"], fields.get("rewrites", [])
    if not isinstance(nodes, list) or not nodes:
        raise HypothesisError(f"{where}: expected a list of nodes, got {json.dumps(nodes, default=str)[:100]}.")
    if len(nodes) > MAX_NODES:
        raise HypothesisError(f"{where}: expected at most {MAX_NODES:,} nodes, got {len(nodes):,}.")
    if not isinstance(rewrites, list):
        raise HypothesisError(f"{where}: expected a list of rewrites.")
    mask, masks = fields.get("mask", "other"), [choice.value for choice in MaskOf]
    if mask not in masks:
        raise HypothesisError(f"{where}: expected a mask among {', '.join(masks)}, got {str(mask)[:100]}.")
    criterion = fields.get("criterion")
    is_number = (
        isinstance(criterion, int | float) and not isinstance(criterion, bool) and abs(criterion) < MAX_CRITERION
    )
    if criterion is not None and not is_number:
        raise HypothesisError(f"{where}: expected a criterion such as 0.8, got {str(criterion)[:100]}.")
    return Hypothesis(
        **{name: read_text(fields[name], where=f"{where}, {name}") for name in sorted(required - {"nodes"})},
        nodes=tuple(_read_node(node, index=index) for index, node in enumerate(nodes)),
        n=read_whole(fields.get("n", 1_000), where=f"{where}, n", least=2, most=MAX_SAMPLES),
        seed=read_whole(fields.get("seed", 0), where=f"{where}, seed", least=0, most=2**63 - 1),
        end_point=_read_end_point(fields.get("end_point", "everything scrubbed")),
        mask=MaskOf(mask),
        rewrites=tuple(_read_rewrite(rewrite) for rewrite in rewrites),
        criterion=None if criterion is None else float(criterion),
    )
