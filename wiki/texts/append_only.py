"""Models whose rows are written once: neither saving, nor a queryset, changes or removes one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from django.db import models

_Row = TypeVar("_Row", bound=models.Model)


class AppendOnlyError(Exception):
    """Somebody tried to change or remove what is only ever added to."""


class AppendOnlyQuerySet(models.QuerySet[_Row]):
    """Adds and reads."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise self._refusal("Updating")

    def delete(self) -> NoReturn:
        raise self._refusal("Deleting")

    # what Django's own `bulk_update` and `update_or_create` would go through is `update`; these two would not
    def bulk_update(self, objs: Iterable[_Row], fields: Any, batch_size: int | None = None) -> NoReturn:
        raise self._refusal("Updating")

    def bulk_create(self, objs: Iterable[_Row], *args: Any, **kwargs: Any) -> list[_Row]:
        if kwargs.get("update_conflicts"):
            raise self._refusal("Updating")
        return super().bulk_create(objs, *args, **kwargs)

    def _raw_delete(self, using: Any) -> NoReturn:
        raise self._refusal("Deleting")

    def _refusal(self, doing: str) -> AppendOnlyError:
        return AppendOnlyError(
            f"{doing} a {self.model._meta.verbose_name}: expected a new row, for none is ever changed."  # noqa: SLF001 (public, for all its name)
        )


class AppendOnly(models.Model):
    """A row that is written once."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(f"Saving {self}: expected a new row, got one that is in the database.")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"Deleting {self}: expected nothing to be removed that was once said.")
