"""The recorded replications, ready for a page: ours beside the published, traps, one model on two kinds of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from django.utils.safestring import SafeString

from analysis.replications.gallery import COUNTERPARTS, TRAPS, Trap, is_caught
from analysis.replications.recorded import compare_with_published
from analysis.replications.table import LANGUAGE_MODEL, ROWS, Row
from wiki.experiments.models import Experiment
from wiki.lib.named import address

from .scrub_scale import Scale, doubt_of, share_of


@dataclasses.dataclass(frozen=True)
class Shown:
    """A row of a table."""

    key: str
    label: str
    claim: str
    hash: str
    url: str | None  # None: nobody has asked this site for the experiment
    share: str
    doubt: str  # its standard error and interval
    scale: SafeString
    loss: str
    raised: str  # by how much the claim raises the loss, and what counts as 0 %
    n: int
    seed: int
    end_point: str
    warnings: list[str]
    published: str = ""
    published_loss: str = ""
    verdict: str = ""  # agrees, explained, unexplained
    explained_by: Row | None = None
    because: str = ""
    compared: str = ""  # with which row, and by how much more this one recovers

    @property
    def anchor(self) -> str:
        return anchor_of(self.key)

    @property
    def explained_anchor(self) -> str:
        return anchor_of(self.explained_by.key) if self.explained_by else ""


def anchor_of(key: str) -> str:
    return key.replace("/", "-")


@dataclasses.dataclass(frozen=True)
class Caught:
    """A trap with what must catch it."""

    trap: Trap
    shown: Shown
    beside: Shown | None
    caught: bool
    warning: str  # as it was said; empty where a comparison catches it


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """One claim on repeated random tokens and on natural text."""

    label: str
    claim: str
    random: Shown
    text: Shown


class Replications:
    """What was recorded, by the parts of the page."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self.recorded = recorded
        self.rows: dict[str, Any] = recorded["rows"]
        self.urls = experiment_urls([row["hash"] for row in self.rows.values()])

    def group(self, name: str) -> list[Shown]:
        """The rows of a group, those with a published figure first."""
        rows = [row for row in ROWS if row.group == name]
        scale = self._scale([row.key for row in rows], [row.published.share for row in rows if row.published])
        return [self._of_row(row, scale) for row in sorted(rows, key=lambda row: row.published is None)]

    def gallery(self) -> list[Caught]:
        scale = self._scale([*(trap.key for trap in TRAPS), *COUNTERPARTS], [])
        return [
            Caught(
                trap,
                self._shown(trap.key, trap.kind, trap.claim, scale),
                self._shown(trap.against, COUNTERPARTS[trap.against], "", scale) if trap.against else None,
                is_caught(trap, self.rows),
                next((said for said in self.rows[trap.key]["result"]["warnings"] if said.startswith(trap.warning)), "")
                if trap.warning
                else "",
            )
            for trap in TRAPS
        ]

    def side_by_side(self) -> list[SideBySide]:
        rows = {row.key: row for row in ROWS if row.group == LANGUAGE_MODEL}
        # shares on text, where end points are close, would leave no room for the others
        scales = {where: self._scale([key for key in rows if key.endswith(where)], []) for where in ("random", "text")}
        pairs = [(key, f"{key.removesuffix('-random')}-text") for key in rows if key.endswith("-random")]
        return [
            SideBySide(
                rows[random].label,
                rows[random].claim,
                *(
                    self._shown(key, rows[key].label, rows[key].claim, scales[key.rpartition("-")[2]])
                    for key in (random, text)
                ),
            )
            for random, text in pairs
        ]

    def _scale(self, keys: Collection[str], more: Collection[float]) -> Scale:
        return Scale.of([*more, *(self._recovered(key)[name] for key in keys for name in ("value", "low", "high"))])

    def _recovered(self, key: str) -> dict[str, Any]:
        recovered: dict[str, Any] = self.rows[key]["result"]["recovered"]
        return recovered

    def _of_row(self, row: Row, scale: Scale) -> Shown:
        compared = compare_with_published(row, self.rows)
        shown = self._shown(
            row.key, row.label, row.claim, scale, published=row.published.share if row.published else None
        )
        shown = dataclasses.replace(shown, compared=self._compared(row.key))
        if row.published is None or compared is None:
            return shown
        loss, error = row.published.loss, row.published.loss_error
        linked = next((other for other in ROWS if other.key == row.explained_by), None)
        return dataclasses.replace(
            shown,
            published=row.published.printed,
            published_loss="" if loss is None else f"{loss:.3g} ± {error:.2g}, so {100 * row.published.share:.1f} %",
            verdict=compared.verdict,
            explained_by=linked if compared.verdict == "explained" else None,
            because=row.because if compared.verdict == "explained" else "",
        )

    def _compared(self, key: str) -> str:
        paired = self.rows[key].get("compared")
        if paired is None or paired["value"] is None:
            return ""
        labels = {row.key: row.label for row in ROWS}
        than = labels.get(paired["with"], paired["with"])
        return f"{share_of(paired)} {doubt_of(paired)} more than “{than}” on the same draws"

    def _shown(self, key: str, label: str, claim: str, scale: Scale, *, published: float | None = None) -> Shown:
        recorded = self.rows[key]
        result = recorded["result"]
        losses = {name: of["value"] for name, of in result["losses"].items()}
        return Shown(
            key=key,
            label=label,
            claim=claim,
            hash=recorded["hash"],
            url=self.urls.get(recorded["hash"]),
            share=share_of(result["recovered"]),
            doubt=doubt_of(result["recovered"]),
            scale=scale.draw(result["recovered"], published=published),
            loss=f"{losses['scrubbed']:.3g} (100 %: {losses['model']:.3g}, 0 %: {losses['nothing']:.3g})",
            raised=f"{_mean(recorded['raised'])} nats; 0 % raises it by {_mean(result['between'])}",
            n=result["n"],
            seed=recorded["seed"],
            end_point=end_point_words(result["end_point"]),
            warnings=result["warnings"],
        )


def _mean(mean: Mapping[str, Any]) -> str:
    """A mean with its standard error, where there is one."""
    error = "" if mean["error"] is None else f" ± {mean['error']:.2g}"
    return f"{mean['value']:.3g}{error}".replace("-", "−")


def end_point_words(end_point: str) -> str:
    """What 0 % is."""
    if not end_point.startswith("{"):
        return end_point
    names = end_point.partition("[")[2].rstrip("]}").replace("'", "")
    return f"inputs of {names} scrubbed"


def experiment_urls(hashes: Collection[str]) -> dict[str, str]:
    """The pages of those experiments that somebody has asked this site for, by hash."""
    known = Experiment.objects.filter(hash__in=hashes).values_list("hash", flat=True)
    return {experiment_hash: address("experiment", experiment_hash) for experiment_hash in known}
