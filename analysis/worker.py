"""The measuring worker: a Celery app that knows no Django, no database, and keeps no results in the broker.

Needs LOUPE_BROKER_URL, LOUPE_SITE_URL, LOUPE_WORKER_SECRET and LOUPE_DATA; LOUPE_STORE where artifacts are in an object
store. Started as `celery --app analysis.worker worker --pool solo`.

It does one job at a time, but texts that people typed do not wait until it is over: between the batches of a shard, the
partials of a merge and the layers of a reading the worker measures those that wait, then goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from celery.platforms import SecurityWarning
from transformers.utils.logging import disable_progress_bar

from analysis.anatomy import AnatomyError
from analysis.broker import TASK_NAME, make_celery, take_job
from analysis.capture import CaptureError
from analysis.commands import prepare
from analysis.datasets.task import FeatureError, TaskError
from analysis.lease import Lease, LeaseLostError, Site, SiteError
from analysis.models import add_from_source
from analysis.prompt import PromptError, measure_promoted, measure_prompt
from analysis.schema import JobKind, ModelSource, PromotedSpec, PromptSpec, SchemaError, SurveySpec, WeightsSpec
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.plan import PlanError
from analysis.scrubbing.run import publish_run, scrub
from analysis.sources import ModelError
from analysis.store import StoreError, open_store
from analysis.survey import SurveyError, measure_shard, merge_survey, remove_partials
from analysis.weights.measure import WeightsError, measure_weights

logger = logging.getLogger(__name__)
logging.getLogger("analysis").setLevel(logging.INFO)  # our own progress, whatever Celery's level
disable_progress_bar()
# Celery warns who works as root of pickled messages; ours are JSON with an id, and nothing is unpickled.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = make_celery(os.environ["LOUPE_BROKER_URL"])
site = Site(os.environ["LOUPE_SITE_URL"], secret=os.environ["LOUPE_WORKER_SECRET"])
store = open_store(Path(os.environ["LOUPE_DATA"]), os.environ.get("LOUPE_STORE", ""), patient=True)

# The broker is asked for texts between batches, but not more often: on a GPU batches take milliseconds.
ASK_SECONDS = 1.0

# Errors whose message is a sentence for a person.
SAID_CLEARLY = (
    AnatomyError,
    CaptureError,
    FeatureError,
    HypothesisError,
    ModelError,
    PlanError,
    PromptError,
    SchemaError,
    ScrubError,
    StoreError,
    SurveyError,
    TaskError,
    WeightsError,
)


@app.task(name=TASK_NAME)  # type: ignore[untyped-decorator]  # celery has no types
def do_job(job_id: int) -> None:
    """Claim the job, do it, and report its end to the site."""
    _claim_and_do(job_id)


def _claim_and_do(job_id: int) -> None:
    try:
        if lease := Lease.claim(site, job_id):
            _do_and_report(lease)
    except LeaseLostError:
        logger.warning("job %s: another worker took it over; dropped here", job_id)
    except SiteError as error:
        # the row stays as it is: when its lease ends, the sweeper sends the job again
        logger.error("job %s: %s", job_id, error)


def _do_and_report(lease: Lease) -> None:
    try:
        result = _do(lease)
        lease.finish(result)
        if lease.kind is JobKind.SURVEY_MERGE:
            remove_partials(store, SurveySpec.from_json(lease.spec))
        logger.info("%s: %s %s done", _subject(lease), lease.kind.value, lease.shard)
    except (LeaseLostError, SiteError):
        raise
    except SAID_CLEARLY as error:
        logger.error("job %s: %s", lease.job_id, error)
        lease.fail(str(error))
    except Exception as error:
        logger.exception("job %s", lease.job_id)
        lease.fail(f"Something unforeseen went wrong ({type(error).__name__}: {error}); the worker's log says where.")


def _do(lease: Lease) -> dict[str, Any] | None:
    """Do the job; what the site must know of its result."""
    with lease.kept() as tell_site:
        tell = _letting_texts_go(tell_site)
        match lease.kind:
            case JobKind.SURVEY_SHARD:
                measure_shard(store, SurveySpec.from_json(lease.spec), lease.shard, on_batch=tell)
            case JobKind.SURVEY_MERGE:
                merge_survey(store, SurveySpec.from_json(lease.spec), on_partial=tell)
            case JobKind.PROMPT:
                measure_prompt(store, PromptSpec.from_json(lease.spec))
            case JobKind.PROMOTED:
                measure_promoted(store, PromotedSpec.from_json(lease.spec), on_layer=tell)
            case JobKind.WEIGHTS:
                measure_weights(store, WeightsSpec.from_json(lease.spec), on_layer=tell)
            case JobKind.ADD_MODEL:
                source = ModelSource.from_json(lease.spec)
                model = add_from_source(store, source.source, revision=source.revision, slug=source.slug)
                return prepare(store, model.meta["slug"])
            case JobKind.SCRUB:
                return _scrub(lease, tell)
    return None


def _scrub(lease: Lease, tell: Callable[[int], None]) -> dict[str, Any]:
    """Run an experiment, telling how many hundredths are done; what the site lists of it."""
    experiment = Experiment.from_json(lease.spec)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = scrub(experiment, store, device=device, on_progress=lambda share, _: tell(int(100 * share)))
    publish_run(run, store)
    return {**run.about, "recovered": dataclasses.asdict(run.result.recovered)}


def _letting_texts_go(tell: Callable[[int], None]) -> Callable[[int], None]:
    """`tell`, after which the texts that wait in the broker are measured, one after the other."""
    asked_at = 0.0

    def tell_and_let_go(done: int) -> None:
        nonlocal asked_at
        tell(done)
        if time.monotonic() - asked_at < ASK_SECONDS:
            return
        for job_id in iter(functools.partial(take_job, app, JobKind.PROMPT), None):
            _claim_and_do(job_id)
        asked_at = time.monotonic()

    return tell_and_let_go


def _subject(lease: Lease) -> str:
    """What a job is about, for the log."""
    named = str(lease.spec.get("model") or lease.spec.get("source"))
    return f"{named} on {lease.spec['dataset']}" if "dataset" in lease.spec else named
