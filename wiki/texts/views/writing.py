"""Writing texts, and keeping what is typed before it is saved."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from wiki.accounts.models import User
from wiki.accounts.signing_in import page_of_people
from wiki.components.addresses import component_url

from ..access import may_edit, may_read, may_reply, may_write, pages_visible_to, require
from ..addresses import address_of, name_of
from ..drafts import discard_draft, draft_target, find_draft, keep_draft, new_draft_target
from ..errors import AlreadyThere, EditConflict, NotChosen, TextError
from ..models import Kind, Page
from ..targets import key_of, normalise, resolve
from ..threads import PER_PAGE
from ..writing import create_page, save_revision
from .conflicts import conflict_page, merged_text
from .finding import get_page, gives_back_what_was_typed
from .forms import SESSION_ENDED, Form, number

# Of a text that is there, or of a new one and where it would be.
_DRAFT = re.compile(r"page/[1-9][0-9]{0,17}|new/(?:article|summary|talk)/[^\0]*", re.ASCII)


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def new_article(request: HttpRequest) -> HttpResponse:
    title = request.GET.get("title", "").replace("\0", "")[:300]
    # by the address, not by what is typed: a draft is kept and discarded under one name however the title changes
    target = new_draft_target(Kind.ARTICLE, key_of(title)[:200])
    form = Form("A new article", target, back=reverse("articles"), kind=Kind.ARTICLE, title=title, needs_title=True)
    return _write_new(request, form, Kind.ARTICLE)


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def new_summary(request: HttpRequest) -> HttpResponse:
    asked = _asked_about(request)
    try:
        about, slug, back = _subject(asked, user=request.user)
    except (Http404, PermissionDenied) as error:
        return _given_back(request, Form("A summary", new_draft_target(Kind.SUMMARY, asked), reverse("drafts")), error)
    component = about.partition("/")[2]
    there = Page.objects.filter(kind=Kind.SUMMARY, model_slug=slug, component=component).first()
    if there is not None and may_read(request.user, there) and request.method != "POST":
        return HttpResponseRedirect(reverse("edit-text", args=[there.pk]))
    form = Form(
        f"What {about} does" if component else f"What is known of {about}",
        new_draft_target(Kind.SUMMARY, about),
        back=back,
        model_slug=slug,
    )
    return _write_new(request, form, Kind.SUMMARY, about=about)


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def new_talk(request: HttpRequest) -> HttpResponse:
    """A thread about a component or a page, or a reply in a thread."""
    about, asked = _asked_about(request), number(request.GET, "page")
    slug = back = ""
    try:
        parent = get_page(request.user, asked) if asked else None
        if not request.user.is_authenticated:
            raise PermissionDenied(SESSION_ENDED)
        if parent is None:
            about, slug, back = _subject(about, user=request.user)
    except (Http404, PermissionDenied) as error:
        form = Form(
            "Talk", new_draft_target(Kind.TALK, f"page/{asked}" if asked else about), reverse("drafts"), title=""
        )
        return _given_back(request, form, error)
    if parent is None:
        form = Form(f"Talk about {about}", new_draft_target(Kind.TALK, about), back, model_slug=slug, title="")
    else:
        target, back = new_draft_target(Kind.TALK, f"page/{parent.pk}"), address_of(parent)
        is_reply = parent.kind == Kind.TALK
        heading = f"Reply in {name_of(parent)}" if is_reply else f"Talk about {name_of(parent)}"
        form = Form(heading, target, back, model_slug=parent.model_slug, title=None if is_reply else "")
        if request.method != "POST":
            require(may_reply(request.user, parent), "Replying", user=request.user)
    return _write_new(request, form, Kind.TALK, about=about if parent is None else "", parent=parent)


def _asked_about(request: HttpRequest) -> str:
    return request.GET.get("about", "").replace("\0", "")[:300]


def _subject(about: str, *, user: User | AnonymousUser) -> tuple[str, str, str]:
    """What a model or a part that is here is called by links, the model's slug, and its address; else 404."""
    if not user.is_authenticated:
        raise PermissionDenied(SESSION_ENDED)
    target = normalise(about)
    here = resolve([target], user=user).get(target) if target else None
    if target is None or here is None or here.model is None:
        raise Http404(f"Writing about “{about[:100]}”: expected a model or a part of one that is here.")
    url = component_url(here.model, here.component) if here.component else here.model.get_absolute_url()
    return target.text, here.model.slug, url


def _given_back(request: HttpRequest, form: Form, error: Exception) -> HttpResponse:
    """What was typed for a text that is not to be seen any more, or after a session ended. Of the text itself nothing
    is said: who sent the form may not be who opened it."""
    if request.method != "POST":
        raise error
    form.take(request)
    form.refuse(error)
    return form.answer(request)


