"""Recent changes: as a page, as data, as a feed."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.http import require_safe

from wiki.lib.named import address
from wiki.texts.addresses import address_of, name_of
from wiki.texts.events import what_was_done
from wiki.texts.models import AuditEntry, Revision

from ..recent import KINDS, NAMES, ONLY, PAGE_SIZE, Filters, Place, RecentError, page_of_renames, page_of_revisions
from ..sentences import what_happened


class Change:
    """A revision as lists of changes show it."""

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.page = revision.page
        self.author = revision.author
        self.at = revision.created_at
        self.name = name_of(self.page)
        self.url = address_of(self.page)
        self.grew_by: int = revision.grew_by  # type: ignore[attr-defined]  # annotated
        self.diff_url = _diff_url(revision)
        self.remark = revision.summary
        self.mark = f"revision-{revision.pk}"
        self.place = Place(revision.created_at, revision.pk)

    @property
    def shrank_by(self) -> int:
        return max(0, -self.grew_by)

    @property
    def sentence(self) -> str:
        return what_happened(self.revision, self.page)

    def to_json(self) -> dict[str, Any]:
        return {
            "page": self.page.pk,
            "name": self.name,
            "url": self.url,
            "kind": self.page.kind,
            "about": self.page.about,
            "revision": self.revision.n,
            "author": self.author.get_username(),
            "summary": self.revision.summary,
            "grew_by": self.grew_by,
            "visibility": self.page.visibility,
            "at": self.at.isoformat(),
            "diff": self.diff_url,
        }


class Rename:
    """That an article has another title, as lists of changes show it beside revisions."""

    diff_url = ""

    def __init__(self, entry: AuditEntry) -> None:
        assert entry.page is not None
        self.page = entry.page
        self.author = entry.actor
        self.at = entry.created_at
        self.name = name_of(self.page)
        self.url = address_of(self.page)
        self.before, self.after = entry.before, entry.after
        self.sentence = what_was_done(entry, self.name)
        self.remark = entry.reason
        self.mark = f"rename-{entry.pk}"
        self.place = Place(entry.created_at, entry.pk, is_rename=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "page": self.page.pk,
            "name": self.name,
            "url": self.url,
            "kind": self.page.kind,
            "about": self.page.about,
            "revision": None,
            "author": self.author.get_username(),
            "summary": self.remark,
            "renamed": [self.before, self.after],
            "visibility": self.page.visibility,
            "at": self.at.isoformat(),
        }


def _diff_url(revision: Revision) -> str:
    """Where the change itself is shown; empty of a first revision."""
    if revision.n == 1:
        return ""
    try:
        return f"{address('diff', revision.page_id)}?from={revision.n - 1}&to={revision.n}"
    except NoReverseMatch:
        return ""


@require_safe
def recent(request: HttpRequest) -> HttpResponse:
    try:
        filters, error = Filters.of(request.GET), ""
        changes, next_place = _changes(request, filters)
    except RecentError as refusal:
        changes, next_place, error = [], None, str(refusal)
    kept = _kept(request)
    days = [(day, list(group)) for day, group in itertools.groupby(changes, key=lambda change: change.at.date())]
    context = {
        "days": days,
        "error": error,
        "given": {name: request.GET.get(name, "")[:200] for name in NAMES},
        "kinds": KINDS.items(),
        "onlys": ONLY.items(),
        "has_filters": bool(kept),
        "is_later": "before" in request.GET,
        "first_url": f"?{urlencode(kept)}",
        "next_url": f"?{urlencode({**kept, 'before': str(next_place)})}" if next_place else "",
        "feed_url": _with("recent-atom", kept),
        "json_url": _with("recent-json", {**kept, **_only(request, "before")}),
    }
    return render(request, "following/recent.html", context, status=400 if error else 200)


@require_safe
def recent_json(request: HttpRequest) -> JsonResponse:
    try:
        changes, next_place = _changes(request, Filters.of(request.GET))
    except RecentError as refusal:
        return JsonResponse({"error": str(refusal)}, status=400)
    following = _with("recent-json", {**_kept(request), "before": str(next_place)}) if next_place else None
    data = {"changes": [change.to_json() for change in changes], "next": following}
    return JsonResponse(data, json_dumps_params={"ensure_ascii": False, "indent": 1})


@require_safe
def recent_atom(request: HttpRequest) -> HttpResponse:
    try:
        changes, _ = _changes(request, Filters.of(request.GET))
    except RecentError as refusal:
        return HttpResponse(str(refusal), content_type="text/plain; charset=utf-8", status=400)
    kept = _kept(request)
    absolute = request.build_absolute_uri
    feed = Atom1Feed(
        title=f"Loupe: changes{''.join(f', {name} {value}' for name, value in kept.items())}"[:200],
        link=absolute(_with("recent", kept)),
        description="",
        feed_url=absolute(_with("recent-atom", kept)),
        feed_guid=absolute(_with("recent-atom", kept)),
    )
    for change in changes:
        feed.add_item(
            title=_readable(change.sentence),
            link=absolute(change.diff_url or change.url),
            description=_readable(change.remark),
            unique_id=absolute(reverse("recent") + f"#{change.mark}"),
            author_name=change.author.get_username(),
            author_link=absolute(change.author.get_absolute_url()),
            pubdate=change.at,
            updateddate=change.at,
            categories=[change.page.kind],
        )
    return HttpResponse(feed.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8")


def _changes(request: HttpRequest, filters: Filters) -> tuple[list[Change | Rename], Place | None]:
    """A page of changes, and where it ends if there are more. Two queries."""
    revisions = [Change(each) for each in page_of_revisions(filters, user=request.user)]
    renames = [Rename(each) for each in page_of_renames(filters, user=request.user)]
    # both are newest first, and the sort leaves revisions before renames of the same time
    changes: list[Change | Rename] = [*revisions, *renames]
    changes.sort(key=lambda change: change.at, reverse=True)
    return changes[:PAGE_SIZE], changes[PAGE_SIZE - 1].place if len(changes) > PAGE_SIZE else None


def _kept(request: HttpRequest) -> dict[str, str]:
    return _only(request, *NAMES)


def _only(request: HttpRequest, *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := request.GET.get(name, ""))}


def _with(name: str, query: dict[str, str]) -> str:
    return reverse(name, query=query or None)


def _readable(text: str) -> str:
    """Without the characters that XML cannot have."""
    return "".join(char for char in text if char.isprintable() or char == " ")
