"""A head: what was measured of it, where it attends, and what it reads and writes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError

from ..addresses import get_model, kv_head_of, kv_siblings, neighbours, require_component
from ..attention import Text, attention_view, choose, missing_without_texts, require_choice, texts_of
from ..caching import cached_page
from ..composition import compositions_of
from ..examples import depth_of, examples_of, read_examples, read_histogram, require_interval
from ..figures import ON_CARDS, cards_of, rows_of
from ..footer import provenance_of
from ..head_tokens import head_tokens_of
from ..lead import extremes, telling_kind, too_few_metrics
from ..mass import mass_of
from ..measurements import Measurements, measurements_of
from ..numbers import percent
from ..promoted import WHAT, TokenTexts, promoted_by, token_texts_of
from ..responses import data_response, page_response
from ..similar import similar_heads
from ..state import NAMES, State
from ..who_attends import source_of
from ..written import notes_on_cells, written_of

# A head whose first token gets more than this share of its attention is said to rest there.
MOSTLY = 0.5


@require_safe
@cached_page(*NAMES)
def head_page(request: HttpRequest, slug: str, component: Component) -> HttpResponse:
    model = get_model(slug)
    require_component(model, component)
    state = State.of(request.GET.dict())
    measurements = measurements_of(model, survey=state.parts.get("survey", ""))
    values, absent = measurements.of_head(component)
    previous, following = neighbours(model, component)
    found = extremes(values, measurements.metrics)
    too_few = too_few_metrics(values, pending=measurements.pending)
    cards = cards_of(measurements, values, absent)
    token_texts = token_texts_of(model)
    written = written_of(measurements, component, user=request.user)
    viewer = _viewer_context(
        state,
        measurements,
        component,
        model=model,
        token_texts=token_texts,
        prefer=telling_kind(found),
    )
    context = {
        "model": model,
        "page_url": reverse("head", args=[model.slug, component]),
        "jump_model": model.slug,
        "component": component,
        "layer": Component(component.layer),
        "previous": previous,
        "next": following,
        "kv_head": kv_head_of(model, component),
        "kv_siblings": kv_siblings(model, component),
        "survey_state": State.of({"survey": state.parts.get("survey", "")}).query,
        "examples_query": State.of({name: state.parts.get(name, "") for name in ("survey", "examples")}).query,
        "measurements": measurements,
        "values": values,
        "absent": absent,
        "too_few": too_few,
        "extremes": [] if too_few else found,
        "cards": cards[:ON_CARDS],
        "others": cards[ON_CARDS:],
        "other_rows": rows_of(measurements, cards[ON_CARDS:]),
        "mass": mass_of(measurements, component),
        "examples": examples_of(measurements, model, component, state, token_texts),
        "tokens": head_tokens_of(measurements, component, token_texts),
        "compositions": compositions_of(measurements, model, component),
        "similar": similar_heads(measurements, component),
        "first_token_share": percent(values["first_token"].value) if "first_token" in values else None,
        "rests": "first_token" in values and values["first_token"].value > MOSTLY,
        "written": written,
        "provenance": provenance_of(measurements),
        "json_url": reverse("head-json", args=[model.slug, component], query=request.GET),
        **viewer,
        "cell_notes": notes_on_cells(written, viewer["choice"]) if viewer["view"] else [],
    }
    missing = context["missing"] or context["examples"].missing
    return page_response(request, "pages/head.html", context, missing=bool(missing))


def _viewer_context(
    state: State,
    measurements: Measurements,
    component: Component,
    *,
    model: LanguageModel,
    token_texts: TokenTexts,
    prefer: DatasetKind,
) -> dict[str, Any]:
    """The texts to choose from and the chosen view; instead of a view, the reason why there is none."""
    texts = texts_of(measurements, own=state.parts.get("text", ""))
    if not texts:
        return {"texts": [], "view": None, "missing": missing_without_texts(state)}
    choice = choose(texts, state, prefer=prefer)
    tabs = [(text.row.title, choice.url(text=text.key, q="", k=""), text.key == choice.text.key) for text in texts]
    context = {"texts": tabs, "choice": choice, "missing": choice.missing, "figure_state": choice.figure_query}
    try:
        view = attention_view(choice, component, texts, measurements)
        promoted = promoted_by(view, component, measurements, token_texts)
        return {**context, "view": view, "promoted": promoted, "what_promoted": WHAT}
    except StoreError as error:
        return {**context, "view": None, "view_error": str(error)}


@require_safe
def head_json(request: HttpRequest, slug: str, component: Component) -> JsonResponse:
    model = get_model(slug)
    require_component(model, component)
    state = State.of(request.GET.dict())
    require_interval(state.parts.get("examples", ""), component, model)
    measurements = measurements_of(model, survey=state.parts.get("survey", ""))
    values, absent = measurements.of_head(component)
    token_texts, texts = token_texts_of(model), texts_of(measurements, own=state.parts.get("text", ""))
    prefer = telling_kind(extremes(values, measurements.metrics))
    shown = _shown_json(state, measurements, component, texts, prefer=prefer, token_texts=token_texts)
    return data_response(
        {
            "component": str(component),
            "kv_head": model.kv_head(component),
            "metrics": {key: value.to_json() for key, value in values.items()},
            "absent": absent,
            "mass": mass_of(measurements, component).to_json(),
            "patterns": [_text_json(text, component) for text in texts],
            "shown": shown,
            **_examples_json(measurements, component, token_texts),
            **head_tokens_of(measurements, component, token_texts).to_json(),
            "composition": compositions_of(measurements, model, component).to_json(),
            "similar": similar_heads(measurements, component).to_json(),
            "texts": written_of(measurements, component, user=request.user).to_json(),
            "provenance": measurements.provenance_json(),
        }
    )


def _shown_json(
    state: State,
    measurements: Measurements,
    component: Component,
    texts: list[Text],
    *,
    prefer: DatasetKind,
    token_texts: TokenTexts,
) -> dict[str, Any] | None:
    """The view of the pattern that the URL chooses, as the page shows it; None where it names none and none is kept."""
    if not texts and not missing_without_texts(state):
        return None
    model, doing = measurements.model, f"Reading the data of {component}"
    choice = require_choice(texts, state, prefer=prefer, doing=doing, slug=model.slug)
    try:
        view = attention_view(choice, component, texts, measurements)
        promoted = promoted_by(view, component, measurements, token_texts).to_json()
    except StoreError as error:
        return {"text": choice.text.key, "absent": str(error)}
    return {**view.to_json(), "promoted": promoted, "source": source_of(choice.text)}


def _text_json(text: Text, component: Component) -> dict[str, Any]:
    data = text.to_json(component)
    try:
        has_promoted = text.result.promoted(text.row.index, component, 0) is not None
    except StoreError:
        has_promoted = False
    return data if has_promoted else data | {"promoted": None}


def _examples_json(measurements: Measurements, component: Component, token_texts: TokenTexts) -> dict[str, Any]:
    """All examples and the histogram, or why they are not there."""
    result, absent = depth_of(measurements)
    if result is None:
        return {"examples": {"absent": absent}, "histogram": {"absent": absent}}
    try:
        return {
            "examples": [example.to_json() for example in read_examples(result, component, token_texts)],
            "histogram": read_histogram(result, component).counts,
        }
    except StoreError as error:
        return {"examples": {"absent": str(error)}, "histogram": {"absent": str(error)}}