def _write_new(request: HttpRequest, form: Form, kind: Kind, **place: Any) -> HttpResponse:
    user = request.user
    if request.method != "POST":
        require(may_write(user), form.heading, user=user)
        if request.GET.get("draft") != "no" and (draft := find_draft(user, form.target)):
            form.fill(draft)
        return form.answer(request)
    form.take(request)
    if answer := form.aside(request, page=None):
        return answer
    assert isinstance(user, User)
    try:
        if not form.text.strip():
            raise TextError(f"{form.heading}: expected some words, got none.")
        page = create_page(user, kind, form.text, title=form.title or "", submission=form.submission, **place)
    except AlreadyThere as error:
        form.refuse(error)
        if may_read(user, error.page):
            form.already = address_of(error.page)
        return form.answer(request)
    except (TextError, PermissionDenied) as error:
        form.refuse(error)
        return form.answer(request)
    discard_draft(user, form.target)
    return HttpResponseRedirect(_seen_at(page, user))


def _part_of(page: Page) -> str:
    """The address of the part that a summary stands on; empty where that is not here."""
    target = normalise(page.about)
    here = resolve([target], user=page.author).get(target) if target else None
    if here is None or here.model is None:
        return ""
    return component_url(here.model, here.component) if here.component else here.model.get_absolute_url()


def _seen_at(page: Page, user: User) -> str:
    """Where somebody sees what they have just written."""
    if page.kind == Kind.SUMMARY and (here := _part_of(page)):
        return f"{here}#summary"
    if page.parent is None or page.parent.kind != Kind.TALK:
        return address_of(page)
    n_before = pages_visible_to(user).filter(parent=page.parent, pk__lt=page.pk).count()
    part = f"?page={n_before // PER_PAGE + 1}" if n_before >= PER_PAGE else ""
    return f"{address_of(page.parent)}{part}#text-{page.pk}"


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def edit_text(request: HttpRequest, pk: int) -> HttpResponse:
    user = request.user
    try:
        page = get_page(user, pk)
        if not user.is_authenticated:
            raise PermissionDenied(SESSION_ENDED)
    except (Http404, PermissionDenied) as error:
        return _given_back(request, Form("Editing a text", f"page/{pk}", reverse("drafts"), summary=""), error)
    assert page.current is not None
    assert isinstance(user, User)
    form = Form(
        f"Editing {name_of(page)}",
        draft_target(page),
        back=address_of(page),
        model_slug=page.model_slug,
        kind=Kind(page.kind),
        text=page.current.text,
        summary="",
        base_version=page.version,
    )
    if request.method != "POST":
        require(may_edit(user, page), form.heading, user=user, page=page)
        if request.GET.get("draft") != "no" and (draft := find_draft(user, form.target)):
            form.fill(draft)
            form.newer = page if draft.base_version < page.version else None
        return form.answer(request)
    form.take(request)
    try:
        if request.POST.get("do") in {"merge", "merge-edit"}:
            form.text, form.base_version = merged_text(request, page, form)
        if answer := form.aside(request, page=page):
            return answer
        if not form.text.strip():
            raise TextError(f"{form.heading}: expected some words, got none; what nobody should read can be retracted.")
        save_revision(
            page,
            user,
            form.text,
            base_version=form.base_version,
            summary=form.summary or "",
            submission=form.submission,
        )
    except (EditConflict, NotChosen) as conflict:
        form.error = str(conflict) if isinstance(conflict, NotChosen) else ""
        form.keep(user, page=page)
        return conflict_page(request, page, form, conflict)
    except (TextError, PermissionDenied) as error:
        form.refuse(error)
        return form.answer(request)
    return HttpResponseRedirect(_seen_at(page, user))


@require_POST
def keep(request: HttpRequest) -> JsonResponse:
    """Keep what is typed as a draft while somebody types."""
    user = request.user
    if not isinstance(user, User):
        return JsonResponse({"error": "Keeping a draft: your session ended; sign in in another tab."}, status=403)
    target = request.POST.get("target", "")
    try:
        if len(target) > 320 or not _DRAFT.fullmatch(target):
            raise TextError(f"Keeping a draft: expected the name of a draft, got “{target[:40]}”.")
        kind, _, rest = target.partition("/")
        page = get_page(user, int(rest)) if kind == "page" else None
        draft = keep_draft(
            user,
            target,
            request.POST.get("text", "").replace("\r\n", "\n"),
            page=page,
            title=request.POST.get("title", "").replace("\0", ""),
            base_version=number(request.POST, "base_version"),
        )
    except TextError as error:
        return JsonResponse({"error": str(error)}, status=400)
    except PermissionDenied as error:
        return JsonResponse({"error": str(error)}, status=403)
    return JsonResponse({"kept_at": draft.updated_at.isoformat()})


@require_POST
@page_of_people
def discard(request: HttpRequest) -> HttpResponse:
    discard_draft(request.user, request.POST.get("target", "").replace("\0", ""))
    return HttpResponseRedirect(reverse("drafts"))
