"""Reading texts: articles by title, everything else by number, and any revision of either."""

from __future__ import annotations

import functools
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, prefetch_related_objects
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from wiki.lib.paging import part_of
from wiki.lib.prepared import objects, padded

from ..access import (
    Person,
    links_visible_to,
    may_edit,
    may_reply,
    may_retract,
    may_write,
    pages_visible_to,
    person_of,
    sight_of,
)
from ..addresses import address_of, address_to_write, name_of
from ..circuits import cut_for_drawing
from ..links import links_to_page, what_links_here
from ..models import Kind, Link, Page, Revision, TargetForm, Visibility
from ..rendering import Unrendered, render_texts
from ..targets import key_of, targets_of
from ..threads import PER_PAGE, is_reply
from .circuits import drawn_circuit
from .finding import get_article, get_page, get_revision

N_LINKS = 20


@require_safe
def article(request: HttpRequest, title: str) -> HttpResponse:
    """An article by its key; another spelling or an earlier title leads there."""
    page = get_article(request.user, key_of(title)) if "\0" not in title else None
    if page is None:
        # The place to write it, with the title as it was asked for
        words = _asked_words(title, user=request.user)
        context = {"title": words, "write_url": address_to_write(words), "may_write": may_write(request.user)}
        return render(request, "texts/unwritten.html", context, status=404)
    if page.key != title:
        query = request.GET.copy()
        if key_of(title) != page.key:
            query["from"] = title
        return HttpResponseRedirect(address_of(page) + (f"?{query.urlencode()}" if query else ""))
    return _text_page(request, page)


@require_safe
def text(request: HttpRequest, pk: int) -> HttpResponse:
    """Any text by its number; an article's leads to its title."""
    page = get_page(request.user, pk)
    if page.kind == Kind.ARTICLE:
        query = request.META.get("QUERY_STRING", "")
        return HttpResponseRedirect(address_of(page) + (f"?{query}" if query else ""))
    return _text_page(request, page)


@require_safe
def text_json(request: HttpRequest, pk: int) -> JsonResponse:
    page = get_page(request.user, pk)
    revision = _asked_revision(request, page)
    links = links_to_page(page, user=request.user)[:PER_PAGE]
    return JsonResponse(
        {
            "id": page.pk,
            "kind": page.kind,
            "title": page.title,
            "name": name_of(page),
            "about": page.about,
            "parent": page.parent_id,
            "author": page.author.get_username(),
            "visibility": page.visibility,
            "visibility_reason": page.visibility_reason,
            "protection": page.protection,
            "tags": [tag.name for tag in page.tags.all()],
            "url": request.build_absolute_uri(address_of(page)),
            "revision": revision_json(revision),
            "newest": page.version,
            "linked_from": [{"kind": link.kind, "id": link.source_id, "name": name_of(link.source)} for link in links],
        },
        json_dumps_params={"ensure_ascii": False, "indent": 1},
    )


def revision_json(revision: Revision) -> dict[str, Any]:
    return {
        "n": revision.n,
        "author": revision.author.get_username(),
        "created_at": revision.created_at.isoformat(),
        "summary": revision.summary,
        "sha256": revision.digest,
        "survey": revision.survey,
        "fields": revision.fields,
        "text": revision.text,
    }


def _asked_words(title: str, *, user: Person) -> str:
    """A title that nobody has written, as a text that links to it spells it, else as words."""
    if title != key_of(title) or "\0" in title:
        return title
    links = links_visible_to(user).filter(form=TargetForm.TITLE, target=title)
    words = links.order_by("id").values_list("words", flat=True).first() or title.replace("-", " ")
    return words[:1].upper() + words[1:]


def _asked_revision(request: HttpRequest, page: Page) -> Revision:
    """The revision that `?rev=` names, or the current one."""
    if "rev" in request.GET:
        return get_revision(request.user, page, request.GET["rev"], doing=f"Reading {name_of(page)}")
    assert page.current is not None
    return page.current


def _text_page(request: HttpRequest, page: Page) -> HttpResponse:
    user, revision = request.user, _asked_revision(request, page)
    is_thread = page.kind == Kind.TALK
    prefetch_related_objects([page], "tags", "aliases")
    part = part_of(functools.partial(_talk_of, page, user), PER_PAGE, request.GET.get("page"))
    replies = part.object_list if is_thread else []
    unrendered = [
        Unrendered(revision.text, "text", page.model_slug),
        *(Unrendered(reply.current.text, f"text-{reply.pk}", page.model_slug) for reply in replies if reply.current),
    ]
    rendered, _ = render_texts(unrendered, user=user)
    links = objects(_links_to, page.pk, *sight_of(user), *padded(targets_of(page), ""))
    is_editable = may_edit(user, page)
    tags = list(page.tags.all())
    aliases = [alias.key for alias in page.aliases.all() if alias.key != page.key]
    asked_for = request.GET.get("from", "")
    circuit = drawn_circuit(page, revision, tags=tags)
    context = {
        "page": page,
        "name": name_of(page),
        "watch_target": targets_of(page)[0],
        "revision": revision,
        "is_newest": revision.n == page.version,
        "parts": cut_for_drawing(rendered[0].html) if circuit else (rendered[0].html, ""),
        "headings": rendered[0].headings,
        "up": _up(page),
        "tags": tags,
        "aliases": aliases,
        # of other words than its titles the page says nothing, whatever the address has
        "redirected_from": asked_for if key_of(asked_for) in aliases else "",
        "circuit": circuit,
        "links": [(link.get_kind_display(), name_of(link.source), address_of(link.source)) for link in links[:N_LINKS]],
        "has_more_links": len(links) > N_LINKS,
        "replies": list(zip(replies, rendered[1:], strict=True)),
        "threads": [] if is_thread else part.object_list,
        "part": part,
        "may_edit": is_editable,
        "may_reply": may_reply(user, page) and not is_reply(page),
        "may_manage": is_editable or may_retract(user, page),
        "json_url": reverse("text-json", args=[page.pk], query=request.GET),
    }
    return render(request, "texts/text.html", context)


def _talk_of(page: Page, user: Person, begin: int, end: int) -> list[Page]:
    """Some of the replies in a thread, or of the threads about a page, in their order."""
    return objects(_talk, page.pk, page.kind == Kind.TALK, (begin, end), *sight_of(user))


def _talk(parent: int, is_thread: bool, part: tuple[int, int], moderates: bool | None, key: int) -> QuerySet[Page]:
    talk = pages_visible_to(person_of(moderates, key)).filter(parent=parent).select_related("author", "current__author")
    if not is_thread:
        # counted for the threads that are shown, not for all from which they are taken
        shown = Page.objects.filter(
            parent=OuterRef("pk"), visibility__in=[Visibility.PUBLISHED, Visibility.RETRACTED]
        ).order_by()
        n_shown = shown.values("parent").annotate(n=Count("pk")).values("n")
        talk = talk.annotate(n_replies=Coalesce(Subquery(n_shown), 0))
    return talk.order_by("pk")[slice(*part)]


def _links_to(source: int, moderates: bool | None, key: int, *targets: str) -> QuerySet[Link]:
    found = what_links_here(targets, user=person_of(moderates, key))
    return found.exclude(source=source)[: N_LINKS + 1]


def _up(page: Page) -> tuple[str, str]:
    """The name and address of what a text hangs on."""
    if page.parent is not None:
        return name_of(page.parent), address_of(page.parent)
    if page.component:
        return page.about, reverse("component-by-any-name", args=[page.model_slug, page.component])
    if page.model_slug:
        return page.model_slug, reverse("model", args=[page.model_slug])
    return "Articles", reverse("articles")
