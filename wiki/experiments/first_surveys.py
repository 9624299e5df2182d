"""The surveys that a new model gets, so that its pages have something to show."""

from __future__ import annotations

import dataclasses
from typing import Any

from analysis.schema import CODE_VERSION, SurveySpec
from wiki.components.models import LanguageModel

from .jobs import ask_for_survey
from .models import Survey


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much of a dataset a first survey reads."""

    dataset: str
    rows: int
    shard_rows: int
    pattern_rows: int = 0
    in_depth: bool = False
    lens_rows: int = 0


# In the order in which they run: what is shown first is measured first.
PLANS = (
    Plan("bundled-texts", rows=3, shard_rows=3, pattern_rows=3),
    Plan("repeated-random", rows=64, shard_rows=64, pattern_rows=1),
    # the logit lens reads four positions of a row, 512 in all
    Plan("sotu", rows=512, shard_rows=128, in_depth=True, lens_rows=128),
)
BATCH_ROWS = 16


def register_model(card: dict[str, Any]) -> LanguageModel:
    """The model of a card that `python -m analysis prepare` printed; other weights under its slug are refused."""
    fields = {key: card[key] for key in ("title", "hash", "family", "source", "licence", "n_parameters")}
    model, _ = LanguageModel.objects.get_or_create(slug=card["slug"], defaults=fields | card["sizes"])
    if model.hash != card["hash"]:
        raise ValueError(
            f"Registering {model.slug}: expected the weights it has had from the start ({model.hash[:12]}…), "
            f"got others ({card['hash'][:12]}…); a slug never moves, give the new weights another."
        )
    return model


def ask_for_first_surveys(prepared: dict[str, Any]) -> list[Survey]:
    """Register the model and ask for its first surveys, pinned. Where pins are already, those surveys go on,
    unless they were begun by another version of the code."""
    model = register_model(prepared["model"])
    pinned = {
        pin.dataset: pin.survey.parsed_spec
        for pin in model.pins.select_related("survey")
        if pin.survey.finished_at or pin.survey.parsed_spec.code == CODE_VERSION
    }
    surveys = []
    for plan in PLANS:
        spec = pinned.get(plan.dataset) or SurveySpec(
            model=model.slug,
            model_hash=model.hash,
            dataset=plan.dataset,
            dataset_hash=prepared["datasets"][plan.dataset]["hash"],
            rows=plan.rows,
            pattern_rows=plan.pattern_rows,
            in_depth=plan.in_depth,
            lens_rows=plan.lens_rows,
            shard_rows=plan.shard_rows,
            batch_rows=BATCH_ROWS,
        )
        surveys.append(ask_for_survey(model, spec, pin=True))
    return surveys
