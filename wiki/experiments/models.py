from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from analysis.schema import JobKind, SurveySpec
from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.lib.named import address


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


class Experiment(models.Model):
    """One causal question that somebody asked: what a hypothesis says of a model on a task. Never changed."""

    hash = models.CharField(primary_key=True, max_length=64)  # of what is asked, its title left out
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="experiments")
    task = models.CharField(max_length=100)
    title = models.CharField(max_length=200, blank=True, default="")  # as who asked first wrote it
    spec = models.JSONField()
    criterion = models.FloatField(null=True)  # the share said beforehand to be enough; NULL: no verdict
    # The first of them. People are never deleted together with what they asked.
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="experiments")
    asked_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-asked_at", "hash"]

    def __str__(self) -> str:
        return self.title or f"x:{self.hash[:8]}"

    def get_absolute_url(self) -> str:
        return address("experiment", self.hash)


class NamedPart(models.Model):
    """That an experiment names a component of its model, and as what: pages of components list it."""

    class Role(models.TextChoices):
        MAPPED = "mapped", "mapped by a node"
        WAY = "way", "on the way of a node"
        END_POINT = "end point", "in the end point"
        REWRITTEN = "rewritten", "rewritten"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="named_parts")
    # that of the experiment: pages of components look here by both
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="named_parts", db_index=False)
    component = models.CharField(max_length=40)  # canonical
    role = models.CharField(max_length=20, choices=Role)
    node = models.CharField(max_length=200, blank=True, default="")  # empty where no node names it

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["component", "experiment"], name="named_in_an_experiment"),
            models.Index(fields=["model", "component"], name="named_of_a_model"),
        ]

    def __str__(self) -> str:
        return f"{self.component} {self.role} in {self.experiment_id[:8]}"


class Run(models.Model):
    """One execution of an experiment. Written when it is asked for and once more when it ends; then never changed."""

    class Origin(models.TextChoices):
        SERVER = "server", "run by this server"
        UPLOADED = "uploaded", "uploaded"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="runs")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="runs")
    asked_at = models.DateTimeField(default=timezone.now, db_index=True)
    seed = models.PositiveBigIntegerField()  # of this execution's draws
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.SERVER)
    # What the artifact in the store is named by: the hash of the experiment with this run's seed.
    artifact = models.CharField(max_length=64)
    # NULL until it ended well
    finished_at = models.DateTimeField(null=True)
    device = models.CharField(max_length=100, blank=True, default="")  # empty until then
    code = models.CharField(max_length=40, blank=True, default="")  # version of the engine; empty until then
    dataset_hash = models.CharField(max_length=64, blank=True, default="")  # of the rows; empty until then
    # The recovered share, for lists, and its standard error and interval; NULL until it ended, or where there is none.
    recovered = models.FloatField(null=True)
    error = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    uploaded = models.JSONField(null=True)  # the figures that came with an upload; NULL: they are in the store

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.experiment_id[:8]}"

    @property
    def spec(self) -> dict[str, Any]:
        """What is run: the experiment with this run's seed."""
        return {**self.experiment.spec, "seed": self.seed}

    @property
    def recovery(self) -> dict[str, float | None]:
        """The recovered share as results have it; all None until the run ended."""
        return {"value": self.recovered, "error": self.error, "low": self.low, "high": self.high}

    @property
    def is_met(self) -> bool | None:
        """Whether the criterion that was stated beforehand is met; None without one, or without figures."""
        criterion = self.experiment.criterion
        return None if criterion is None or self.recovered is None else self.recovered >= criterion


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

    # a job belongs to a survey, or is all of a measurement or of a run
    survey = models.ForeignKey(Survey, null=True, on_delete=models.CASCADE, related_name="jobs")
    measurement = models.OneToOneField(Measurement, null=True, on_delete=models.CASCADE, related_name="job")
    run = models.OneToOneField(Run, null=True, on_delete=models.CASCADE, related_name="job")
    kind = models.CharField(max_length=20, choices=KINDS)
    shard = models.PositiveIntegerField(default=0)  # 0 for what is no shard
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)  # claims so far
    token = models.CharField(max_length=32, default="")  # of the newest claim; only its holder may renew or finish
    lease_until = models.DateTimeField(null=True)  # NULL: never claimed
    # NULL: never claimed; the last sign of life of a worker
    renewed_at = models.DateTimeField(null=True, db_index=True)
    dispatched_at = models.DateTimeField(null=True)  # NULL: no message sent yet
    # of the current attempt: rows of a survey, hundredths of a run, layers of a measurement
    rows_done = models.PositiveIntegerField(default=0)
    error = models.TextField(default="")  # one sentence, when failed

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["survey", "kind", "shard"], name="one_job_per_shard"),
            models.CheckConstraint(
                condition=Q(survey__isnull=False, measurement=None, run=None)
                | Q(survey=None, measurement__isnull=False, run=None)
                | Q(survey=None, measurement=None, run__isnull=False),
                name="job_of_one_thing",
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"])]

    def __str__(self) -> str:
        of = self.survey_id or self.measurement_id or f"run {self.run_id}"
        return f"{self.kind} {self.shard} of {of[:8]}, {self.state}"


class TextCount(models.Model):
    """How many new texts a client has asked for within a minute; those of past minutes are removed with the next."""

    client = models.CharField(max_length=64)
    minute = models.PositiveBigIntegerField()  # since 1970
    n = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "minute"], name="one_count_a_client_and_minute")]

    def __str__(self) -> str:
        return f"{self.n} texts of {self.client}"
