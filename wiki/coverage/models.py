"""Who works on what. What is written about what is counted of the texts themselves."""

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
