"""Pages that everybody sees, kept while what they are made of stays the same.

A page is kept under its address and the version of its model: which surveys are pinned and when they, the reading of
weights and the text that the address names were finished, how often what people say there was changed, and on how many
parts somebody works. Where any measuring of that is still under way nothing is kept.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse

from analysis.schema import JobKind, PromotedSpec, content_hash
from wiki.coverage.models import Work
from wiki.experiments.models import Job, Measurement, Pin
from wiki.experiments.results import n_failures
from wiki.experiments.texts import is_name
from wiki.lib.prepared import rows
from wiki.texts.models import TextsVersion

from .reading import reading_once

KEPT_SECONDS = 86_400
# Pages are compressed once, when they are kept; they hold no secret and no form.
GZIP_LEVEL = 1
# Longer queries are not kept: nobody needs so long a one twice.
MAX_QUERY = 200
# A browser may keep the page, and asks each time whether it is still the same (ETag).
CACHE_CONTROL = "no-cache"

View = Callable[..., HttpResponse]


def cached_page(*parameters: str) -> Callable[[View], View]:
    """Keep the answers of a view of a model's part (`slug`, and `prompt_hash` of a text) for anonymous readers.

    Only whole pages without a form, only those during which nothing turned out to be unreadable, and only under
    queries of these parameters, each once: what the page does not know would keep the same page again and again.
    """

    def keeping(kept_view: View) -> View:
        @functools.wraps(kept_view)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            with reading_once():  # texts on the page embed what the page shows itself
                return kept_view(request, *args, **kwargs)

        @functools.wraps(view)
        def cached_view(request: HttpRequest, *args: Any, slug: str, **kwargs: Any) -> HttpResponse:
            may_keep = _may_keep(request, parameters)
            text = kwargs.get("prompt_hash") or request.GET.get("text", "")
            version = _version(slug, text) if may_keep else ""
            if not version:
                return view(request, *args, slug=slug, **kwargs)
            key = f"page:{hashlib.sha256(f'{request.get_full_path()} {version}'.encode()).hexdigest()}"
            if kept := cache.get(key):
                return _answer(request, *kept)
            failures = n_failures()
            response = view(request, *args, slug=slug, **kwargs)
            if n_failures() == failures and _may_be_kept(request, response):
                # weak, because it names the page and not its compressed bytes
                etag = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
                zipped = gzip.compress(response.content, compresslevel=GZIP_LEVEL, mtime=0)
                kept = zipped, response["Content-Type"], etag
                cache.set(key, kept, timeout=KEPT_SECONDS)
                return _answer(request, *kept)
            return response

        return cached_view

    return keeping


def _answer(request: HttpRequest, zipped: bytes, content_type: str, etag: str) -> HttpResponse:
    """A kept page, compressed for who reads that."""
    accepts = "gzip" in request.META.get("HTTP_ACCEPT_ENCODING", "")
    response = HttpResponse(zipped if accepts else gzip.decompress(zipped), content_type=content_type)
    if accepts:
        response["Content-Encoding"] = "gzip"
    response["ETag"], response["Cache-Control"], response["Vary"] = etag, CACHE_CONTROL, "Accept-Encoding, Cookie"
    return response


def _may_keep(request: HttpRequest, parameters: Collection[str]) -> bool:
    """Whether the answer is the same for everybody and somebody may want it twice. A survey that the URL names
    (`?survey=`) is not in the version."""
    return (
        request.method in ("GET", "HEAD")
        and settings.SESSION_COOKIE_NAME not in request.COOKIES
        and len(request.META.get("QUERY_STRING", "")) <= MAX_QUERY
        and all(name in parameters and name != "survey" and len(values) == 1 for name, values in request.GET.lists())
    )


def _may_be_kept(request: HttpRequest, response: HttpResponse) -> bool:
    has_form = request.META.get("CSRF_COOKIE_NEEDS_UPDATE", False)  # set where a token was asked for
    return response.status_code == 200 and not has_form and not response.cookies and "Cache-Control" not in response


def _version(slug: str, text: str) -> str:
    """What a model's pages are made of, in one hash; empty while something of it is under way, or where there is
    nothing. `text` is the name of a person's own text, or anything else."""
    if "\0" in slug or len(slug) > 100:
        return ""
    surveys, weights, texts = rows(_pins, slug), rows(_weights, slug), _texts(slug, text)
    under_way = any(row[2] is None for row in surveys) or any(
        finished_at is None and state != Job.State.FAILED for _, _, finished_at, state in [*weights, *texts]
    )
    if not surveys or under_way:
        return ""
    return content_hash([code_fingerprint(), *(list(map(str, row)) for row in [*surveys, *weights, *texts])])


_FIELDS = ("hash", "asked_at", "finished_at", "job__state")


def _pins(slug: str) -> QuerySet[Pin, Any]:
    """With each pin the number of changes of texts, and on how many parts somebody works: one query."""
    said = TextsVersion.objects.filter(scope=OuterRef("model")).values("n")
    works = Work.objects.filter(model_slug=OuterRef("model"), until__gt=Now(), user__is_active=True)
    worked = works.order_by().values("model_slug").annotate(n=Count("id")).values("n")
    pins = Pin.objects.filter(model=slug).order_by("dataset", "id")
    pins = pins.annotate(said=Subquery(said), worked=Subquery(worked))
    return pins.values_list("model__hash", "survey_id", "survey__finished_at", "said", "worked")


def _weights(slug: str) -> QuerySet[Measurement, Any]:
    found = Measurement.objects.filter(kind=JobKind.WEIGHTS.value, model=slug)
    return found.order_by("hash").values_list(*_FIELDS)


def _prompts(slug: str, first: str, end: str) -> QuerySet[Measurement, Any]:
    found = Measurement.objects.filter(kind=JobKind.PROMPT.value, model=slug, hash__gte=first, hash__lt=end)
    return found.order_by("hash").values_list(*_FIELDS, "spec")


def _of_hash(name: str) -> QuerySet[Measurement, Any]:
    return Measurement.objects.filter(hash=name).order_by("hash").values_list(*_FIELDS)


def _texts(slug: str, name: str) -> list[tuple[Any, ...]]:
    """The text of that name and what follows from it; an empty row for what nobody has asked for yet."""
    if not is_name(name):
        return []
    found = []
    for *prompt, spec in rows(_prompts, slug, name, f"{name}g"):  # g: behind every hexadecimal digit
        promoted = PromotedSpec.from_json(json.loads(spec)).hash
        found += [tuple(prompt), *(rows(_of_hash, promoted) or [("", None, None, "")])]
    return found


@functools.cache
def code_fingerprint() -> str:
    """The code and templates that make pages, and the names of the static files, in one hash: read once a process."""
    digest = hashlib.sha256()
    for folder in (Path(settings.BASE_DIR) / "wiki", Path(settings.BASE_DIR) / "analysis"):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".html", ".svg"):
                digest.update(f"{path.relative_to(folder)} ".encode() + path.read_bytes())
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    digest.update(manifest.read_bytes() if manifest.is_file() else b"")
    return digest.hexdigest()
