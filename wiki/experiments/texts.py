"""Texts that people type, each measured once and kept for a while."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from analysis.schema import JobKind, PromotedSpec, PromptSpec
from wiki.components.models import LanguageModel

from .jobs import ask_for_measurement
from .models import Job, Measurement, TextCount
from .progress import silent_for_long, what_is_before
from .results import measurement_is_readable

# How long a text is kept after somebody asked for it; nothing on the site can cite one yet.
KEPT_DAYS = 30
# Digits of a text's hash that name it in a URL.
MIN_DIGITS = 8


@dataclasses.dataclass(frozen=True)
class PromptProgress:
    """How far the measuring of a text is, for a person."""

    finished: bool
    failed: bool
    sentence: str  # empty when finished


def ask_for_prompt(model: LanguageModel, text: str) -> Measurement:
    """Have a text measured, or find it measured already: from now on it is kept for so long again."""
    with transaction.atomic():
        prompt = ask_for_measurement(JobKind.PROMPT, _spec(model, text), model=model)
        if prompt.finished_at:
            prompt.asked_at = timezone.now()
            prompt.save(update_fields=["asked_at"])
    return prompt


def is_at_hand(model: LanguageModel, text: str) -> bool:
    """Whether asking for the text would cost nothing: it is measured, or waits to be."""
    prompt = Measurement.objects.filter(pk=_spec(model, text).hash).first()
    if prompt is None:
        return False
    if prompt.finished_at:
        return measurement_is_readable(prompt)
    return Job.objects.filter(measurement=prompt, state__in=(Job.State.QUEUED, Job.State.RUNNING)).exists()


def count_text(client: str, *, minute: int, at_most: int) -> bool:
    """Count a new text of a client; False, and not counted, where it has asked for `at_most` within this minute.

    One conditional UPDATE, so that processes and machines that count at once count right.
    """
    mine = TextCount.objects.filter(client=client, minute=minute)
    if not mine.exists():
        TextCount.objects.filter(minute__lt=minute).delete()
        TextCount.objects.bulk_create([TextCount(client=client, minute=minute)], ignore_conflicts=True)
    return bool(mine.filter(n__lt=at_most).update(n=F("n") + 1))


def find_prompt(model: LanguageModel, name: str) -> Measurement | None:
    """The text of a model whose hash begins with the digits `name`; None where there is none, or more than one."""
    if not is_name(name):
        return None
    found = list(Measurement.objects.filter(kind=JobKind.PROMPT.value, model=model, hash__startswith=name)[:2])
    return found[0] if len(found) == 1 else None


def is_name(name: str) -> bool:
    """Whether these can be the first digits of a text's hash."""
    return MIN_DIGITS <= len(name) <= 64 and set(name) <= set("0123456789abcdef")


def progress_of_prompt(prompt: Measurement) -> PromptProgress:
    """How far it is, and what is the matter where nothing moves."""
    if prompt.finished_at:
        return PromptProgress(finished=True, failed=False, sentence="")
    job = Job.objects.filter(measurement=prompt).first()
    if job is not None and job.state == Job.State.FAILED:
        return PromptProgress(finished=False, failed=True, sentence=job.error)
    if job is not None and job.dispatched_at and (silence := silent_for_long(prompt.asked_at)):
        sentence = f"{silence} The text is kept and measured when one starts."
    elif job is not None and job.state == Job.State.RUNNING:
        sentence = "Being measured."
    else:
        before = what_is_before(job) if job is not None else ""
        sentence = f"Waiting: {before}" if before else "Waiting for its turn."
    return PromptProgress(finished=False, failed=False, sentence=sentence)


def promoted_of(prompt: Measurement) -> Measurement | None:
    """The measurement that follows a text: which tokens heads promote on it."""
    return Measurement.objects.select_related("job").filter(pk=PromotedSpec.from_json(prompt.spec).hash).first()


def progress_of_promoted(prompt: Measurement) -> PromptProgress:
    """How far the tokens that heads promote on a text are: they are computed after it, and take far longer."""
    follower = promoted_of(prompt)
    if follower is None:
        return PromptProgress(finished=False, failed=True, sentence="it was not asked for.")
    if follower.finished_at:
        return PromptProgress(finished=True, failed=False, sentence="")
    job = getattr(follower, "job", None)
    if job is None or job.state == Job.State.FAILED:
        return PromptProgress(finished=False, failed=True, sentence=job.error if job else "it has no job any more.")
    if job.dispatched_at and (silence := silent_for_long(follower.asked_at)):
        sentence = f"{silence} It goes on when one starts."
    elif job.state == Job.State.RUNNING:
        assert prompt.model
        sentence = f"Being computed: {job.rows_done} of {prompt.model.n_layers} layers."
    else:
        before = what_is_before(job)
        sentence = f"Waiting to be computed: {before}" if before else "Waiting for its turn to be computed."
    return PromptProgress(finished=False, failed=False, sentence=sentence)


def living_prompts() -> QuerySet[Measurement]:
    """The texts that are still kept."""
    return Measurement.objects.filter(kind=JobKind.PROMPT.value, asked_at__gte=_oldest())


def forget_old_texts() -> int:
    """Remove the rows of texts that were kept long enough, with all that was asked for them; return how many."""
    old = Measurement.objects.filter(kind=JobKind.PROMPT.value, asked_at__lt=_oldest())
    n = 0
    for prompt in old:
        with transaction.atomic():
            # asked for once more since they were listed: it stays
            if not old.filter(pk=prompt.pk).select_for_update().exists():
                continue
            follower = promoted_of(prompt)
            if follower is not None:
                follower.delete()
            prompt.delete()
            n += 1
    return n


def _oldest() -> datetime:
    return timezone.now() - timedelta(days=KEPT_DAYS)


def _spec(model: LanguageModel, text: str) -> PromptSpec:
    return PromptSpec(model.slug, model.hash, text)
