"""The one module of the site that reads artifacts."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from analysis.schema import HEAD_METRICS, Component, Metric, SurveySpec
from analysis.store import Artifact, StoreError, open_artifact, open_store, survey_path

from .models import Survey

__all__ = ["PatternRow", "StoreError", "SurveyResult", "artifact_path", "is_readable", "open_survey"]


def artifact_path(survey: Survey) -> Path:
    return survey_path(open_store(Path(settings.DATA_DIR), settings.STORE_URL), survey.hash)


@dataclasses.dataclass(frozen=True)
class PatternRow:
    """A row whose attention patterns the survey kept: its tokens as a person reads them."""

    index: int
    title: str
    tokens: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SurveyResult:
    """The numbers of one finished survey."""

    artifact: Artifact
    spec: SurveySpec

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that this survey measured, in the table's order."""
        return tuple(metric for metric in HEAD_METRICS if metric.key in self.artifact.meta["metrics"])

    def metric(self, key: str) -> np.ndarray:
        """One metric of every head: float64 [layer, head]."""
        return self._read(key, file="summary")

    @property
    def queries(self) -> dict[str, int]:
        """How many query positions each metric is a mean over."""
        return dict(self.artifact.meta["provenance"]["queries"])

    @property
    def pattern_rows(self) -> tuple[PatternRow, ...]:
        rows = self.artifact.meta["pattern_rows"]
        return tuple(PatternRow(i, row["title"], tuple(row["tokens"])) for i, row in enumerate(rows))

    def pattern(self, row: int, component: Component) -> np.ndarray:
        """A head's attention on a kept row: uint8 [dest, src], 255 for 1."""
        return self._read(f"pattern.{row}", component.head, file=f"layer-{component.layer}")

    def _read(self, array: str, index: Any = ..., *, file: str) -> np.ndarray:
        try:
            self.artifact.check(f"{file}.safetensors")
            return self.artifact.read(array, index, file=file)
        except StoreError:
            _open.cache_clear()  # it may have been measured anew since it was opened
            raise

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from: survey, hashes, sizes, device, versions."""
        return {"survey": self.spec.hash, **self.spec.to_json(), **self.artifact.meta["provenance"]}


@functools.lru_cache(maxsize=64)
def _open(path: Path) -> Artifact:
    return open_artifact(path, whole=False)


def is_readable(survey: Survey) -> bool:
    """Whether the artifact of a finished survey is there and undamaged, as found in the store now."""
    try:
        open_artifact(artifact_path(survey), whole=False).check()
    except StoreError:
        return False
    return True


def open_survey(survey: Survey) -> SurveyResult:
    """The numbers of a finished survey; `StoreError` names what is missing or damaged."""
    return SurveyResult(_open(artifact_path(survey)), survey.parsed_spec)
