"""Lists of texts: articles, what is wanted, what links somewhere, one's drafts, what somebody wrote."""

from __future__ import annotations

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from wiki.accounts.access import people_visible_to
from wiki.accounts.signing_in import page_of_people
from wiki.lib.paging import part_of, rows_of
from wiki.lib.prepared import objects, rows

from ..access import drafts_visible_to, may_write, pages_visible_to, person_of, revisions_visible_to, sight_of
from ..addresses import address_of, address_to_write, name_of
from ..links import links_to_page, wanted_targets
from ..models import Draft, Kind, Page, Tag, Visibility
from .finding import get_page

PER_PAGE = 50
N_TAGS = 60


@require_safe
def articles(request: HttpRequest) -> HttpResponse:
    """All articles, or those with a tag, by title."""
    tag, sight = request.GET.get("tag", "").replace("\0", ""), sight_of(request.user)
    part = part_of(lambda *places: objects(_titled, tag or None, places, *sight), PER_PAGE, request.GET.get("page"))
    context = {
        "part": part,
        "articles": [(page, address_of(page)) for page in part.object_list],
        "tag": tag,
        "tags": [name for (name,) in rows(_tags_of_articles)],
        "may_write": may_write(request.user),
    }
    return render(request, "texts/articles.html", context)


def _titled(tag: str | None, part: tuple[int, int], moderates: bool | None, key: int) -> QuerySet[Page]:
    found = pages_visible_to(person_of(moderates, key)).filter(kind=Kind.ARTICLE).order_by("title", "pk")
    found = found.filter(tags__name=tag) if tag else found
    shown = found.select_related("current__author", "author").defer("current__text", "current__fields")
    return shown.prefetch_related("tags")[slice(*part)]


def _tags_of_articles() -> QuerySet[Tag, tuple[str]]:
    # whether there is one is answered by the first; how many there are, by all
    tagged = Page.objects.filter(tags=OuterRef("pk"), kind=Kind.ARTICLE, visibility=Visibility.PUBLISHED)
    return Tag.objects.filter(Exists(tagged)).order_by("name").values_list("name")[:N_TAGS]


@require_safe
def articles_json(request: HttpRequest) -> JsonResponse:
    tag = request.GET.get("tag", "").replace("\0", "")
    found = pages_visible_to(request.user).filter(kind=Kind.ARTICLE).select_related("current").prefetch_related("tags")
    found = found.filter(tags__name=tag) if tag else found
    part = part_of(rows_of(found.order_by("title", "pk")), PER_PAGE, request.GET.get("page"))
    data = [
        {
            "id": page.pk,
            "title": page.title,
            "key": page.key,
            "tags": [each.name for each in page.tags.all()],
            "revision": page.version,
            "updated_at": page.updated_at.isoformat(),
        }
        for page in part.object_list
    ]
    return JsonResponse(
        {"articles": data, "page": part.number, "has_more": part.has_next},
        json_dumps_params={"ensure_ascii": False, "indent": 1},
    )


@require_safe
def wanted(request: HttpRequest) -> HttpResponse:
    """Articles that texts name and nobody has written."""
    found = [(each, address_to_write(each.words)) for each in wanted_targets(limit=200)]
    return render(request, "texts/wanted.html", {"wanted": found})


@require_safe
def links_to(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything that links to a text."""
    page = get_page(request.user, pk)
    found = links_to_page(page, user=request.user)
    part = part_of(rows_of(found), PER_PAGE, request.GET.get("page"))
    links = [(link.get_kind_display(), name_of(link.source), address_of(link.source)) for link in part.object_list]
    context = {"page": page, "name": name_of(page), "url": address_of(page), "part": part, "links": links}
    return render(request, "texts/links.html", context)


@require_safe
@page_of_people
def drafts(request: HttpRequest) -> HttpResponse:
    related = ("page__author", "page__parent__author", "page__parent__parent__author")
    found = drafts_visible_to(request.user).select_related(*related).defer("text").annotate(begins=Left("text", 81))
    return render(request, "texts/drafts.html", {"drafts": [(draft, *_place(draft)) for draft in found]})


def _place(draft: Draft) -> tuple[str, str]:
    """What a draft is of, and where it is written on."""
    if draft.page is not None:
        return name_of(draft.page), reverse("edit-text", args=[draft.page.pk])
    _, kind, place = draft.target.split("/", 2)
    if kind == Kind.ARTICLE:
        asked = {"title": place} if place else {}
        return draft.title or "an article without a title", reverse("new-article", query=asked)
    if kind == Kind.TALK and place.startswith("page/"):
        return "talk", reverse("new-talk", query={"page": place.removeprefix("page/")})
    return f"{kind} on {place}", reverse(f"new-{kind}", query={"about": place})


@require_safe
def written_by(request: HttpRequest, username: str) -> HttpResponse:
    """What somebody wrote and changed, newest first."""
    person = people_visible_to(request.user).filter(username=username).first() if "\0" not in username else None
    if person is None:
        raise Http404(f"Nobody here is called {username}.")
    revisions = revisions_visible_to(request.user).filter(author=person).defer("text", "fields")
    related = ("page__author", "page__parent__author", "page__parent__parent__author")
    newest_first = revisions.select_related(*related).order_by("-created_at", "-pk")
    shown = part_of(rows_of(newest_first), PER_PAGE, request.GET.get("page"))
    kinds = dict(
        pages_visible_to(request.user).filter(author=person).order_by().values_list("kind").annotate(n=Count("pk"))
    )
    context = {
        "person": person,
        "part": shown,
        "rows": [
            (revision, name_of(revision.page), _revision_url(revision.page, revision.n))
            for revision in shown.object_list
        ],
        "counts": [(Kind(kind).label.lower(), n) for kind, n in sorted(kinds.items())],
    }
    return render(request, "texts/written_by.html", context)


def _revision_url(page: Page, n: int) -> str:
    return address_of(page) if n == page.version else f"{address_of(page)}?rev={n}"
