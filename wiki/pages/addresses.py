"""From what people type to a model, a component and its page."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.urls import reverse

from analysis.schema import SLUG, Component, ComponentKind, SchemaError
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.lib.prepared import objects

from .errors import NotFound

# No name of a model is longer.
MAX_NAME = 200
# Models that a jump lists.
MAX_LISTED = 100


def find_model(slug: str) -> LanguageModel | None:
    """The model of this slug. What cannot be a slug never reaches the database, which may refuse it."""
    return next(iter(objects(_of_slug, slug)), None) if SLUG.fullmatch(slug) else None


def _of_slug(slug: str) -> QuerySet[LanguageModel]:
    return LanguageModel.objects.filter(slug=slug)


def models_like(text: str) -> list[LanguageModel]:
    """The models with this part in their slug or title, in any case; the one of exactly this slug alone."""
    if model := find_model(text):
        return [model]
    if not text or "\0" in text or len(text) > MAX_NAME:
        return []
    named = Q(slug__icontains=text) | Q(title__icontains=text)
    return list(LanguageModel.objects.filter(named).order_by("slug")[:MAX_LISTED])


def get_model(slug: str) -> LanguageModel:
    model = find_model(slug)
    if model is None:
        raise NotFound(f"Looking for the model “{slug}”: no model of that name is here.", typed=slug)
    return model


def require_component(model: LanguageModel, component: Component) -> None:
    """404 with a sentence unless the model's sizes allow the component."""
    if not component.exists_in(model.sizes):
        raise NotFound(
            f"Looking for {component} in {model.slug}: it has layers 0 to {model.n_layers - 1} "
            f"and {_last_part(model, component)}.",
            typed=str(component),
            slug=model.slug,
        )


def _last_part(model: LanguageModel, component: Component) -> str:
    if component.kind is ComponentKind.NEURON:
        if not model.d_mlp:
            return "no neurons, for they are attention alone"
        return f"neurons 0 to {model.d_mlp - 1}"
    if component.kind is ComponentKind.KV_HEAD:
        return f"KV heads 0 to {model.n_kv_heads - 1}"
    return f"heads 0 to {model.n_heads - 1}"


def parse_component(model: LanguageModel, text: str) -> Component:
    """The component of `model` that `text` names in any notation; 404 with a sentence where there is none."""
    try:
        component = Component.parse(text)
    except SchemaError as error:
        raise NotFound(str(error), typed=text, slug=model.slug) from error
    require_component(model, component)
    return component


def url_of(text: str, *, slug: str) -> str:
    """The page that a jump to `text` leads to: a model, `model/component`, or a component of the model at hand; for the
    model a part of its name will do."""
    if find_model(text):
        return reverse("model", args=[text])
    typed_slug, slash, name = text.rpartition("/")
    if slash:
        model, text = _model_like(typed_slug.strip()), name.strip()
    else:
        model = get_model(slug) if slug else _only_model(text)
    return component_url(model, parse_component(model, text))


def _model_like(text: str) -> LanguageModel:
    models = models_like(text)
    if len(models) > 1:
        slugs = ", ".join(model.slug for model in models[:5])
        raise NotFound(
            f"Looking for the model “{text}”: expected one with that in its name, got {len(models)}: {slugs}"
            f"{', …' if len(models) > 5 else ''}.",
            typed=text,
        )
    return models[0] if models else get_model(text)


def _only_model(text: str) -> LanguageModel:
    models = list(LanguageModel.objects.all()[:2])
    if len(models) == 1:
        return models[0]
    raise NotFound(
        f"To go to a component, name its model too: expected something like model/L5H1, got “{text}”.",
        typed=text,
    )


def neighbours(model: LanguageModel, component: Component) -> tuple[Component | None, Component | None]:
    """The heads or neurons before and after one, going on from the last of a layer to the first of the next."""
    of_layer = model.d_mlp if component.kind is ComponentKind.NEURON else model.n_heads
    number = component.neuron if component.kind is ComponentKind.NEURON else component.head
    assert number is not None
    index = component.layer * of_layer + number
    before, after = (_component_at(model, index + step, kind=component.kind) for step in (-1, 1))
    return before, after


def _component_at(model: LanguageModel, index: int, *, kind: ComponentKind) -> Component | None:
    of_layer = model.d_mlp if kind is ComponentKind.NEURON else model.n_heads
    if not 0 <= index < model.n_layers * of_layer:
        return None
    layer, number = divmod(index, of_layer)
    return Component(layer, **{kind.value: number})


def kv_siblings(model: LanguageModel, component: Component) -> list[Component]:
    """The other heads that read the same keys and values; none where every head has its own."""
    return [head for head in readers_of(model, kv_head_of(model, component)) if head != component]


def kv_head_of(model: LanguageModel, component: Component) -> Component:
    """The KV head whose keys and values a head reads."""
    return Component(component.layer, kv_head=model.kv_head(component))


def readers_of(model: LanguageModel, kv_head: Component) -> list[Component]:
    """The heads that read a KV head."""
    return [head for head in model.heads(kv_head.layer) if model.kv_head(head) == kv_head.kv_head]
