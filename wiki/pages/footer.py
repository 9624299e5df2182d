"""The provenance line at the foot of every page of a model."""

from __future__ import annotations

import dataclasses

from .measurements import Measurements


@dataclasses.dataclass(frozen=True)
class DatasetLine:
    """One survey that the page read."""

    survey: str
    dataset: str
    dataset_hash: str
    rows: int
    tokens: int


@dataclasses.dataclass(frozen=True)
class ProvenanceLine:
    """Where the numbers of a page come from."""

    datasets: list[DatasetLine]
    dtypes: list[str]
    devices: list[str]
    codes: list[str]


def provenance_of(measurements: Measurements) -> ProvenanceLine:
    sources = [result.provenance for result in measurements.results.values()]
    return ProvenanceLine(
        datasets=[
            DatasetLine(
                survey=source["survey"],
                dataset=source["dataset"],
                dataset_hash=source["dataset_hash"],
                rows=source["rows"],
                tokens=source["tokens"],
            )
            for source in sources
        ],
        dtypes=sorted({source["dtype"] for source in sources}),
        devices=sorted({device for source in sources for device in source["device"]}),
        codes=sorted({source["code"] for source in sources}),
    )
