"""What travels between the measuring half and the site: plain frozen data, no torch, no Django."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from typing import Any, Self

# The version of the code that measures. It is part of every survey's spec, so a change of method is a new survey.
CODE_VERSION = "0.1.0"


class SchemaError(ValueError):
    """Data from outside does not have the shape this module describes."""


def canonical_json(data: Any) -> str:
    """The one JSON text of `data`: sorted keys, no spaces. Hashes are taken of this."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(data: Any) -> str:
    """sha256 (hex) of the canonical JSON of `data`."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many parts a model has. A component exists if these numbers allow it."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int


class ComponentKind(enum.Enum):
    """A kind of component that has an address. The value is the word used on pages."""

    LAYER = "layer"
    HEAD = "head"
    NEURON = "neuron"


# What people type, most specific first. Named groups: layer, head, neuron.
_NOTATIONS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"L(?P<layer>\d{1,5})[.\s]?H(?P<head>\d{1,5})",
        r"L(?P<layer>\d{1,5})[.\s]?N(?P<neuron>\d{1,7})",
        r"L(?P<layer>\d{1,5})",
        r"(?P<layer>\d{1,5})\.(?P<head>\d{1,5})",
        r"a(?P<layer>\d{1,5})\.h(?P<head>\d{1,5})",
        r"m(?P<layer>\d{1,5})\.n(?P<neuron>\d{1,7})",
        r"blocks\.(?P<layer>\d{1,5})\.attn\.hook_\w+\[(?P<head>\d{1,5})\]",
        r"blocks\.(?P<layer>\d{1,5})\.mlp\.hook_\w+\[(?P<neuron>\d{1,7})\]",
        r"blocks\.(?P<layer>\d{1,5})",
    )
)


@dataclasses.dataclass(frozen=True, order=True)
class Component:
    """The address of one part of a model: `L5` (layer), `L5H1` (head) or `L3N1024` (neuron), counted from 0."""

    layer: int
    head: int | None = None
    neuron: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The component that `text` names in any of the field's notations (`5.1`, `L5H1`, `a5.h1`, …)."""
        for notation in _NOTATIONS:
            if match := notation.fullmatch(text.strip()):
                return cls(**{name: int(digits) for name, digits in match.groupdict().items()})
        raise SchemaError(
            f"Reading a component name: expected something like L5H1, 5.1, a5.h1, blocks.5.attn.hook_z[1], "
            f"L3N1024 or L5, got “{text.strip()[:80]}”."
        )

    @property
    def kind(self) -> ComponentKind:
        if self.head is not None:
            return ComponentKind.HEAD
        return ComponentKind.LAYER if self.neuron is None else ComponentKind.NEURON

    def __str__(self) -> str:
        """The canonical form."""
        if self.head is not None:
            return f"L{self.layer}H{self.head}"
        return f"L{self.layer}" if self.neuron is None else f"L{self.layer}N{self.neuron}"

    def exists_in(self, sizes: Sizes) -> bool:
        return (
            self.layer < sizes.n_layers
            and (self.head is None or self.head < sizes.n_heads)
            and (self.neuron is None or self.neuron < sizes.d_mlp)
        )


class DatasetKind(enum.Enum):
    """What the rows of a dataset are made of; each metric says on which kind it is defined."""

    NATURAL = "natural text"
    REPEATED = "repeated random tokens"


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of every head: its name everywhere, and what it means."""

    key: str
    label: str
    unit: str  # empty for a share of attention
    low: float
    high: float | None  # None: bounded only by the length of the rows
    definition: str
    dataset_kind: DatasetKind


# The one table that measuring, pages, JSON and glossary read. A[q,k] is the attention that query position q pays to
# key position k; position 0 is the BOS token. Values are means over the named queries of all rows of the survey.
HEAD_METRICS: tuple[Metric, ...] = (
    Metric(
        "induction_repeated",
        "induction (repeated)",
        "",
        0.0,
        1.0,
        "Mean of A[q,q−49] over the second half of BOS + 2 × 50 random tokens: attention to the token that followed "
        "the previous occurrence of the current token.",
        DatasetKind.REPEATED,
    ),
    Metric(
        "previous_token",
        "previous token",
        "",
        0.0,
        1.0,
        "Mean of A[q,q−1] over q ≥ 2: attention to the token just before.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "first_token",
        "first token",
        "",
        0.0,
        1.0,
        "Mean of A[q,0] over q ≥ 1: attention to the BOS token, where many heads rest.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "self",
        "self",
        "",
        0.0,
        1.0,
        "Mean of A[q,q] over q ≥ 1: attention of a token to itself.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "entropy",
        "entropy",
        "nats",
        0.0,
        None,
        "Mean over q ≥ 1 of −Σₖ A[q,k] ln A[q,k], over all keys: 0 when one key gets everything.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "distance_mean",
        "distance",
        "tokens",
        0.0,
        None,
        "Mean over q ≥ 1 of Σₖ A[q,k]·(q−k), over all keys: how far back the head looks.",
        DatasetKind.NATURAL,
    ),
)


def head_metrics(dataset_kind: DatasetKind) -> tuple[Metric, ...]:
    """The metrics that are defined on datasets of this kind."""
    return tuple(metric for metric in HEAD_METRICS if metric.dataset_kind is dataset_kind)


@dataclasses.dataclass(frozen=True)
class SurveySpec:
    """What one survey is: equal specs give equal numbers, and the hash of the spec is the survey's name."""

    model: str  # slug
    model_hash: str
    dataset: str  # name
    dataset_hash: str
    rows: int  # the first so many rows of the dataset are read
    pattern_rows: int  # attention patterns of the first so many rows are kept
    shard_rows: int  # rows a job reads
    batch_rows: int  # rows a forward pass reads
    dtype: str = "float32"
    code: str = CODE_VERSION

    def __post_init__(self) -> None:
        for name in ("rows", "shard_rows", "batch_rows"):
            if getattr(self, name) < 1:
                raise SchemaError(f"Describing a survey: expected {name} ≥ 1, got {getattr(self, name)}.")
        if not 0 <= self.pattern_rows <= self.rows:
            raise SchemaError(
                f"Describing a survey: expected 0 ≤ pattern_rows ≤ rows ({self.rows}), got {self.pattern_rows}."
            )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        try:
            return cls(**data)
        except TypeError as error:
            raise SchemaError(f"Reading the spec of a survey: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def hash(self) -> str:
        return content_hash(self.to_json())

    @property
    def n_shards(self) -> int:
        return -(-self.rows // self.shard_rows)

    def shard(self, index: int) -> range:
        """The rows that shard `index` reads."""
        if not 0 <= index < self.n_shards:
            raise SchemaError(f"Cutting a survey: expected a shard from 0 to {self.n_shards - 1}, got {index}.")
        return range(index * self.shard_rows, min(self.rows, (index + 1) * self.shard_rows))


@dataclasses.dataclass(frozen=True)
class WeightsSpec:
    """What one reading of a model's weights is; its hash is the name of the artifact."""

    model: str  # slug
    model_hash: str
    survey: str  # hash of the survey whose top key and query tokens the heads are asked about
    code: str = CODE_VERSION

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        try:
            return cls(**data)
        except TypeError as error:
            raise SchemaError(f"Reading the spec of a reading of weights: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def hash(self) -> str:
        return content_hash(self.to_json())


class JobKind(enum.Enum):
    """What a job does. The value is stored and travels in the claim's answer."""

    SURVEY_SHARD = "survey-shard"
    SURVEY_MERGE = "survey-merge"
