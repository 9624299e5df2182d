from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from analysis.schema import JobKind, SurveySpec
from wiki.components.models import LanguageModel


class Survey(models.Model):
    """A pass of a model over a dataset that somebody asked for; its numbers are in the artifact of its hash."""

    hash = models.CharField(primary_key=True, max_length=64)
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="surveys")
    dataset = models.CharField(max_length=100)
    spec = models.JSONField()
    asked_at = models.DateTimeField(default=timezone.now)  # for the last time while it was unfinished
    # NULL until the merged artifact is in the store; written once, by the job that merges.
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["asked_at"]

    def __str__(self) -> str:
        return f"survey {self.hash[:8]} of {self.model_id} on {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("survey", args=[self.hash])

    @property
    def parsed_spec(self) -> SurveySpec:
        return SurveySpec.from_json(self.spec)


class Measurement(models.Model):
    """One thing asked of a measuring worker apart from surveys: a reading of weights, a text, a model to add."""

    KINDS = [
        (kind.value, kind.value) for kind in (JobKind.WEIGHTS, JobKind.PROMPT, JobKind.PROMOTED, JobKind.ADD_MODEL)
    ]

    hash = models.CharField(primary_key=True, max_length=64)
    kind = models.CharField(max_length=20, choices=KINDS)
    # NULL: a model that is to be added
    model = models.ForeignKey(LanguageModel, null=True, on_delete=models.CASCADE, related_name="measurements")
    spec = models.JSONField()
    # for the last time while it was unfinished; of a text, for the last time
    asked_at = models.DateTimeField(default=timezone.now)
    # NULL until the artifact is in the store
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["asked_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.hash[:8]}"


class Pin(models.Model):
    """The survey that pages of a model read for a dataset: an operator's choice, never simply the newest."""

    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="pins")
    dataset = models.CharField(max_length=100)
    survey = models.ForeignKey(Survey, on_delete=models.PROTECT, related_name="pins")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["model", "dataset"], name="one_pin_per_dataset")]

    def __str__(self) -> str:
        return f"{self.model_id} on {self.dataset}: {self.survey_id[:8]}"


class JobQuerySet(models.QuerySet["Job"]):
    def claimable(self) -> JobQuerySet:
        """Waiting for a worker, or held by one that is gone."""
        gone = Q(state=Job.State.RUNNING, lease_until__lt=timezone.now())
        return self.filter(Q(state=Job.State.QUEUED) | gone)


class Job(models.Model):
    """One piece of background work. This row is the truth; the broker's message carries only its id."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    KINDS = [(kind.value, kind.value) for kind in JobKind]

    # a job belongs to a survey or is all of a measurement
    survey = models.ForeignKey(Survey, null=True, on_delete=models.CASCADE, related_name="jobs")
    measurement = models.OneToOneField(Measurement, null=True, on_delete=models.CASCADE, related_name="job")
    kind = models.CharField(max_length=20, choices=KINDS)
    shard = models.PositiveIntegerField(default=0)  # 0 for what is no shard
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)  # claims so far
    token = models.CharField(max_length=32, default="")  # of the newest claim; only its holder may renew or finish
    lease_until = models.DateTimeField(null=True)  # NULL: never claimed
    # NULL: never claimed; the last sign of life of a worker
    renewed_at = models.DateTimeField(null=True, db_index=True)
    dispatched_at = models.DateTimeField(null=True)  # NULL: no message sent yet
    # of the current attempt: rows of a survey, layers of a measurement
    rows_done = models.PositiveIntegerField(default=0)
    error = models.TextField(default="")  # one sentence, when failed

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["survey", "kind", "shard"], name="one_job_per_shard"),
            models.CheckConstraint(
                condition=Q(survey=None, measurement__isnull=False) | Q(survey__isnull=False, measurement=None),
                name="job_of_a_survey_or_a_measurement",
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.shard} of {(self.survey_id or self.measurement_id or '')[:8]}, {self.state}"


class TextCount(models.Model):
    """How many new texts a client has asked for within a minute; those of past minutes are removed with the next."""

    client = models.CharField(max_length=64)
    minute = models.PositiveBigIntegerField()  # since 1970
    n = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "minute"], name="one_count_a_client_and_minute")]

    def __str__(self) -> str:
        return f"{self.n} texts of {self.client}"
