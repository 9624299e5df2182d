"""Surveys that somebody measured from a shell into the site's store: registered here, so that pages can read them."""

from __future__ import annotations

import contextlib
import logging

from django.utils import timezone

from analysis.schema import SchemaError, SurveySpec
from analysis.store import StoreError, open_artifact, paths_in
from wiki.components.models import LanguageModel

from .models import Survey
from .results import survey_folder

logger = logging.getLogger(__name__)


def adopt_surveys() -> list[Survey]:
    """Register every whole survey of the store that no row names and whose model the site knows; return them.

    None is pinned, and nothing follows from it: pages read it where their address names it (`?survey=`). Of a damaged
    one nothing is registered, nor of one whose model has other weights here.
    """
    paths = {path.name: path for path in paths_in(survey_folder())}
    known = set(Survey.objects.filter(pk__in=paths).values_list("pk", flat=True))
    adopted = []
    for name in sorted(set(paths) - known):
        with contextlib.suppress(StoreError, SchemaError, KeyError, LanguageModel.DoesNotExist):
            spec = SurveySpec.from_json(open_artifact(paths[name], whole=False).meta["spec"])
            if spec.hash != name:
                continue
            survey, is_new = Survey.objects.get_or_create(
                hash=spec.hash,
                defaults={
                    "model": LanguageModel.objects.get(slug=spec.model, hash=spec.model_hash),
                    "dataset": spec.dataset,
                    "spec": spec.to_json(),
                    "finished_at": timezone.now(),
                },
            )
            if is_new:
                logger.warning("The %s was measured from a shell and can be read now: /s/%s/", survey, survey.hash)
                adopted.append(survey)
    return adopted
