"""Pages that everybody sees, kept while what they are made of stays the same.

A page is kept under its address and the version of its model: which surveys are pinned and when they, the reading of
weights and the text that the address names were finished, and how often what people say there was changed. Where any
measuring of that is still under way nothing is kept.
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
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse

from analysis.schema import JobKind, PromotedSpec, content_hash
from wiki.experiments.models import Job, Measurement, Pin
from wiki.experiments.results import n_failures
from wiki.experiments.texts import is_name
from wiki.texts.models import TextsVersion

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

    def keeping(view: View) -> View:
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
    surveys, weights, texts = _rows(_PINS, slug), _rows(_WEIGHTS, slug), _texts(slug, text)
    under_way = any(row[2] is None for row in surveys) or any(
        finished_at is None and state != Job.State.FAILED for _, _, finished_at, state in [*weights, *texts]
    )
    if not surveys or under_way:
        return ""
    return content_hash([code_fingerprint(), *(list(map(str, row)) for row in [*surveys, *weights, *texts])])


_FIELDS = ("hash", "asked_at", "finished_at", "job__state")
_PINS, _WEIGHTS, _TEXTS, _PROMOTED = "pins", "weights", "texts", "promoted"


@functools.cache
def _sql(of: str, _vendor: str) -> tuple[str, tuple[Any, ...]]:
    """A query for what belongs to `?0` (and lies from `?1` on and before `?2`), compiled once: that takes longer than
    asking."""
    match of:
        case "pins":
            # with each pin the number of changes of texts: one query
            said = TextsVersion.objects.filter(scope=OuterRef("model")).values("n")
            pins = Pin.objects.filter(model="?0").order_by("dataset", "id").annotate(said=Subquery(said))
            return pins.values_list("model__hash", "survey_id", "survey__finished_at", "said").query.sql_with_params()
        case "weights":
            found = Measurement.objects.filter(kind=JobKind.WEIGHTS.value, model="?0").values_list(*_FIELDS)
        case "texts":
            prompts = Measurement.objects.filter(kind=JobKind.PROMPT.value, model="?0", hash__gte="?1", hash__lt="?2")
            found = prompts.values_list(*_FIELDS, "spec")
        case _:
            found = Measurement.objects.filter(hash="?0").values_list(*_FIELDS)
    return found.order_by("hash").query.sql_with_params()


def _rows(of: str, *asked: str) -> list[tuple[Any, ...]]:
    sql, parameters = _sql(of, connection.vendor)
    places = {f"?{i}": value for i, value in enumerate(asked)}
    with connection.cursor() as cursor:
        cursor.execute(sql, [places.get(parameter, parameter) for parameter in parameters])
        return list(cursor.fetchall())


def _texts(slug: str, name: str) -> list[tuple[Any, ...]]:
    """The text of that name and what follows from it; an empty row for what nobody has asked for yet."""
    if not is_name(name):
        return []
    rows = []
    for *prompt, spec in _rows(_TEXTS, slug, name, f"{name}g"):  # g: behind every hexadecimal digit
        promoted = PromotedSpec.from_json(json.loads(spec)).hash
        rows += [tuple(prompt), *(_rows(_PROMOTED, promoted) or [("", None, None, "")])]
    return rows


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
