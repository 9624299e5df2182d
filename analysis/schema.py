"""What travels between the measuring half and the site: plain frozen data, no torch, no Django."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from typing import Any, Self

# The version of the code that measures. It is part of every survey's spec, so a change of method is a new survey.
CODE_VERSION = "0.2.1"


class SchemaError(ValueError):
    """Data from outside does not have the shape this module describes."""


def canonical_json(data: Any) -> str:
    """The one JSON text of `data`: sorted keys, no spaces. Hashes are taken of this."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(data: Any) -> str:
    """sha256 (hex) of the canonical JSON of `data`."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


# What a model's slug may be. Not ending in .json, because the address of a model's data does.
SLUG = re.compile(r"(?!.*\.json$)[a-z0-9.-]{1,100}")

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is asked of a measuring worker: equal specs give equal results, and the hash names the result."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        try:
            return cls(**data)
        except TypeError as error:
            raise SchemaError(f"Reading a {cls.__name__}: {error}.") from error

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def hash(self) -> str:
        return content_hash(self.to_json())


@dataclasses.dataclass(frozen=True)
class ModelSource(Spec):
    """Where a model that is not bundled comes from, as a person writes it."""

    source: str  # its name on the hub (gpt2, EleutherAI/pythia-70m), or a folder: /…, ./…, ../… or ~/…
    revision: str | None = None  # a commit, branch or tag of the hub; None: the main branch
    asked_slug: str | None = None  # None: made of the source's last part

    def __post_init__(self) -> None:
        doing = f"Adding the model {self.source[:100]}"
        if not self.is_folder and not _HUB_NAME.fullmatch(self.source):
            raise SchemaError(f"{doing}: expected a name like EleutherAI/pythia-70m or a folder like ./my-model.")
        if self.revision is not None and self.is_folder:
            raise SchemaError(f"{doing}: expected no revision, for a folder has none, got {self.revision}.")
        if self.revision is not None and not _REVISION.fullmatch(self.revision):
            raise SchemaError(f"{doing}: expected a commit, branch or tag, got “{self.revision[:100]}”.")
        if not SLUG.fullmatch(self.slug) or self.slug.startswith((".", "-")):
            raise SchemaError(
                f"{doing}: expected a slug of small letters, digits, dots and hyphens that begins with a letter or "
                f"digit and does not end in .json, got “{self.slug[:100]}”."
            )

    @property
    def is_folder(self) -> bool:
        return self.source.startswith(("/", "./", "../", "~/"))

    @property
    def slug(self) -> str:
        if self.asked_slug is not None:
            return self.asked_slug
        return re.sub(r"[^a-z0-9.-]+", "-", self.source.rstrip("/").rsplit("/", 1)[-1].lower())


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
    KV_HEAD = "KV head"


# What people type, most specific first. Named groups: layer, head, neuron, kv_head.
_NOTATIONS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"L(?P<layer>\d{1,5})[.\s]?H(?P<head>\d{1,5})",
        r"L(?P<layer>\d{1,5})[.\s]?N(?P<neuron>\d{1,7})",
        r"L(?P<layer>\d{1,5})[.\s]?KV(?P<kv_head>\d{1,5})",
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
    """The address of one part of a model, counted from 0: `L5` (layer), `L5H1` (head), `L3N1024` (neuron) or `L5KV0`
    (KV head: the keys and values that one or more heads read)."""

    layer: int
    head: int | None = None
    neuron: int | None = None
    kv_head: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The component that `text` names in any of the field's notations (`5.1`, `L5H1`, `a5.h1`, …)."""
        for notation in _NOTATIONS:
            if match := notation.fullmatch(text.strip()):
                return cls(**{name: int(digits) for name, digits in match.groupdict().items()})
        raise SchemaError(
            f"Reading a component name: expected something like L5H1, 5.1, a5.h1, blocks.5.attn.hook_z[1], "
            f"L3N1024, L5KV0 or L5, got “{text.strip()[:80]}”."
        )

    @property
    def kind(self) -> ComponentKind:
        if self.head is not None:
            return ComponentKind.HEAD
        if self.kv_head is not None:
            return ComponentKind.KV_HEAD
        return ComponentKind.LAYER if self.neuron is None else ComponentKind.NEURON

    def __str__(self) -> str:
        """The canonical form."""
        if self.head is not None:
            return f"L{self.layer}H{self.head}"
        if self.kv_head is not None:
            return f"L{self.layer}KV{self.kv_head}"
        return f"L{self.layer}" if self.neuron is None else f"L{self.layer}N{self.neuron}"

    def exists_in(self, sizes: Sizes) -> bool:
        return (
            self.layer < sizes.n_layers
            and (self.head is None or self.head < sizes.n_heads)
            and (self.neuron is None or self.neuron < sizes.d_mlp)
            and (self.kv_head is None or self.kv_head < sizes.n_kv_heads)
        )


