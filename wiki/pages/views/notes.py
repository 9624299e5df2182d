"""Writing a note on a part of a model, or on something exact; and notes whose thing is gone."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from wiki.accounts.access import require_role
from wiki.accounts.models import Role, User
from wiki.components.addresses import component_url
from wiki.texts.access import Person, pages_visible_to
from wiki.texts.addresses import address_of, name_of
from wiki.texts.anchors import SpanAnchor, fields_of
from wiki.texts.errors import TextError
from wiki.texts.models import Kind, Page
from wiki.texts.views.finding import gives_back_what_was_typed
from wiki.texts.views.forms import SESSION_ENDED
from wiki.texts.writing import create_page

from ..addresses import get_model, parse_component
from ..anchored import Shown, asked_for, show_anchors, show_on_part, show_span, span_asked_for
from ..errors import NotFound
from ..measurements import measurements_of
from ..responses import data_response

# Notes with an anchor that are looked at for one page of those whose thing is gone.
PER_PAGE = 100


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a note will be about."""

    about: str  # a part or a model; empty: another text alone
    model_slug: str
    name: str
    url: str
    shown: Shown | None  # the exact thing
    fields: dict[str, Any]
    parent: Page | None  # an article, which is talked about in a thread
    survey: str

    def address_after(self, page: Page) -> str:
        """Where the note is to be seen: with the view that it is about, on the page of its part, or by itself."""
        if "links" in self.fields:  # on a passage
            return address_of(page)
        return self.shown.url if self.shown else f"{self.url}#note-{page.pk}"

    def write(self, author: User, text: str, *, submission: str) -> Page:
        """A note; of an article, which is about no part, a thread of talk."""
        kind = Kind.TALK if self.parent else Kind.NOTE
        return create_page(
            author,
            kind,
            text,
            about=self.about,
            parent=self.parent,
            fields=self.fields,
            survey=self.survey,
            submission=submission,
        )


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def new_note(request: HttpRequest) -> HttpResponse:
    """The form, with what the address anchors the note to in words; what was typed comes back with what is wrong."""
    user, is_sent = request.user, request.method == "POST"
    # a passage can be pasted into the form: then it is not in the address
    asked = {name: value for name, value in request.GET.items() if isinstance(value, str)}
    if pasted := request.POST.get("quote"):
        asked["quote"] = pasted
    text, submission = request.POST.get("text", ""), request.POST.get("submission") or secrets.token_hex(16)
    error, subject, status = "", None, 200
    headers: dict[str, str] = {}
    try:
        if is_sent and not isinstance(user, User):
            raise PermissionDenied(SESSION_ENDED)
        require_role(user, Role.RESEARCHER, doing="Writing a note")
        subject = subject_of(asked, user=user)
        if is_sent:
            assert isinstance(user, User)
            if not text.strip():
                raise TextError("Writing a note: expected some words, got none.")
            page = subject.write(user, text, submission=submission)
            return HttpResponseRedirect(subject.address_after(page))
    except TextError as refusal:
        # the form that asks for a passage is no refusal
        if is_sent or asked.get("quote") or asked.get("anchor") != "span":
            error, status, headers = str(refusal), refusal.status, refusal.headers
    except (NotFound, PermissionDenied) as refusal:
        if not is_sent:
            raise
        error, status = str(refusal), 404 if isinstance(refusal, NotFound) else 403
    context = {
        "subject": subject,
        "error": error,
        "text": text,
        "model_slug": subject.model_slug if subject else asked.get("about", "").partition("/")[0],
        "asks_for_quote": asked.get("anchor") == "span",
        "quote": asked.get("quote", ""),
        "submission": submission,
    }
    response = render(request, "pages/note_form.html", context, status=status)
    for name, value in headers.items():
        response[name] = value
    return response


def subject_of(asked: Mapping[str, str], *, user: Person) -> Subject:
    """What the address says a note is about; AnchorError or 404 with a sentence where there is no such thing."""
    if asked.get("anchor") == SpanAnchor.kind:
        return _passage(asked, user=user)
    slug, slash, name = asked.get("about", "").partition("/")
    model = get_model(slug)
    component = parse_component(model, name) if slash else None
    about = f"{model.slug}/{component}" if component else model.slug
    url = component_url(model, component) if component else model.get_absolute_url()
    if not asked.get("anchor"):
        return Subject(about, model.slug, about, url, shown=None, fields={}, parent=None, survey="")
    anchor = asked_for(asked, model, component)
    measurements = measurements_of(model, survey=asked.get("survey", ""))
    shown = show_on_part(anchor, model, component, measurements, look_up=True)
    survey = getattr(anchor, "survey", "")
    return Subject(about, model.slug, about, url, shown, fields_of(anchor), parent=None, survey=survey)


def _passage(asked: Mapping[str, str], *, user: Person) -> Subject:
    """A passage of a text: of one about a part a note on that part, of an article talk about it."""
    number = asked.get("page", "")
    known = number.isascii() and number.isdigit() and len(number) < 18
    pages = pages_visible_to(user).select_related("current", "author", "parent")
    page = pages.filter(pk=int(number)).first() if known else None
    if page is None:
        raise NotFound(f"Looking for the text {number[:40]}: there is none.")
    anchor = span_asked_for(asked, page)
    parent = None if page.model_slug else page
    return Subject(
        about=page.about,
        model_slug=page.model_slug,
        name=name_of(page),
        url=address_of(page),
        shown=show_span(anchor, page),
        fields=fields_of(anchor),
        parent=parent,
        survey="",
    )


@dataclasses.dataclass(frozen=True)
class Orphan:
    """A note whose exact thing is gone."""

    page: Page
    shown: Shown

    @property
    def url(self) -> str:
        return address_of(self.page)

    @property
    def name(self) -> str:
        return name_of(self.page)

    def to_json(self) -> dict[str, Any]:
        return {"id": self.page.pk, "url": self.url, "name": self.name, "anchor": dataclasses.asdict(self.shown)}


def _orphans(request: HttpRequest) -> tuple[list[Orphan], str]:
    """Of the newest notes with an anchor, or those before the one that the address names, the ones whose thing is gone;
    and where the older ones are."""
    before = request.GET.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) < 18):
        raise NotFound(
            f"Looking for notes whose thing is gone: expected before=<number of a note>, got “{before[:40]}”."
        )
    pages = pages_visible_to(request.user).filter(is_anchored=True)
    if before:
        pages = pages.filter(pk__lt=int(before))
    related = ("current", "author", "parent__author", "parent__parent__author")
    found = list(pages.select_related(*related).order_by("-pk")[: PER_PAGE + 1])
    shown = show_anchors(found[:PER_PAGE], user=request.user)
    orphans = [Orphan(page, shown[page.pk]) for page in found if page.pk in shown and shown[page.pk].orphaned]
    older = urlencode({"before": found[PER_PAGE - 1].pk}) if len(found) > PER_PAGE else ""
    return orphans, older


@require_safe
def orphans(request: HttpRequest) -> HttpResponse:
    found, older = _orphans(request)
    json_url = reverse("orphans-json", query=request.GET)
    context = {"orphans": found, "older": older, "json_url": json_url, "n_looked_at": PER_PAGE}
    return render(request, "pages/orphans.html", context)


@require_safe
def orphans_json(request: HttpRequest) -> JsonResponse:
    found, older = _orphans(request)
    return data_response({"orphans": [orphan.to_json() for orphan in found], "older": older})
