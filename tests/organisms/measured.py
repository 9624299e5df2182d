"""Both organisms, surveyed: the shipped classifier of brackets, and a small random model of attention alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.commands import prepare, survey
from analysis.datasets import corpus
from analysis.plans import planned_spec
from analysis.schema import SurveySpec, WeightsSpec
from analysis.weights.measure import measure_weights
from tests.tiny import put_into

from .small import attention_only

ATTENTION = "tiny-attention-only"
BRACKETS = "paren-balance"


@dataclasses.dataclass(frozen=True)
class Measured:
    """A data folder with what was measured of one model."""

    data: Path
    card: dict[str, object]
    specs: dict[str, SurveySpec]  # by dataset
    weights: WeightsSpec

    @property
    def store(self) -> Path:
        return self.data / "store"


def measure(data: Path, slug: str) -> Measured:
    """Survey a model as its pages need it, on few rows, and read its weights."""
    store = data / "store"
    with pytest.MonkeyPatch.context() as patch:
        documents = [corpus.Document(d.title, d.text[:3000]) for d in corpus.read_sotu()[:12]]
        patch.setattr(corpus, "read_sotu", lambda: documents)
        if slug == ATTENTION:
            put_into(store, slug, attention_only())
        prepared = prepare(store, slug)
    specs = {}
    for name, card in prepared["datasets"].items():
        # strings of brackets are in the order of their lengths, so the first are the short ones
        rows = min(card["rows"], 160 if name == "bracket-strings" else 8)
        specs[name] = planned_spec(prepared["model"], card, rows=rows, shard_rows=-(-rows // 2))
        survey(store, specs[name])
    natural = specs["sotu" if "sotu" in specs else "bracket-strings"]
    weights = WeightsSpec(slug, natural.model_hash, natural.hash)
    measure_weights(store, weights, on_layer=lambda _: None)
    return Measured(data, prepared["model"], specs, weights)
