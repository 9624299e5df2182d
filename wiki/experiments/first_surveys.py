"""The surveys that a new model gets, so that its pages have something to show."""

from __future__ import annotations

from typing import Any

from analysis.plans import PLANS, planned_spec
from analysis.schema import CODE_VERSION
from wiki.components.models import LanguageModel

from .jobs import ask_for_survey
from .models import Survey


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
    for name in (name for name in PLANS if name in prepared["datasets"]):
        spec = pinned.get(name) or planned_spec(prepared["model"], prepared["datasets"][name])
        surveys.append(ask_for_survey(model, spec, pin=True))
    return surveys
