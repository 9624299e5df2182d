"""Pages that say what went wrong in one sentence."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string


class NotFound(Http404):
    """Nothing is at this address; the jump box keeps what was typed, and the model it was typed for."""

    def __init__(self, sentence: str, *, typed: str = "", slug: str = "") -> None:
        super().__init__(sentence)
        self.typed = typed
        self.slug = slug


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    reason = exception.args[0] if exception.args else None
    sentence = reason if isinstance(reason, str) else f"There is no page at {request.path}."
    if request.path.endswith(".json"):
        return JsonResponse({"error": sentence}, status=404)
    context = {
        "sentence": sentence,
        "typed": getattr(exception, "typed", ""),
        "jump_model": getattr(exception, "slug", ""),
    }
    return render(request, "404.html", context, status=404)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "403.html", {"sentence": str(exception) or "You may not do this."}, status=403)


def refused_without_token(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was sent without this site's token; Django's own page for it breaks our security policy."""
    sentence = "Sending a form: expected one from this site, got one without its token. Go back, reload and try again."
    typed = next(filter(None, (request.POST.get(name) for name in ("text", "reason", "answer"))), "")
    return render(request, "403.html", {"sentence": sentence, "typed_text": typed}, status=403)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig):
        megabytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE / 2**20
        sentence = f"Sending a form: expected at most {megabytes:.1f} MB, got more. Go back and send less."
        return HttpResponse(render_to_string("400.html", {"sentence": sentence}), status=400)
    return HttpResponse("This request cannot be read.", content_type="text/plain", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    # Without the request: no context processor, query or static file may fail once more while saying so.
    return HttpResponse(render_to_string("500.html"), status=500)
