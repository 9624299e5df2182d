"""The provenance line at the foot of every page of a model."""

from __future__ import annotations

import dataclasses

from analysis.families import metric_datasets
from analysis.schema import DatasetKind

from .measurements import Measurements


@dataclasses.dataclass(frozen=True)
class DatasetLine:
    """One survey that the page read."""

    survey: str
    dataset: str
    dataset_hash: str
    rows: int
    tokens: int
    repeated: bool  # of repeated random tokens, whose number of rows says more than that of tokens

    @property
    def sentence(self) -> str:
        """`65,536 tokens of sotu in 512 rows`, `64 repeated-random rows of 6,464 tokens in all`."""
        rows = f"row{'s' if self.rows > 1 else ''}"
        if self.repeated:
            return f"{self.rows:,} {self.dataset} {rows} of {self.tokens:,} tokens in all"
        return f"{self.tokens:,} tokens of {self.dataset} in {self.rows:,} {rows}"


@dataclasses.dataclass(frozen=True)
class ProvenanceLine:
    """Where the numbers of a page come from."""

    datasets: list[DatasetLine]
    weights: str  # hash of the reading of weights; empty where none is read
    weights_code: str  # that read them
    dtypes: list[str]
    devices: list[str]
    codes: list[str]


def provenance_of(measurements: Measurements) -> ProvenanceLine:
    weights, datasets = measurements.weights.result, metric_datasets(measurements.model.family)
    sources = [result.provenance for result in measurements.results.values()]
    return ProvenanceLine(
        datasets=[
            DatasetLine(
                survey=source["survey"],
                dataset=source["dataset"],
                dataset_hash=source["dataset_hash"],
                rows=source["rows"],
                tokens=source["tokens"],
                repeated=source["dataset"] == datasets.get(DatasetKind.REPEATED),
            )
            for source in sources
        ],
        weights=measurements.weights.hash,
        weights_code=weights.artifact.meta.get("spec", {}).get("code", "") if weights else "",
        dtypes=sorted({source["dtype"] for source in sources}),
        devices=sorted({device for source in sources for device in source["device"]}),
        codes=sorted({source["code"] for source in sources}),
    )
