"""The one module of the site that reads artifacts."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings

from analysis.metrics import METRICS, Metric
from analysis.patterns import decompress_pattern, decompress_patterns
from analysis.schema import Component, ComponentKind, JobKind, PromotedSpec, SchemaError, SurveySpec
from analysis.store import (
    Artifact,
    StoreError,
    StoreUnreachableError,
    is_complete,
    open_artifact,
    open_store,
    paths_in,
    promoted_path,
    prompt_path,
    scrub_path,
    survey_path,
    vocabulary_path,
    weights_path,
)
from wiki.components.models import LanguageModel

from .models import Measurement, Run, Survey

if TYPE_CHECKING:
    from analysis.scrubbing.result import Samples

__all__ = [
    "KeptTexts",
    "PatternRow",
    "Result",
    "ScrubResult",
    "StoreError",
    "SurveyResult",
    "Vocabulary",
    "is_parallel",
    "is_readable",
    "measurement_is_readable",
    "n_failures",
    "open_prompt",
    "open_scrub",
    "open_survey",
    "open_vocabulary",
    "open_weights",
    "spec_in_store",
    "surveys_in_store",
]


def _store() -> Path:
    return open_store(Path(settings.DATA_DIR), settings.STORE_URL)


def artifact_path(survey: Survey) -> Path:
    return survey_path(_store(), survey.hash)


@dataclasses.dataclass(frozen=True)
class PatternRow:
    """A text on which every head's attention is kept: its tokens as a person reads them."""

    index: int
    title: str
    tokens: tuple[str, ...]


@contextlib.contextmanager
def _noting_failures() -> Iterator[None]:
    try:
        yield
    except StoreError:
        _opened.cache_clear()  # it may have been measured anew since it was opened
        _note_failure()
        raise


@dataclasses.dataclass(frozen=True)
class Result:
    """What a measuring worker has published."""

    artifact: Artifact

    def names(self, *, file: str) -> list[str]:
        """The arrays of a file."""
        return self.artifact.names(file=file)

    def read(self, array: str, index: Any = ..., *, file: str) -> np.ndarray:
        """The slice `index` of an array of a file, the file checked."""
        with _noting_failures():
            self.artifact.check(f"{file}.safetensors")
            return self.artifact.read(array, index, file=file)

    def confirm(self, file: str) -> None:
        """Make sure that a file is still there and undamaged, where what was read from it is kept; `StoreError` says
        what is wrong."""
        with _noting_failures():
            self.artifact.confirm(f"{file}.safetensors")


@dataclasses.dataclass(frozen=True)
class Vocabulary(Result):
    """The tokens of a model as a person reads them."""

    def texts(self, tokens: Iterable[int]) -> list[str]:
        """The text of each token."""
        self.artifact.check("arrays.safetensors")
        ends, text = _whole_vocabulary(self.artifact.path)
        asked = np.fromiter(tokens, dtype=np.int64)
        return [
            text[start:stop].decode()
            for start, stop in zip(ends[asked].tolist(), ends[asked + 1].tolist(), strict=True)
        ]


# A page asks for hundreds of tokens from all over the vocabulary, which is a megabyte.
@functools.lru_cache(maxsize=4)
def _whole_vocabulary(path: Path) -> tuple[np.ndarray, bytes]:
    """`ends` and `text` of a vocabulary, whole; what is published under a path never changes."""
    artifact = _open(path)
    return artifact.read("ends"), artifact.read("text").tobytes()


