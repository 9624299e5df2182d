"""Who works on what, and how much is written about it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Work(models.Model):
    """That somebody works on a part of a model, so that others take another. It ends by itself."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="works")
    model_slug = models.CharField(max_length=100)
    component = models.CharField(max_length=40)  # canonical
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()  # what is past is over, and stays until the person takes the part up again

    class Meta:
        ordering = ["since", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "model_slug", "component"], name="one_work_a_part")]
        indexes = [models.Index(fields=["model_slug", "until"], name="works_on_a_model")]

    def __str__(self) -> str:
        return f"{self.user_id} works on {self.model_slug}/{self.component}"


class Said(models.Model):
    """How many published summaries and notes are about a part of a model: counting them for a map of all parts would
    take longer the more there are. Kept by `counting` with every change; `rebuild_coverage` makes all anew."""

    model_slug = models.CharField(max_length=100)
    component = models.CharField(max_length=40)  # canonical
    part = models.CharField(max_length=10)  # what kind of component it is, as `ComponentKind` says
    layer = models.PositiveIntegerField()  # of the component
    n_summaries = models.PositiveIntegerField(default=0)
    n_notes = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["model_slug", "component"]
        verbose_name_plural = "said"
        constraints = [models.UniqueConstraint(fields=["model_slug", "component"], name="said_once_of_a_part")]
        indexes = [
            models.Index(
                fields=["model_slug", "part", "layer", "n_summaries", "n_notes"], name="said_of_parts_of_a_layer"
            )
        ]

    def __str__(self) -> str:
        return f"{self.n_summaries} summaries and {self.n_notes} notes on {self.model_slug}/{self.component}"


class SaidOfNeurons(models.Model):
    """Of how many of a layer's neurons anything published is said: on a map of a model they stand as one number."""

    model_slug = models.CharField(max_length=100)
    layer = models.PositiveIntegerField()
    n = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["model_slug", "layer"]
        verbose_name_plural = "said of neurons"
        constraints = [models.UniqueConstraint(fields=["model_slug", "layer"], name="said_once_of_neurons")]

    def __str__(self) -> str:
        return f"{self.n} neurons of layer {self.layer} of {self.model_slug}"
