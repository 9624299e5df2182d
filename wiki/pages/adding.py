"""A model that an operator asked for: how far it is, in one sentence."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from django.urls import reverse

from analysis.schema import ModelSource
from wiki.experiments.models import Job, Measurement


class State(enum.Enum):
    """How far it is. The value is the word used on pages."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    FINISHED = "finished"


_STATES = {
    Job.State.QUEUED: State.WAITING,
    Job.State.RUNNING: State.RUNNING,
    Job.State.FAILED: State.FAILED,
    Job.State.DONE: State.FINISHED,
}


@dataclasses.dataclass(frozen=True)
class Adding:
    """A model on its way here."""

    asked: Measurement
    source: ModelSource
    state: State
    error: str  # one sentence, when failed

    @property
    def pending(self) -> bool:
        return self.state in (State.WAITING, State.RUNNING)

    @property
    def sentence(self) -> str:
        match self.state:
            case State.WAITING:
                return "Waiting for a measuring worker."
            case State.RUNNING:
                return "A measuring worker is fetching it, checking it and preparing the data sets for it."
            case State.FAILED:
                return self.error
            case State.FINISHED:
                return f"{self.source.slug} is here, and its first surveys are asked for."

    @property
    def poll_url(self) -> str:
        """Where the page asks how far it is; empty when nothing can change any more."""
        return reverse("adding-progress", args=[self.asked.hash]) if self.pending else ""

    @property
    def model_url(self) -> str:
        """The new model's page, once it is there."""
        return reverse("model", args=[self.source.slug]) if self.state is State.FINISHED else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "asked": self.source.to_json(),
            "slug": self.source.slug,
            "state": self.state.value,
            "sentence": self.sentence,
            "model": self.model_url or None,
        }


def adding_of(asked: Measurement) -> Adding:
    """The state of what was asked for; `asked` is an `add-model` measurement."""
    job = Job.objects.filter(measurement=asked).first()
    source = ModelSource.from_json(asked.spec)
    if asked.finished_at or job is None:
        return Adding(asked, source, State.FINISHED if asked.finished_at else State.WAITING, error="")
    return Adding(asked, source, _STATES[Job.State(job.state)], error=job.error)