@dataclasses.dataclass(frozen=True)
class KeptTexts(Result):
    """What every head did on some texts: part of a survey, or all of a prompt."""

    # of a prompt: the artifact that a later job publishes; the tokens that heads promote are in it
    later: Artifact | None = dataclasses.field(default=None, kw_only=True)

    @functools.cached_property
    def pattern_rows(self) -> tuple[PatternRow, ...]:
        rows = self.artifact.meta["pattern_rows"]
        return tuple(PatternRow(i, row["title"], tuple(row["tokens"])) for i, row in enumerate(rows))

    @property
    def is_causal(self) -> bool:
        """Whether no query attends to a key after it; results of older code are all of such models."""
        return bool(self.artifact.meta.get("causal", True))

    def pattern(self, row: int, component: Component) -> np.ndarray:
        """A head's attention on a kept text: uint8 [dest, src], 255 for 1."""
        assert component.head is not None
        n_tokens = len(self.artifact.meta["pattern_rows"][row]["tokens"])
        ends = self.read(f"pattern_ends.{row}", file=f"layer-{component.layer}")
        start = int(ends[component.head - 1]) if component.head else 0
        frame = self.read(f"pattern.{row}", slice(start, int(ends[component.head])), file=f"layer-{component.layer}")
        return decompress_pattern(frame, n_tokens=n_tokens)

    def layer_patterns(self, row: int, layer: int) -> np.ndarray:
        """The attention of all heads of a layer on a kept text: uint8 [head, dest, src], 255 for 1."""
        n_tokens = len(self.artifact.meta["pattern_rows"][row]["tokens"])
        ends = self.read(f"pattern_ends.{row}", file=f"layer-{layer}")
        frames = self.read(f"pattern.{row}", file=f"layer-{layer}")
        return np.stack(list(decompress_patterns(frames, ends, n_tokens=n_tokens)))

    def attention_from(self, row: int, query: int) -> np.ndarray:
        """What a query of a kept text attends to, by every head of the model: uint8 [layer, head, src], 255 for 1."""
        n = len(self.artifact.meta["pattern_rows"][row]["tokens"])
        layers = []
        for layer in range(sum(name.startswith("layer-") for name in self.artifact.files)):
            ends = self.read(f"pattern_ends.{row}", file=f"layer-{layer}")
            frames = self.read(f"pattern.{row}", file=f"layer-{layer}")
            layers.append([pattern[query] for pattern in decompress_patterns(frames, ends, n_tokens=n)])
        return np.array(layers)

    def activations(self, row: int, component: Component) -> np.ndarray | None:
        """A neuron's activations on a kept text: float32 [pos], NaN at BOS, within a 254th of the largest magnitude;
        None where they were not kept."""
        file = f"layer-{component.layer}"
        if f"neuron_steps.{row}" not in self.names(file=file):
            return None
        steps = self.read(f"neuron_steps.{row}", component.neuron, file=file).astype(np.float32)
        steps[0] = np.nan
        return steps * (self.read(f"neuron_scale.{row}", component.neuron, file=file) / np.float32(127))

    def value_norms(self, row: int, component: Component) -> np.ndarray:
        """How long a vector the head writes for each key that it attends to fully: float32 [src]."""
        return self.read(f"value_norm.{row}", component.head, file=f"layer-{component.layer}")

    def promoted(self, row: int, component: Component, query: int | slice) -> tuple[np.ndarray, np.ndarray] | None:
        """The tokens that the head's output at a query promotes, int32, and by how much, float32 [8]; for a slice of
        queries [query, 8]. None where that was not computed."""
        file, source = f"layer-{component.layer}", Result(self.later) if self.later else self
        if f"promoted.{row}" not in source.names(file=file):
            return None
        at = (component.head, query)
        return source.read(f"promoted.{row}", at, file=file), source.read(f"promoted_logit.{row}", at, file=file)


