"""The form of a text. Whatever a save is refused for, what was typed comes back in it."""

from __future__ import annotations

import dataclasses
import secrets

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from wiki.accounts.models import User

from ..drafts import keep_draft
from ..errors import TextError
from ..models import Draft, Kind, Page

SESSION_ENDED = (
    "Saving: expected somebody who is signed in, got nobody; your session ended. Sign in in another tab and save "
    "again: what you typed is below."
)


@dataclasses.dataclass
class Form:
    """A form of a text: what it holds, and what is wrong with it."""

    heading: str
    target: str  # the draft that it is kept in
    back: str  # where cancelling leads
    model_slug: str = ""
    kind: Kind | None = None  # None: nothing shows by it
    title: str | None = None  # None: the text has no title
    needs_title: bool = False
    text: str = ""
    summary: str | None = None  # None: a new text, which changes nothing
    base_version: int = 0
    submission: str = ""
    error: str = ""
    already: str = ""  # the address of what is in the way
    draft: Draft | None = None  # what the form was filled with
    newer: Page | None = None  # the page, where it was saved since the revision that the draft began from
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def take(self, request: HttpRequest) -> None:
        """Hold what was sent."""
        sent = request.POST
        self.text = sent.get("text", "").replace("\r\n", "\n")
        self.submission = sent.get("submission", "")[:64]
        if self.title is not None:
            self.title = sent.get("title", "")
        if self.summary is not None:
            self.summary = sent.get("summary", "")
            self.base_version = number(sent, "base_version")

    def refuse(self, error: Exception) -> None:
        """Say why nothing was saved."""
        self.error, self.status = str(error), 403 if isinstance(error, PermissionDenied) else 400
        if isinstance(error, Http404):
            self.status = 404
        if isinstance(error, TextError):
            self.status, self.headers = error.status, error.headers

    def aside(self, request: HttpRequest, *, page: Page | None) -> HttpResponse | None:
        """The answer where something else than saving was asked for: nobody is signed in, or a draft is kept,
        or what was put together is edited."""
        if not isinstance(request.user, User):
            self.error, self.status = SESSION_ENDED, 403
            return self.answer(request)
        match request.POST.get("do"):
            case "draft":
                self.draft = self.keep(request.user, page=page)
            case "merge-edit":
                pass
            case _:
                return None
        return self.answer(request)

    def answer(self, request: HttpRequest) -> HttpResponse:
        self.submission = self.submission or secrets.token_hex(16)
        context = {"form": self, "is_signed_in": request.user.is_authenticated}
        response = render(request, "texts/write.html", context, status=self.status)
        for name, value in self.headers.items():
            response[name] = value
        return response

    def keep(self, owner: User, *, page: Page | None) -> Draft | None:
        """Keep what is typed as a draft; None, and the reason in the form, where that is refused."""
        try:
            return keep_draft(
                owner, self.target, self.text, page=page, title=self.title or "", base_version=self.base_version
            )
        except (TextError, PermissionDenied) as error:
            self.refuse(error)
            return None

    def fill(self, draft: Draft) -> None:
        self.draft, self.text, self.base_version = draft, draft.text, draft.base_version
        if self.title is not None:
            self.title = draft.title or self.title


def number(sent: QueryDict, name: str) -> int:
    """A number that was sent; 0 where there is none."""
    text = sent.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
