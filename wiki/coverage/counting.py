"""What is written about the parts of a model."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from analysis.schema import Component, ComponentKind
from wiki.lib.prepared import objects, padded, rows
from wiki.texts.access import Person, person_of, sight_of
from wiki.texts.models import Kind, Page, Revision, Visibility

from .access import works_visible_to
from .models import Said, SaidOfNeurons, Work


class State(enum.Enum):
    """How much is said of a part. The value is the word in data."""

    NOTHING = "nothing"
    NOTES = "notes"
    SUMMARY = "summary"


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Of the parts of one model, without its neurons, that anything is written about, by canonical name; of its
    neurons, how many; and who works on what."""

    model_slug: str
    summaries: frozenset[str]
    notes: dict[str, int]
    neurons: dict[int, int]  # by layer
    works: dict[str, list[Work]]

    def state_of(self, component: str) -> State:
        if component in self.summaries:
            return State.SUMMARY
        return State.NOTES if component in self.notes else State.NOTHING

    def workers_on(self, component: str) -> list[str]:
        return [work.user.get_username() for work in self.works.get(component, [])]


_NEURON = ComponentKind.NEURON.value
# named, so that an index leads to them past the neurons, of which there are thousands
_OTHERS = [kind.value for kind in ComponentKind if kind is not ComponentKind.NEURON]
_IS_SAID = Q(n_summaries__gt=0) | Q(n_notes__gt=0)


def coverage_of(model_slug: str, *, user: Person) -> Coverage:
    """What is written about a model's parts, and who works on them: three queries. What was hidden or taken back
    counts as nothing, so everybody sees the same."""
    counted = rows(_parts, model_slug)
    works: dict[str, list[Work]] = {}
    for work in objects(_works, model_slug, *sight_of(user)):
        works.setdefault(work.component, []).append(work)
    return Coverage(
        model_slug,
        frozenset(component for component, n_summaries, _ in counted if n_summaries),
        {component: n_notes for component, _, n_notes in counted if n_notes},
        dict(rows(_neurons, model_slug)),
        works,
    )


def _said_of(model_slug: str) -> QuerySet[Said]:
    return Said.objects.filter(_IS_SAID, model_slug=model_slug).order_by()


def _parts(model_slug: str) -> QuerySet[Said, tuple[str, int, int]]:
    return _said_of(model_slug).filter(part__in=_OTHERS).values_list("component", "n_summaries", "n_notes")


def _neurons(model_slug: str) -> QuerySet[SaidOfNeurons, tuple[int, int]]:
    return SaidOfNeurons.objects.filter(model_slug=model_slug, n__gt=0).order_by().values_list("layer", "n")


def _works(model_slug: str, moderates: bool | None, key: int) -> QuerySet[Work]:
    return works_visible_to(person_of(moderates, key)).filter(model_slug=model_slug)


def written_among(model_slug: str, components: Collection[str]) -> set[str]:
    """Those of a model's parts, by canonical name, that anything is written about."""
    return {component for (component,) in rows(_written_among, model_slug, *padded(sorted(components), ""))}


def _written_among(model_slug: str, *components: str) -> QuerySet[Said, tuple[str]]:
    return _said_of(model_slug).filter(component__in=components).values_list("component")


def all_written(model_slug: str) -> tuple[list[str], dict[str, int]]:
    """All parts that have a summary, and how many notes each has, by canonical name; of a model with much written
    these are many."""
    said = list(_said_of(model_slug).values_list("component", "n_summaries", "n_notes"))
    return (
        sorted(component for component, n_summaries, _ in said if n_summaries),
        {component: n_notes for component, _, n_notes in sorted(said) if n_notes},
    )


_FIELDS = {Kind.SUMMARY.value: "n_summaries", Kind.NOTE.value: "n_notes"}


def count_new_page(sender: type[Page], page: Page, revision: Revision, **kwargs: Any) -> None:
    """What `revision_saved` tells."""
    if revision.n == 1:
        _count(page, 1)


def count_visibility(sender: type[Page], page: Page, before: str, **kwargs: Any) -> None:
    """What `visibility_changed` tells."""
    _count(page, (page.visibility == Visibility.PUBLISHED) - (before == Visibility.PUBLISHED))


def _count(page: Page, by: int) -> None:
    field = _FIELDS.get(page.kind)
    if field is None or not page.component or not by:
        return
    new = _said(page.model_slug, page.component)
    with transaction.atomic(savepoint=False):
        # a row that is there is only added to, so that of two at once both count
        Said.objects.bulk_create([new], ignore_conflicts=True)
        rows = Said.objects.filter(model_slug=new.model_slug, component=new.component)
        rows.update(**{field: F(field) + by})
        if new.part != _NEURON:
            return
        # it is locked by the update: of two at once one alone is the first or the last
        (n,) = rows.values_list(F("n_summaries") + F("n_notes"), flat=True)
        if (n, by) in ((1, 1), (0, -1)):
            SaidOfNeurons.objects.bulk_create(
                [SaidOfNeurons(model_slug=new.model_slug, layer=new.layer)], ignore_conflicts=True
            )
            SaidOfNeurons.objects.filter(model_slug=new.model_slug, layer=new.layer).update(n=F("n") + by)


def _said(model_slug: str, component: str) -> Said:
    parsed = Component.parse(component)
    return Said(model_slug=model_slug, component=component, part=parsed.kind.value, layer=parsed.layer)


def rebuild_coverage() -> int:
    """Count anew what is written about all parts, while nobody writes; return how many there are."""
    with transaction.atomic():
        Said.objects.all().delete()
        pages = Page.objects.filter(kind__in=_FIELDS, visibility=Visibility.PUBLISHED).exclude(component="").order_by()
        rows: dict[tuple[str, str], Said] = {}
        for slug, component, kind, n in pages.values_list("model_slug", "component", "kind").annotate(n=Count("id")):
            row = rows.setdefault((slug, component), _said(slug, component))
            setattr(row, _FIELDS[kind], n)
        Said.objects.bulk_create(rows.values(), batch_size=1_000)
        SaidOfNeurons.objects.all().delete()
        neurons = Counter((said.model_slug, said.layer) for said in rows.values() if said.part == _NEURON)
        SaidOfNeurons.objects.bulk_create(
            SaidOfNeurons(model_slug=slug, layer=layer, n=n) for (slug, layer), n in neurons.items()
        )
    return len(rows)
