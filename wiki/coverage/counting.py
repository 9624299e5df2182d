"""What is written about the parts of a model."""

from __future__ import annotations

import dataclasses
import enum

from django.db.models import Count

from wiki.texts.access import Person, pages_visible_to
from wiki.texts.models import Kind, Visibility

from .access import works_visible_to
from .models import Work


class State(enum.Enum):
    """How much is said of a part. The value is the word in data."""

    NOTHING = "nothing"
    NOTES = "notes"
    SUMMARY = "summary"


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Of the parts of one model that anything is written about or somebody works on, by canonical name."""

    summaries: frozenset[str]
    notes: dict[str, int]
    works: dict[str, list[Work]]

    def state_of(self, component: str) -> State:
        if component in self.summaries:
            return State.SUMMARY
        return State.NOTES if component in self.notes else State.NOTHING

    @property
    def written(self) -> set[str]:
        """What is written about at all."""
        return {*self.summaries, *self.notes}

    def workers_on(self, component: str) -> list[str]:
        return [work.user.get_username() for work in self.works.get(component, [])]


def coverage_of(model_slug: str, *, user: Person) -> Coverage:
    """What `user` may see of what is written about a model's parts, and who works on them: two queries. What was taken
    back counts as nothing."""
    pages = pages_visible_to(user).filter(
        model_slug=model_slug, kind__in=[Kind.SUMMARY, Kind.NOTE], visibility=Visibility.PUBLISHED
    )
    counted = pages.exclude(component="").order_by().values_list("component", "kind").annotate(n=Count("id"))
    summaries, notes = set(), {}
    for component, kind, n in counted:
        if kind == Kind.SUMMARY:
            summaries.add(component)
        else:
            notes[component] = n
    works: dict[str, list[Work]] = {}
    for work in works_visible_to(user).filter(model_slug=model_slug):
        works.setdefault(work.component, []).append(work)
    return Coverage(frozenset(summaries), notes, works)
