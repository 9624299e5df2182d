"""Which artifacts of the store nothing names any more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from analysis.store import StoreError, open_store
from analysis.store.inventory import Entry, EntryKind, discard, entries_of
from wiki.components.models import LanguageModel

from .adopting import adopt_surveys
from .models import Measurement, Survey
from .texts import KEPT_DAYS, forget_old_texts, living_prompts

# What is younger may be in use by somebody who has not said so yet: a download, an upload, a dataset just tokenised.
GRACE = timedelta(days=1)


_NAMED_BY_ROWS = {EntryKind.SURVEY, EntryKind.WEIGHTS, EntryKind.PROMPT, EntryKind.PROMOTED}


class CollectError(Exception):
    """The store cannot be swept; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Something in the store that nothing names."""

    name: str  # its path in the store
    megabytes: float
    reason: str


def collect_leftovers(*, dry_run: bool) -> Iterator[Leftover]:
    """Each leftover, after it was removed unless `dry_run`. What a `Survey` or `Measurement` row names is never one,
    nor is a whole model; but the rows of texts that were kept long enough go first. The rows are asked again for each,
    just before it goes. Surveys that were measured from a shell get their row first, in a dry run too.
    """
    store = open_store(Path(settings.DATA_DIR), settings.STORE_URL)
    try:
        entries = entries_of(store)
        if any(entry.kind in _NAMED_BY_ROWS for entry in entries) and not Survey.objects.exists():
            raise CollectError(
                f"Sweeping {settings.STORE_URL or store}: expected a database that names surveys, got one without any "
                "though the store has some; is LOUPE_DATABASE_URL the right one?"
            )
        if not dry_run:
            forget_old_texts()
        adopt_surveys()
        for entry in entries:
            if entry.modified > timezone.now() - GRACE:
                continue
            if reason := _reason(entry):
                if not dry_run:
                    discard(store, entry)
                yield Leftover(entry.path.relative_to(store).as_posix(), entry.bytes / 1e6, reason)
    except StoreError as error:
        raise CollectError(str(error)) from error


def _reason(entry: Entry) -> str:
    """Why nothing needs the entry; empty where something does."""
    match entry.kind:
        case EntryKind.ASIDE:
            return "whoever wrote it was killed"
        case EntryKind.STRAY:
            return "another writer was faster, and the manifest does not name it"
        case EntryKind.MODEL:
            return "" if entry.meta is not None else "it was never finished"
        case EntryKind.DATASET:
            tokens = (entry.meta or {}).get("hash")
            return "" if Survey.objects.filter(spec__dataset_hash=tokens).exists() else "no survey reads these tokens"
        case EntryKind.WEIGHTS | EntryKind.PROMPT | EntryKind.PROMOTED | EntryKind.VOCABULARY:
            return _why_not_measured(entry)
        case EntryKind.SURVEY | EntryKind.PARTIALS:
            return _why_not_surveyed(entry)


def _why_not_measured(entry: Entry) -> str:
    """Why nothing needs what was measured beside surveys."""
    named, reason = {
        EntryKind.WEIGHTS: (
            Measurement.objects.filter(pk=entry.name),
            "no reading of weights of that hash is asked for here",
        ),
        EntryKind.VOCABULARY: (LanguageModel.objects.filter(hash=entry.name), "no model of that hash is here"),
    }.get(
        entry.kind,
        (living_prompts().filter(pk=entry.name), f"no text of that hash was asked for in the last {KEPT_DAYS} days"),
    )
    return "" if named.exists() else reason


def _why_not_surveyed(entry: Entry) -> str:
    """Why nothing needs a survey, or the partials of one or of a reading of weights."""
    if entry.kind is EntryKind.PARTIALS and (reading := Measurement.objects.filter(pk=entry.name).first()):
        return "its reading is finished" if reading.finished_at else ""
    survey = Survey.objects.filter(pk=entry.name).first()
    if survey is None:
        return "no survey of that hash is asked for here"
    return "its survey is finished" if entry.kind is EntryKind.PARTIALS and survey.finished_at else ""