@dataclasses.dataclass(frozen=True)
class SurveyResult(KeptTexts):
    """The numbers of one finished survey."""

    spec: SurveySpec

    @functools.cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that this survey measured, in the table's order."""
        measured = set(self.artifact.meta["metrics"])
        return tuple(metric for metric in METRICS if f"{metric.component.value}.{metric.key}" in measured)

    def metric(self, metric: Metric, index: Any = ...) -> np.ndarray:
        """One metric: float64 [layer, head] or [layer], float32 [layer, neuron]."""
        return self.read(f"{metric.component.value}.{metric.key}", index, file="summary")

    def error(self, metric: Metric, index: Any = ...) -> np.ndarray | None:
        """Its standard error over documents, in the same shape; None for what is no mean."""
        if not metric.is_mean:
            return None
        return self.read(f"{metric.component.value}.{metric.key}.error", index, file="summary")

    def of_component(self, array: str, component: Component) -> np.ndarray:
        """A head's or neuron's slice of an array of its layer's file, as `analysis.merge` lists them."""
        index = component.neuron if component.kind is ComponentKind.NEURON else component.head
        return self.read(f"{component.kind.value}.{array}", index, file=f"layer-{component.layer}")

    def of_layer(self, metric: Metric, layer: int) -> tuple[np.ndarray, np.ndarray | None]:
        """One metric of all neurons of a layer and its standard error: float32 [neuron]."""
        return self.metric(metric, layer), self.error(metric, layer)

    def token_counts(self, tokens: np.ndarray) -> np.ndarray:
        """How often each of these tokens is seen at positions ≥ 1 of a survey in depth: int64, 0 where it is seen too
        seldom to have a mean."""
        frequent = self.read("frequent", file="rows")
        places = np.searchsorted(frequent, tokens).clip(max=len(frequent) - 1)
        return np.where(frequent[places] == tokens, self.read("frequent_counts", file="rows")[places], 0)

    def row_tokens(self, row: int) -> np.ndarray:
        """The tokens of a row of a survey in depth: int32."""
        return self.rows_of([row])[0][0]

    def row_title(self, row: int) -> str:
        """Where a row of a survey in depth comes from: its document and its tokens in it, BOS apart."""
        return self.rows_of([row])[0][1]

    def rows_of(self, rows: Iterable[int]) -> list[tuple[np.ndarray, str]]:
        """Tokens and title of some rows of a survey in depth, as `row_tokens` and `row_title` give them."""
        self.confirm("rows")
        return [_row(self, row) for row in rows]

    @property
    def queries(self) -> dict[str, int]:
        """How many query positions or positions each metric is a mean over."""
        return dict(self.artifact.meta["provenance"]["queries"])

    @property
    def absent(self) -> dict[str, str]:
        """Why metrics that the survey asked for could not be measured, by key."""
        return dict(self.artifact.meta.get("absent", {}))

    @property
    def uniform(self) -> dict[str, float]:
        """What uniform attention would give for some of the metrics, by key."""
        return dict(self.artifact.meta.get("uniform", {}))

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: survey, hashes, sizes, device, versions."""
        return {"survey": self.spec.hash, **self.spec.to_json(), **self.artifact.meta["provenance"]}


@functools.lru_cache(maxsize=2048)
def _row(result: SurveyResult, row: int) -> tuple[np.ndarray, str]:
    """Tokens and title of a row of a survey in depth whose rows were just checked."""
    read = functools.partial(result.read, file="rows")
    start, stop = read("starts", slice(row, row + 2)).tolist()
    title, offset = result.artifact.meta["titles"][read("documents", row)], int(read("offsets", row))
    return read("tokens", slice(start, stop)), f"{title}, tokens {offset:,}–{offset + stop - start - 2:,}"


# How often something could not be read since this process began.
_failures = 0


def n_failures() -> int:
    """How often something could not be read since this process began: what was made while it rose is not kept."""
    return _failures


def _note_failure() -> None:
    global _failures  # noqa: PLW0603 (a count, compared before and after)
    _failures += 1


@functools.lru_cache(maxsize=256)
def _opened(path: Path) -> Artifact:
    return open_artifact(path, whole=False)


def _open(path: Path) -> Artifact:
    try:
        return _opened(path)
    except StoreError:
        _note_failure()
        raise


def is_readable(survey: Survey) -> bool:
    """Whether the artifact of a finished survey is there and undamaged, as found in the store now."""
    return _is_whole(artifact_path(survey))


def measurement_is_readable(measurement: Measurement) -> bool:
    """Whether what a finished measurement left is there and undamaged, as found in the store now."""
    match JobKind(measurement.kind):
        case JobKind.PROMPT:
            return _is_whole(prompt_path(_store(), measurement.hash))
        case JobKind.PROMOTED:
            return _is_whole(promoted_path(_store(), PromotedSpec.from_json(measurement.spec).prompt.hash))
        case JobKind.WEIGHTS:
            return _is_whole(weights_path(_store(), measurement.hash))
        case _:
            return True  # the model that was added says itself whether it is there


def _is_whole(path: Path) -> bool:
    try:
        open_artifact(path, whole=False).check()
    except StoreError:
        return False
    return True


def open_survey(survey: Survey) -> SurveyResult:
    """The numbers of a finished survey; `StoreError` names what is missing or damaged."""
    return _survey_result(_open(artifact_path(survey)), survey.parsed_spec)


@functools.lru_cache(maxsize=64)
def _survey_result(artifact: Artifact, spec: SurveySpec) -> SurveyResult:
    return SurveyResult(artifact, spec)


def surveys_in_store() -> set[str]:
    """The hashes under which the store has surveys, whole or damaged, whether a row names them or not."""
    return {path.name for path in paths_in(survey_path(_store(), "any").parent)}


def spec_in_store(survey_hash: str) -> SurveySpec | None:
    """What the survey of this hash in the store says that it measured; None where it is damaged or no survey. A store
    that does not answer is a `StoreError`: nothing is known then."""
    try:
        spec = SurveySpec.from_json(open_artifact(survey_path(_store(), survey_hash), whole=False).meta["spec"])
    except StoreUnreachableError:
        raise
    except (StoreError, SchemaError, KeyError):
        return None
    return spec if spec.hash == survey_hash else None


def open_prompt(prompt: Measurement) -> KeptTexts:
    """What every head did on a person's own text; `StoreError` names what is missing or damaged."""
    later = promoted_path(_store(), prompt.hash)
    return KeptTexts(_open(prompt_path(_store(), prompt.hash)), later=_open(later) if is_complete(later) else None)


