"""Two people saved the same text: what each made of it, and putting both together."""

from __future__ import annotations

import dataclasses
import secrets

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ..access import Person, revisions_visible_to
from ..addresses import name_of
from ..comparing import diff, fold
from ..errors import EditConflict, NotChosen
from ..merging import Clash, Merge, Settled, merge
from ..models import Page, Revision
from .forms import Form, number

CHOICES = ("yours", "theirs", "both")


def conflict_page(request: HttpRequest, page: Page, form: Form, conflict: EditConflict | NotChosen) -> HttpResponse:
    """Yours, theirs and what becomes of both. Where both changed the same lines nothing is chosen for the writer."""
    base, theirs = conflict.base, conflict.theirs
    base_text = _base_text(base, user=request.user)
    merged = merge(base_text, conflict.yours, theirs.text)
    context = {
        "form": form,
        "page": page,
        "name": name_of(page),
        "base": base,
        "theirs": theirs,
        "yours": conflict.yours,
        "their_changes": fold(diff(base_text, theirs.text)),
        "your_changes": fold(diff(base_text, conflict.yours)),
        "merge": [
            dataclasses.replace(each, chosen=_choice(request, each) if isinstance(conflict, NotChosen) else "")
            for each in _numbered(merged)
        ],
        "n_clashes": sum(isinstance(piece, Clash) for piece in merged.pieces),
        "submission": secrets.token_hex(16),
    }
    return render(request, "texts/conflict.html", context, status=conflict.status)


@dataclasses.dataclass(frozen=True)
class Numbered:
    """A clash and its number in the form, or None and what is settled."""

    number: int | None
    piece: Settled | Clash
    chosen: str = ""  # of CHOICES; empty: none of them


def _choice(request: HttpRequest, clash: Numbered) -> str:
    asked = request.POST.get(f"clash-{clash.number}", "")
    return asked if asked in CHOICES else ""


def _numbered(merged: Merge) -> list[Numbered]:
    numbers = iter(range(len(merged.pieces)))
    return [Numbered(next(numbers) if isinstance(piece, Clash) else None, piece) for piece in merged.pieces]


def merged_text(request: HttpRequest, page: Page, form: Form) -> tuple[str, int]:
    """What the choices of a conflict page make of both texts, and the revision that it is made from. Raises
    NotChosen."""
    revisions = {
        revision.n: revision
        for revision in page.revisions.select_related("author").filter(
            n__in=[form.base_version, number(request.POST, "theirs")]
        )
    }
    base, theirs = revisions.get(form.base_version), revisions.get(number(request.POST, "theirs"))
    if base is None or theirs is None:
        return form.text, form.base_version  # saving says what is wrong
    base_text, their_text = (_base_text(revision, user=request.user) for revision in (base, theirs))
    pieces = _numbered(merge(base_text, form.text, their_text))
    n_open = sum(isinstance(each.piece, Clash) and not _choice(request, each) for each in pieces)
    if n_open:
        raise NotChosen(base=base, theirs=theirs, yours=form.text, n_open=n_open)
    parts = []
    for each in pieces:
        if isinstance(each.piece, Settled):
            parts.append(each.piece.text)
            continue
        yours, of_theirs = each.piece.yours, each.piece.theirs
        match _choice(request, each):
            case "yours":
                parts.append(yours)
            case "theirs":
                parts.append(of_theirs)
            case _:
                between = "" if not of_theirs or of_theirs.endswith("\n") else "\n"
                parts.append(of_theirs + between + yours)
    return "".join(parts), theirs.n


def _base_text(revision: Revision, *, user: Person) -> str:
    """What a revision said, or nothing where it is withheld."""
    return revision.text if revisions_visible_to(user).filter(pk=revision.pk).exists() else ""
