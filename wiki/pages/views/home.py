"""Home: the models, and heads to begin with."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from wiki.components.models import LanguageModel
from wiki.experiments.progress import Progress, progress_of_models
from wiki.texts.access import Person, pages_visible_to
from wiki.texts.addresses import address_of
from wiki.texts.models import Kind, Visibility

from ..access import may_add_models
from ..beginnings import Beginning, beginnings_of, why_no_beginning
from ..responses import data_response, progress_response

GUIDE = "guide"  # the tag of articles for who is new
N_GUIDES, N_ARTICLES = 3, 6


@dataclasses.dataclass(frozen=True)
class Row:
    """A model as home lists it."""

    model: LanguageModel
    progress: list[Progress]  # of its pinned surveys

    @functools.cached_property
    def beginnings(self) -> list[Beginning]:
        return beginnings_of(self.model)

    @property
    def n_finished(self) -> int:
        return sum(item.finished for item in self.progress)

    @property
    def n_pinned(self) -> int:
        return len(self.progress)

    @property
    def unfinished(self) -> list[Progress]:
        return [item for item in self.progress if not item.finished]

    @property
    def no_beginning(self) -> str:
        return why_no_beginning(self.model, self.progress)

    def to_json(self) -> dict[str, Any]:
        model = self.model
        return {
            "slug": model.slug,
            "title": model.title,
            "hash": model.hash,
            "url": model.get_absolute_url(),
            "n_parameters": model.n_parameters,
            "n_layers": model.n_layers,
            "n_all_heads": model.n_all_heads,
            "n_all_neurons": model.n_all_neurons,
            "surveys": {
                "finished": self.n_finished,
                "pinned": self.n_pinned,
                "unfinished": [
                    {
                        "survey": item.survey.hash,
                        "dataset": item.survey.dataset,
                        "rows_done": item.rows_done,
                        "rows": item.rows,
                        "progress": item.sentence,
                    }
                    for item in self.unfinished
                ],
            },
            "begin_with": [beginning.to_json() for beginning in self.beginnings],
        }


def _rows() -> list[Row]:
    models = list(LanguageModel.objects.prefetch_related("pins__survey"))
    progress = progress_of_models(models)
    return [Row(model, progress[model.slug]) for model in models]


def _n_finished(rows: list[Row]) -> int:
    return sum(row.n_finished for row in rows)


def _progress_context(rows: list[Row]) -> dict[str, Any]:
    """The models of which something is not finished, and where the page asks how far they are: empty when nothing can
    change any more."""
    pending = any(not item.failed for row in rows for item in row.unfinished)
    return {
        "measuring": [row for row in rows if row.unfinished],
        "poll_url": reverse("home-progress", query={"seen": _n_finished(rows)}) if pending else "",
    }


def _articles_context(user: Person) -> dict[str, Any]:
    """Guides to begin with, and the articles that changed last."""
    articles = pages_visible_to(user).filter(kind=Kind.ARTICLE, visibility=Visibility.PUBLISHED)
    guides = articles.filter(tags__name=GUIDE).order_by("created_at", "pk")[:N_GUIDES]
    newest = articles.select_related("current__author").order_by("-updated_at", "-pk")[:N_ARTICLES]
    return {
        "guides": [(page.title, address_of(page)) for page in guides],
        "articles": [(page.title, address_of(page), page.current) for page in newest],
    }


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    rows = _rows()
    context = {
        "rows": rows,
        **_progress_context(rows),
        "n_layers": sum(row.model.n_layers for row in rows),
        "n_heads": sum(row.model.n_all_heads for row in rows),
        "n_neurons": sum(row.model.n_all_neurons for row in rows),
        **_articles_context(request.user),
        "may_add": may_add_models(request.user),
        "json_url": reverse("home-json"),
    }
    return render(request, "pages/home.html", context)


@require_safe
def home_progress(request: HttpRequest) -> HttpResponse:
    """How far the surveys of all models are: a fragment."""
    rows = _rows()
    landed = request.GET.get("seen", "") not in ("", str(_n_finished(rows)))
    return progress_response(request, _progress_context(rows), landed=landed, template="pages/_home_progress.html")


@require_safe
def home_json(request: HttpRequest) -> JsonResponse:
    return data_response({"models": [row.to_json() for row in _rows()]})
