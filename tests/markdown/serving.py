"""A site of texts under the real site's middleware and policy. Every other address is a picture."""

from __future__ import annotations

from base64 import b64decode

from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

from tests.markdown.resolving import resolve_all
from tests.markdown.vectors import xss_vectors
from wiki.markdown import render

FORMULAS = [
    r"$\sum_{k \le q} A_{qk} = 1$",
    "$$\n\\frac{\\langle q, k \\rangle}{\\sqrt{d_\\text{head}}} + \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n$$",
    r"$\fbox{x} \colorbox{red}{y} \pmb{z} \textcolor{blue}{w} \xcancel{v} \boxed{u} \rule{1em}{2em} \sout{t}$",
    r"$\undefined{x}$",
    r"$\href{javascript:window.__ran=1}{x}$",
    r"$\def\a{\a\a}\a$",
]
_PICTURE = b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")


def _page(texts: list[str]) -> HttpResponse:
    body = "".join(
        f"<section id='text-{index}'>{render(text, prefix=f'text-{index}', resolve=resolve_all).html}</section>"
        for index, text in enumerate(texts)
    )
    return HttpResponse(
        f'<!doctype html><html lang="en"><title>Texts</title><body><main>{body}</main>'
        f'<script type="module" src="/static/js/math.js"></script>'
    )


def show_vectors(request: HttpRequest) -> HttpResponse:
    return _page(xss_vectors())


def show_formulas(request: HttpRequest) -> HttpResponse:
    return _page(FORMULAS)


def picture(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_PICTURE, content_type="image/gif")


urlpatterns = [
    path("vectors/", show_vectors),
    path("formulas/", show_formulas),
    re_path("", picture),
]