def open_vocabulary(model: LanguageModel) -> Vocabulary:
    """The texts of a model's tokens; `StoreError` names what is missing or damaged."""
    return Vocabulary(_open(vocabulary_path(_store(), model.hash)))


def open_weights(weights: Measurement) -> Result:
    """What a model's weights say, as `analysis.weights` lays it out; `StoreError` names what is missing or damaged."""
    return Result(_open(weights_path(_store(), weights.hash)))


@dataclasses.dataclass(frozen=True)
class ScrubResult:
    """What came out of one run of an experiment, as `analysis.scrubbing.run` lays it out."""

    figures: dict[str, Any]  # `analysis.scrubbing.result.Result` as JSON
    worst: list[dict[str, Any]]
    searched: dict[str, Any]  # `analysis.scrubbing.searched.Searched` as JSON
    about: dict[str, Any]
    artifact: Artifact | None  # None of what was uploaded: its samples are not here

    def samples(self) -> Samples | None:
        """Every sample's losses and outputs; None where they are not here."""
        from analysis.scrubbing.result import Samples  # noqa: PLC0415 (with all tasks, which few pages need)

        if self.artifact is None:
            return None
        arrays = Result(self.artifact)
        return Samples(**{field.name: arrays.read(field.name, file="samples") for field in dataclasses.fields(Samples)})


def open_scrub(run: Run) -> ScrubResult:
    """What came out of a run that is finished; `StoreError` names what is missing or damaged."""
    if run.origin == run.Origin.UPLOADED:
        assert run.uploaded is not None
        told = run.uploaded
        return ScrubResult(told["result"], told["worst"], told["searched"], told["about"], artifact=None)
    artifact = _open(scrub_path(_store(), run.artifact))
    with _noting_failures():
        worst, searched = (json.loads(artifact.read_text(f"{name}.json")) for name in ("worst", "searched"))
    return ScrubResult(artifact.meta["result"], worst, searched, artifact.meta["about"], artifact)


def is_parallel(model: LanguageModel) -> bool:
    """Whether the model's MLPs do not read the heads of their layer: by its config in the store, and where that is not
    at hand by what is usual in its family. A worker has the last word."""
    from analysis.scrubbing.foreseen import parallel_by_config  # noqa: PLC0415 (with all tasks, which few pages need)

    try:
        config = json.loads(_opened(_store() / "models" / model.slug).read_text("config.json"))
    except StoreError:
        config = {}
    return parallel_by_config({"model_type": model.family, **config})
