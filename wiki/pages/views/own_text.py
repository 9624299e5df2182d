"""A text of one's own: the form, its permalink, and who attends where on it or on a text that a survey kept."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from analysis.schema import Component, ComponentKind, JobKind, SchemaError
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement
from wiki.experiments.results import KeptTexts, StoreError, open_prompt
from wiki.experiments.texts import (
    KEPT_DAYS,
    ask_for_prompt,
    find_prompt,
    is_at_hand,
    progress_of_promoted,
    progress_of_prompt,
)

from ..addresses import get_model, require_component
from ..attention import Text
from ..caching import cached_page
from ..errors import NotFound
from ..immutable import immutable_bytes, immutable_promoted
from ..limits import TEXTS_A_MINUTE, seconds_to_wait
from ..own_text import (
    LINK_DIGITS,
    MAX_CHARACTERS,
    OwnText,
    OwnTextError,
    get_prompt,
    kept_texts,
    measured_text,
    read_text,
)
from ..responses import data_response, page_response
from ..who_attends import read_pair, source_of, who_attends, who_attends_json

# What lies at an address with a text's hash never changes.
# The part of a component's page that shows a text.
SHOWN_AT = {ComponentKind.LAYER: "patterns", ComponentKind.NEURON: "own-text"}


@require_http_methods(["GET", "HEAD", "POST"])
def text_form(request: HttpRequest, slug: str) -> HttpResponse:
    """Type a text, or choose one that a survey kept."""
    model = get_model(slug)
    if request.method != "POST":
        return _form(request, model, typed=_prefilled(request, model))
    typed = request.POST.get("text", "")
    try:
        text = read_text(typed)
    except OwnTextError as error:
        return _form(request, model, typed=typed, refusal=str(error), status=400)
    if not is_at_hand(model, text) and (wait := seconds_to_wait(request)):
        refusal = (
            f"Measuring your text: expected at most {TEXTS_A_MINUTE} new texts a minute, got more; "
            f"ask again in {wait} second{'s' if wait > 1 else ''}. Your text is still here."
        )
        response = _form(request, model, typed=typed, refusal=refusal, status=429)
        response["Retry-After"] = str(wait)
        return response
    prompt = ask_for_prompt(model, text)
    return HttpResponseRedirect(_address(model, prompt, next_part=request.POST.get("next", "")))


def _prefilled(request: HttpRequest, model: LanguageModel) -> str:
    """The text of `?text=`, or that of the measured text which `?again=` names."""
    again = find_prompt(model, request.GET.get("again", ""))
    return str(again.spec["text"]) if again else request.GET.get("text", "")


def _form(
    request: HttpRequest, model: LanguageModel, *, typed: str, refusal: str = "", status: int = 200
) -> HttpResponse:
    asked = request.POST if request.method == "POST" else request.GET
    context = {
        "model": model,
        "jump_model": model.slug,
        "typed_text": typed,
        "refusal": refusal,
        "next_part": _next_part(model, asked.get("next", "")),
        "texts": kept_texts(model),
        **_limits(),
    }
    response = render(request, "pages/text_form.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _limits() -> dict[str, Any]:
    return {"max_characters": MAX_CHARACTERS, "kept_days": KEPT_DAYS, "texts_a_minute": TEXTS_A_MINUTE}


def _next_part(model: LanguageModel, name: str) -> Component | None:
    """The component that somebody came from; what names none is ignored."""
    try:
        component = Component.parse(name) if name else None
    except SchemaError:
        return None
    return component if component and component.exists_in(model.sizes) else None


def _address(model: LanguageModel, prompt: Measurement, *, next_part: str) -> str:
    """Where to look at a text: its permalink, or the page of the component that somebody came from."""
    component = _next_part(model, next_part)
    permalink = reverse("own-text-page", args=[model.slug, prompt.hash])
    if component is None:
        return permalink
    if prompt.finished_at is None:
        return f"{permalink}?next={component}"
    try:
        part = SHOWN_AT.get(component.kind, "attends")
        return f"{component_url(model, component)}?text={prompt.hash[:LINK_DIGITS]}#{part}"
    except NotFound:  # a kind of component without pages
        return permalink


@require_safe
def forms_json(request: HttpRequest, slug: str) -> JsonResponse:
    """The texts that surveys kept, and what may be typed."""
    model = get_model(slug)
    texts = [
        {"text": text.key, "title": text.row.title, "tokens": text.row.tokens, "page": _kept_url(model, text)}
        for text in kept_texts(model)
    ]
    return data_response({"model": {"slug": model.slug, "hash": model.hash}, "texts": texts, **_limits()})


def _kept_url(model: LanguageModel, text: Text) -> str:
    return reverse("kept-text", args=[model.slug, text.result.spec.dataset, text.row.index])


@require_safe
@cached_page("q", "k", "all")
def text_page(request: HttpRequest, slug: str, prompt_hash: str) -> HttpResponse:
    model = get_model(slug)
    prompt = get_prompt(model, prompt_hash)
    next_part = request.GET.get("next", "")
    if prompt_hash != prompt.hash:
        return _redirect_to_whole(request, "own-text-page", model, prompt)
    if prompt.finished_at and _next_part(model, next_part):
        return HttpResponseRedirect(_address(model, prompt, next_part=next_part))
    text = measured_text(prompt) if prompt.finished_at else None
    if text is None:
        return _waiting_page(request, model, prompt)
    links = {
        "json_url": reverse("own-text-json", args=[slug, prompt.hash]),
        "again_url": f"{reverse('own-text', args=[slug])}?again={prompt.hash[:LINK_DIGITS]}",
    }
    return _pair_page(request, model, text, prompt=prompt, kept_days=KEPT_DAYS, **links)


def _redirect_to_whole(
    request: HttpRequest, name: str, model: LanguageModel, prompt: Measurement
) -> HttpResponseRedirect:
    query = request.META.get("QUERY_STRING", "")
    return HttpResponseRedirect(reverse(name, args=[model.slug, prompt.hash]) + (f"?{query}" if query else ""))


def _waiting_page(request: HttpRequest, model: LanguageModel, prompt: Measurement) -> HttpResponse:
    context = {"model": model, "jump_model": model.slug, "prompt": prompt, **_progress_context(request, model, prompt)}
    response = render(request, "pages/text_waiting.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _progress_context(request: HttpRequest, model: LanguageModel, prompt: Measurement) -> dict[str, Any]:
    progress = progress_of_prompt(prompt)
    # finished, and yet nobody shows it: it is not readable any more
    lost = progress.finished and measured_text(prompt) is None
    moves = not (progress.finished or progress.failed)
    next_part = _next_part(model, request.GET.get("next", ""))
    query = f"?next={next_part}" if next_part else ""
    return {
        "progress": progress,
        "lost": lost,
        "landed": progress.finished and not lost,
        "poll_url": reverse("own-text-progress", args=[model.slug, prompt.hash]) + query if moves else "",
        "page_url": reverse("own-text-page", args=[model.slug, prompt.hash]) + query,
        "next_part": next_part,
        "typed_text": prompt.spec["text"],
        **_limits(),
    }


@require_safe
def text_progress(request: HttpRequest, slug: str, prompt_hash: str) -> HttpResponse:
    """The progress fragment; where the text is measured it says so and wakes `survey-progress.js`."""
    model = get_model(slug)
    prompt = get_prompt(model, prompt_hash)
    context = {"model": model, "prompt": prompt, **_progress_context(request, model, prompt)}
    response = render(request, "pages/_text_progress.html", context)
    if context["landed"]:
        response["HX-Trigger"] = "landed"
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def promoted_progress(request: HttpRequest, slug: str, prompt_hash: str) -> HttpResponse:
    """How far the tokens that heads promote on a text are; where they are there it wakes `survey-progress.js`."""
    prompt = get_prompt(get_model(slug), prompt_hash)
    progress = progress_of_promoted(prompt)
    moves = not (progress.finished or progress.failed)
    context = {
        "landed": progress.finished,
        "sentence": progress.sentence if moves else f"Not computed: {progress.sentence}",
        "poll_url": reverse("own-promoted-progress", args=[slug, prompt.hash]) if moves else "",
    }
    response = render(request, "pages/_promoted_progress.html", context)
    if progress.finished:
        response["HX-Trigger"] = "landed"
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@cached_page("q", "k", "all")
def kept_text_page(request: HttpRequest, slug: str, dataset: str, row: int) -> HttpResponse:
    model = get_model(slug)
    text = _get_kept(model, dataset, row)
    return _pair_page(request, model, text, json_url=reverse("kept-text-json", args=[slug, dataset, row]))


def _get_kept(model: LanguageModel, dataset: str, row: int) -> Text:
    texts = kept_texts(model)
    for text in texts:
        if text.key == f"{dataset}.{row}":
            return text
    known = ", ".join(text.key for text in texts) or "none, for no survey has kept one yet"
    raise NotFound(
        f"Looking for the kept text {dataset[:80]}.{row} of {model.slug}: expected one of {known}.", slug=model.slug
    )


def _pair_page(request: HttpRequest, model: LanguageModel, text: Text, **context: Any) -> HttpResponse:
    pair = read_pair(text, query=request.GET.get("q", ""), key=request.GET.get("k", ""))
    show_all = request.GET.get("all") == "1"
    try:
        view, error = who_attends(model, text, pair, all_rows=show_all), ""
    except StoreError as failure:
        view, error = None, str(failure)
    context |= {
        "model": model,
        "jump_model": model.slug,
        "text": text,
        "pair": pair,
        "view": view,
        "error": error,
        "show_all": show_all,
        "source": source_of(text, digits=8),
        "json_query": request.META.get("QUERY_STRING", ""),
        "own": isinstance(text, OwnText),
    }
    return page_response(request, "pages/text.html", context, missing=bool(pair.missing))


@require_safe
def text_json(request: HttpRequest, slug: str, prompt_hash: str) -> HttpResponse:
    model = get_model(slug)
    prompt = get_prompt(model, prompt_hash)
    if prompt_hash != prompt.hash:
        return _redirect_to_whole(request, "own-text-json", model, prompt)
    text = measured_text(prompt) if prompt.finished_at else None
    if text is None:
        progress = progress_of_prompt(prompt)
        sentence = progress.sentence or "What was measured is lost or damaged; ask for the text again."
        data = {"text": prompt.hash, "spec": prompt.spec, "finished": False, "progress": sentence}
        return data_response(data)
    own = {"spec": prompt.spec, "finished": True, "provenance": text.result.artifact.meta["provenance"]}
    return _pair_json(request, model, text, own)


@require_safe
def kept_text_json(request: HttpRequest, slug: str, dataset: str, row: int) -> HttpResponse:
    model = get_model(slug)
    text = _get_kept(model, dataset, row)
    return _pair_json(request, model, text, {"provenance": text.result.provenance})


def _pair_json(request: HttpRequest, model: LanguageModel, text: Text, more: dict[str, Any]) -> JsonResponse:
    pair = read_pair(text, query=request.GET.get("q", ""), key=request.GET.get("k", ""))
    if pair.missing:
        raise NotFound(
            f"Reading who attends: expected a query and a key at or before it (q=, k=), got {pair.missing}.",
            slug=model.slug,
        )
    try:
        return data_response(who_attends_json(model, text, pair) | more)
    except StoreError as error:
        return JsonResponse({"error": str(error)}, status=404)


def _measured(prompt_hash: str, component: Component) -> tuple[LanguageModel, KeptTexts]:
    """The model and what was measured on a text, where the component exists; else 404 with a sentence."""
    prompt = Measurement.objects.select_related("model").filter(pk=prompt_hash, kind=JobKind.PROMPT.value).first()
    if prompt is None or prompt.model is None:
        raise NotFound(f"Looking for the text {prompt_hash[:12]}: no text of that hash is here.")
    require_component(prompt.model, component)
    if prompt.finished_at is None:
        raise NotFound(f"The text {prompt_hash[:12]} is not measured yet: {progress_of_prompt(prompt).sentence}")
    try:
        return prompt.model, open_prompt(prompt)
    except StoreError as error:
        raise NotFound(str(error)) from error


@require_safe
def own_pattern_bytes(request: HttpRequest, prompt_hash: str, component: Component) -> HttpResponse:
    """A head's attention on a person's own text: n × n bytes, row by row, 255 for 1."""
    _, result = _measured(prompt_hash, component)
    return immutable_bytes(lambda: result.pattern(0, component))


@require_safe
def own_layer_pattern_bytes(request: HttpRequest, prompt_hash: str, component: Component) -> HttpResponse:
    """The attention of all heads of a layer on a person's own text: head × n × n bytes, 255 for 1."""
    _, result = _measured(prompt_hash, component)
    return immutable_bytes(lambda: result.layer_patterns(0, component.layer))


@require_safe
def own_value_norm_bytes(request: HttpRequest, prompt_hash: str, component: Component) -> HttpResponse:
    """How long a vector a head writes for each key that it attends to fully: n float32, little-endian."""
    _, result = _measured(prompt_hash, component)
    return immutable_bytes(lambda: result.value_norms(0, component).astype("<f4"))


@require_safe
def own_promoted_json(request: HttpRequest, prompt_hash: str, component: Component) -> JsonResponse:
    """The tokens that a head's output promotes at every query of a text, and by how much."""
    model, result = _measured(prompt_hash, component)
    missing = f"Looking for what {component} promotes on the text {prompt_hash[:12]}: not computed yet."
    return immutable_promoted(model, result, 0, component, missing=missing)