class DatasetKind(enum.Enum):
    """What the rows of a dataset are made of; each metric says on which kind it is defined."""

    NATURAL = "natural text"
    REPEATED = "repeated random tokens"


@dataclasses.dataclass(frozen=True)
class SurveySpec(Spec):
    """What one survey is: equal specs give equal numbers, and the hash of the spec is the survey's name."""

    model: str  # slug
    model_hash: str
    dataset: str  # name
    dataset_hash: str
    rows: int  # the first so many rows of the dataset are read
    pattern_rows: int  # attention patterns of the first so many rows are kept
    in_depth: bool  # tokens, examples, neurons and layers too, or the metrics of heads alone
    lens_rows: int  # the logit lens reads four stated positions in each of the first so many rows
    shard_rows: int  # rows a job reads
    batch_rows: int  # rows a forward pass reads
    dtype: str = "float32"
    code: str = CODE_VERSION

    def __post_init__(self) -> None:
        for name in ("rows", "shard_rows", "batch_rows"):
            if getattr(self, name) < 1:
                raise SchemaError(f"Describing a survey: expected {name} ≥ 1, got {getattr(self, name)}.")
        for name in ("pattern_rows", "lens_rows"):
            if not 0 <= getattr(self, name) <= self.rows:
                raise SchemaError(
                    f"Describing a survey: expected 0 ≤ {name} ≤ rows ({self.rows}), got {getattr(self, name)}."
                )

    @property
    def n_shards(self) -> int:
        return -(-self.rows // self.shard_rows)

    def shard(self, index: int) -> range:
        """The rows that shard `index` reads."""
        if not 0 <= index < self.n_shards:
            raise SchemaError(f"Cutting a survey: expected a shard from 0 to {self.n_shards - 1}, got {index}.")
        return range(index * self.shard_rows, min(self.rows, (index + 1) * self.shard_rows))


@dataclasses.dataclass(frozen=True)
class PromptSpec(Spec):
    """A person's own text, on which every head's attention is kept."""

    model: str  # slug
    model_hash: str
    text: str
    code: str = CODE_VERSION


@dataclasses.dataclass(frozen=True)
class PromotedSpec(PromptSpec):
    """Which tokens every head promotes on a person's own text."""

    @property
    def hash(self) -> str:
        return content_hash(["promoted", self.to_json()])

    @property
    def prompt(self) -> PromptSpec:
        return PromptSpec(**self.to_json())


@dataclasses.dataclass(frozen=True)
class WeightsSpec(Spec):
    """What one reading of a model's weights is."""

    model: str  # slug
    model_hash: str
    survey: str  # hash of the survey whose top key and query tokens the heads are asked about
    code: str = CODE_VERSION


class JobKind(enum.Enum):
    """What a job does. The value is stored and travels in the claim's answer."""

    SURVEY_SHARD = "survey-shard"
    SURVEY_MERGE = "survey-merge"
    WEIGHTS = "weights"
    PROMPT = "prompt"
    PROMOTED = "promoted"
    ADD_MODEL = "add-model"
    SCRUB = "scrub"
