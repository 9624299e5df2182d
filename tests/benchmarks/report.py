"""What benchmarks found: figures with their limits, as JSON, and `docs/performance.md` made from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"
JSON = DOCUMENTS / "performance.json"
MARKDOWN = DOCUMENTS / "performance.md"


class BenchmarkError(Exception):
    """A benchmark cannot run; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number of a benchmark. Without a limit it is there to be read; without a value it says why it is absent."""

    name: str
    value: float | None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    absent: str = ""

    def __post_init__(self) -> None:
        assert (self.value is None) == bool(self.absent), "a figure has a value or a reason"

    @property
    def holds(self) -> bool | None:
        """Whether the value is within its limit; None where there is no limit or no value."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        low = -float("inf") if self.at_least is None else self.at_least
        high = float("inf") if self.at_most is None else self.at_most
        return low <= self.value <= high

    @property
    def limit(self) -> str:
        """As a person reads it; empty where there is none."""
        if self.at_most is not None:
            return f"≤ {_number(self.at_most)}"
        return "" if self.at_least is None else f"≥ {_number(self.at_least)}"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        return {True: "holds", False: "**missed**", None: ""}[self.holds]

    def __str__(self) -> str:
        """A line for the terminal."""
        found = f"not measured: {self.absent}" if self.value is None else f"{_number(self.value)} {self.unit}".strip()
        limit = f" (limit {self.limit}: {self.verdict.strip('*')})" if self.limit and self.value is not None else ""
        return f"  {self.name}: {found}{limit}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one benchmark found: when, on which code and which machine."""

    benchmark: str
    about: str  # what it does, in a sentence or two
    commit: str
    date: str
    machine: dict[str, Any]
    figures: tuple[Figure, ...]

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.holds is False]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        return cls(**data | {"figures": tuple(Figure(**figure) for figure in data["figures"])})


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes that were written last; none before the first run."""
    if not path.exists():
        return []
    return [Outcome.from_json(data) for data in json.loads(path.read_text())]


def write_outcomes(outcomes: Iterable[Outcome], *, order: list[str], path: Path = JSON, page: Path = MARKDOWN) -> None:
    """Put outcomes in the place of those of the same benchmarks, and make the page anew."""
    by_name = {outcome.benchmark: outcome for outcome in [*read_outcomes(path), *outcomes]}
    kept = [by_name[name] for name in order if name in by_name]
    path.write_text(json.dumps([dataclasses.asdict(outcome) for outcome in kept], indent=1, ensure_ascii=False) + "\n")
    page.write_text(as_markdown(kept))


def as_markdown(outcomes: list[Outcome]) -> str:
    """`docs/performance.md`."""
    parts = [
        "# Performance\n",
        "Made by `make bench` from [performance.json](performance.json); nothing here is written by hand. A figure "
        "with a limit holds or is missed, and one that is missed ends `make bench` with an error.\n",
    ]
    for outcome in outcomes:
        parts += [f"## {outcome.benchmark}\n", f"{outcome.about}\n", _provenance(outcome), _table(outcome.figures)]
    return "\n".join(parts)


def _provenance(outcome: Outcome) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in outcome.machine.items())
    return f"Commit `{outcome.commit}`, {outcome.date}; {machine}.\n"


def _table(figures: Iterable[Figure]) -> str:
    lines = ["| figure | value | limit | | |", "| --- | --- | --- | --- | --- |"]
    for figure in figures:
        value = "—" if figure.value is None else f"{_number(figure.value)} {figure.unit}".strip()
        cells = (figure.name, value, figure.limit, figure.verdict, figure.absent or figure.note)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Three significant digits, and never fewer than the whole number has."""
    if value == 0 or 1e-4 <= abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1e}"
