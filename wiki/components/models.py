from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from analysis.schema import SLUG, Component, Sizes
from wiki.lib.named import address


class LanguageModel(models.Model):
    """A model with pages: a slug, the hash its weights are pinned by, and its sizes.

    Its components are addresses that the sizes allow, never rows.
    """

    slug = models.CharField(primary_key=True, max_length=100, validators=[RegexValidator(f"^{SLUG.pattern}$")])
    title = models.CharField(max_length=200)
    hash = models.CharField(max_length=64)
    family = models.CharField(max_length=40)
    source = models.TextField()
    licence = models.CharField(max_length=100)
    n_parameters = models.BigIntegerField()
    n_layers = models.PositiveIntegerField()
    n_heads = models.PositiveIntegerField()
    n_kv_heads = models.PositiveIntegerField()
    d_model = models.PositiveIntegerField()
    d_head = models.PositiveIntegerField()
    d_mlp = models.PositiveIntegerField()
    d_vocab = models.PositiveIntegerField()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        return address("model", self.slug)

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.n_layers, self.n_heads, self.n_kv_heads, self.d_model, self.d_head, self.d_mlp, self.d_vocab)

    @property
    def n_all_heads(self) -> int:
        return self.n_layers * self.n_heads

    @property
    def n_all_neurons(self) -> int:
        return self.n_layers * self.d_mlp

    def heads(self, layer: int) -> list[Component]:
        return [Component(layer, head=head) for head in range(self.n_heads)]

    def kv_head(self, component: Component) -> int:
        """The key/value head that a head reads (itself, where every head has its own)."""
        assert component.head is not None
        return component.head // (self.n_heads // self.n_kv_heads)
