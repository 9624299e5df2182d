"""Surveys that somebody measured from a shell into the site's store: registered here, so that pages can read them."""

from __future__ import annotations

import logging

from django.utils import timezone

from wiki.components.models import LanguageModel

from .models import Survey
from .results import spec_in_store, surveys_in_store

logger = logging.getLogger(__name__)


def adopt_surveys() -> list[Survey]:
    """Register every whole survey of the store that no row names and whose model the site knows; return them.

    None is pinned, and nothing follows from it: pages read it where their address names it (`?survey=`). Of a damaged
    one nothing is registered, nor of one whose model has other weights here.
    """
    there = surveys_in_store()
    known = set(Survey.objects.filter(pk__in=there).values_list("pk", flat=True))
    adopted = []
    for name in sorted(there - known):
        spec = spec_in_store(name)
        model = LanguageModel.objects.filter(slug=spec.model, hash=spec.model_hash).first() if spec else None
        if spec is None or model is None:
            continue
        survey, is_new = Survey.objects.get_or_create(
            hash=spec.hash,
            defaults={
                "model": model,
                "dataset": spec.dataset,
                "spec": spec.to_json(),
                "finished_at": timezone.now(),
            },
        )
        if is_new:
            logger.warning("The %s was measured from a shell and can be read now: /s/%s/", survey, survey.hash)
            adopted.append(survey)
    return adopted
