"""What was changed lately, by filters, page after page by where the one before ended."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Length
from django.http import QueryDict

from analysis.schema import SLUG
from wiki.lib.prepared import objects
from wiki.texts.access import Person, audit_entries_visible_to, person_of, revisions_visible_to, sight_of
from wiki.texts.links import of_model
from wiki.texts.models import AuditEntry, Kind, Page, Revision, Tag
from wiki.texts.targets import key_of

PAGE_SIZE = 50
NAMES = ("kind", "model", "person", "tag", "only", "since")
KINDS = {
    "": "everything",
    Kind.SUMMARY.value: "summaries",
    Kind.NOTE.value: "notes",
    Kind.ARTICLE.value: "articles",
    Kind.TALK.value: "talk",
}
ONLY = {"": "new and changed", "new": "only new pages"}
_PLACE = re.compile(r"(-?\d{1,17})-(\d{1,18})(r?)", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


class RecentError(Exception):
    """The address asks for changes that cannot be looked for; the message is one sentence."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a page of changes ended. Of one time revisions come before renames."""

    at: datetime.datetime
    pk: int
    is_rename: bool = False

    @classmethod
    def of(cls, text: str) -> Place:
        match = _PLACE.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            return cls(_EPOCH + int(match[1]) * _MICROSECOND, int(match[2]), bool(match[3]))
        except (ValueError, OverflowError) as error:
            raise RecentError(
                f"Listing changes: expected a place that a page of them ended at, got “{text[:40]}”."
            ) from error

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.pk}{'r' if self.is_rename else ''}"


@dataclasses.dataclass(frozen=True)
class Filters:
    """What the address asks for; empty: everything."""

    kind: str = ""
    model: str = ""  # slug
    person: str = ""  # username
    tag: str = ""
    only: str = ""  # a key of ONLY
    since: datetime.datetime | None = None
    before: Place | None = None

    @classmethod
    def of(cls, parameters: QueryDict) -> Filters:
        given = {name: parameters.get(name, "").strip() for name in NAMES}
        for name, allowed in (("kind", KINDS), ("only", ONLY)):
            if given[name] not in allowed:
                choices = ", ".join(filter(None, allowed))
                raise RecentError(f"Listing changes: expected {name} of {choices}, got “{given[name][:40]}”.")
        if given["model"] and not SLUG.fullmatch(given["model"]):
            raise RecentError(f"Listing changes: expected a model's slug, got “{given['model'][:40]}”.")
        for name in ("person", "tag"):
            if not given[name].isprintable() or len(given[name]) > 150:
                raise RecentError(f"Listing changes: expected the name of a {name}, got what cannot be one.")
        before = parameters.get("before", "")
        return cls(
            kind=given["kind"],
            model=given["model"],
            person=given["person"].removeprefix("@"),
            tag=key_of(given["tag"]),
            only=given["only"],
            since=_moment(given["since"]),
            before=Place.of(before) if before else None,
        )


def _moment(text: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise RecentError(f"Listing changes: expected a time like 2026-01-31T12:00, got “{text[:40]}”.") from error
    if moment is None:
        return None
    if not 1900 <= moment.year <= 9000:
        raise RecentError(f"Listing changes: expected a time of these centuries, got “{text[:40]}”.")
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def page_of_revisions(filters: Filters, *, user: Person) -> list[Revision]:
    """The newest of `recent_revisions`: a page of them, and one more if there is."""
    return objects(_page_of_revisions, *_asked(filters), *sight_of(user))


def page_of_renames(filters: Filters, *, user: Person) -> list[AuditEntry]:
    """The same of `recent_renames`."""
    return objects(_page_of_renames, *_asked(filters), *sight_of(user))


def _page_of_revisions(*asked: Any) -> QuerySet[Revision]:
    found = recent_revisions(_filters(*asked[:-2]), user=person_of(*asked[-2:]))
    # by their keys, so that what is shown of each is read of these and not of all that are put in their order
    newest = found.values("pk")[: PAGE_SIZE + 1]
    return _shown(Revision.objects.filter(pk__in=newest))


def _page_of_renames(*asked: Any) -> QuerySet[AuditEntry]:
    return recent_renames(_filters(*asked[:-2]), user=person_of(*asked[-2:]))[: PAGE_SIZE + 1]


def _asked(filters: Filters) -> tuple[Any, ...]:
    """Filters as what is asked in a question; what is empty, and a model, which begins targets, are part of it."""
    place = (filters.before.at, filters.before.pk, filters.before.is_rename) if filters.before else (None, None, None)
    named = (filters.kind or None, (filters.model,), filters.person or None, filters.tag or None)
    return *named, (filters.only,), filters.since, *place


def _filters(*asked: Any) -> Filters:
    """What `_asked` says."""
    kind, (model,), person, tag, (only,), since, *place = asked
    return Filters(kind or "", model, person or "", tag or "", only, since, Place(*place) if place[0] else None)


def recent_revisions(filters: Filters, *, user: Person) -> QuerySet[Revision]:
    """The revisions that these filters leave, of what `user` may see, newest first, with what a list shows of each;
    `grew_by` is how many characters longer the text is than the one that it was made of."""
    revisions = revisions_visible_to(user).filter(_asked_for(filters))
    if filters.person:
        revisions = revisions.filter(author__username=filters.person)
    if filters.only == "new":
        revisions = revisions.filter(n=1)
    if filters.before:
        at, pk = filters.before.at, 0 if filters.before.is_rename else filters.before.pk
        revisions = revisions.filter(created_at__lte=at).exclude(created_at=at, pk__gte=pk)
    return _shown(revisions)


def _shown(revisions: QuerySet[Revision]) -> QuerySet[Revision]:
    return (
        revisions.annotate(grew_by=Length("text") - Coalesce(Length("base__text"), 0))
        .defer("text", "fields")
        .select_related("author", "page__author", "page__parent__author", "page__parent__parent__author")
        .order_by("-created_at", "-pk")
    )


def recent_renames(filters: Filters, *, user: Person) -> QuerySet[AuditEntry]:
    """The renames of articles that these filters leave, of what `user` may see, newest first, with what a list shows
    of each."""
    entries = audit_entries_visible_to(user).filter(_asked_for(filters), action=AuditEntry.Action.RENAME)
    if filters.person:
        entries = entries.filter(actor__username=filters.person)
    if filters.only == "new":
        entries = entries.none()
    if filters.before:
        at = filters.before.at
        entries = entries.filter(created_at__lte=at)
        if filters.before.is_rename:
            entries = entries.exclude(created_at=at, pk__gte=filters.before.pk)
    return entries.select_related("actor", "page__author").order_by("-created_at", "-pk")


def _asked_for(filters: Filters) -> Q:
    """What filters ask of the page of a change, and of its time."""
    condition = Q()
    if filters.kind or filters.model:
        # asked of each change from the newest on: a join would begin with all pages of the kind, and sort
        pages = Page.objects.filter(pk=OuterRef("page_id"))
        pages = pages.filter(kind=filters.kind) if filters.kind else pages
        pages = pages.filter(of_model(filters.model)) if filters.model else pages
        condition &= Q(Exists(pages))
    if filters.tag:
        tagged = Tag.pages.through.objects.filter(tag__name=filters.tag)
        condition &= Q(page__in=tagged.values("page"))
    if filters.since:
        condition &= Q(created_at__gt=filters.since)
    return condition
