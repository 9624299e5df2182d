"""What somebody may mean who begins to type a link or a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from analysis.metrics import METRICS
from analysis.schema import SLUG, Component, SchemaError
from wiki.accounts.access import people_visible_to
from wiki.components.completing import components_like
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment
from wiki.lib.prefix import begins_with

from .access import Person, pages_visible_to
from .experiments import LEAST_DIGITS
from .models import Alias
from .targets import key_of

LIMIT = 10
LONGEST = 100  # characters that are looked for


@dataclasses.dataclass(frozen=True)
class Completion:
    """One of the things that may be meant."""

    insert: str  # what stands in the link, or after @
    label: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return dataclasses.asdict(self)


def complete_link(typed: str, *, user: Person, model_slug: str) -> list[Completion]:
    """Components and models, then articles that `user` may see; behind `x:` experiments. Five queries at most."""
    if typed.startswith("x:"):
        return _experiments(typed)
    found = complete_embed(typed, model_slug=model_slug)
    return (found + _articles(typed, user=user))[:LIMIT]


def complete_embed(typed: str, *, model_slug: str) -> list[Completion]:
    """Components and models; behind a `?` the metrics of the component, behind `x:` experiments. Three queries at
    most."""
    if typed.startswith("x:"):
        return _experiments(typed)
    target, question, query = typed.partition("?")
    if question:
        return list(_metrics(target, query))[:LIMIT]
    slug, slash, name = (part.strip() for part in typed.rpartition("/"))
    here = _model(model_slug) if not slash else None
    beginning = slug if slash else name
    if slash:
        models = _models(beginning)
        return list(_components(models, name))[:LIMIT]
    named = _models(beginning) if beginning else []
    found = list(_components_here(here, name)) if here else []
    found += [Completion(model.slug, model.slug, model.title) for model in named]
    if len(found) < LIMIT and not named and name:
        others = LanguageModel.objects.exclude(pk__in=[here.pk] if here else []).order_by("slug")[:LIMIT]
        found += _components(others, name)
    return found[:LIMIT]


def complete_person(typed: str, *, user: Person) -> list[Completion]:
    """People by the beginning of their name. One query."""
    people = people_visible_to(user).filter(begins_with("username", typed)).order_by("username")[:LIMIT]
    return [Completion(person.username, f"@{person.username}", person.shown_name) for person in people]


def _model(slug: str) -> LanguageModel | None:
    return LanguageModel.objects.filter(slug=slug).first() if SLUG.fullmatch(slug) else None


def _models(beginning: str) -> list[LanguageModel]:
    """Those whose slugs begin so, the one of exactly this slug first."""
    return list(LanguageModel.objects.filter(begins_with("slug", beginning)).order_by("slug")[:LIMIT])


def _components_here(model: LanguageModel, name: str) -> Iterator[Completion]:
    for component in components_like(name, model.sizes, limit=LIMIT):
        yield Completion(str(component), str(component), f"{component.kind.value} of {model.title}")


def _components(models: Iterable[LanguageModel], name: str) -> Iterator[Completion]:
    for model in models:
        if not name:
            yield Completion(model.slug, model.slug, model.title)
        for component in components_like(name, model.sizes, limit=LIMIT) if name else []:
            words = f"{model.slug}/{component}"
            yield Completion(words, words, f"{component.kind.value} of {model.title}")


def _articles(typed: str, *, user: Person) -> list[Completion]:
    """Articles by the beginning of a title that they have or had."""
    key = key_of(typed)
    if not key:
        return []
    # some of the first may be hidden from who asks
    aliases = Alias.objects.filter(begins_with("key", key)).order_by("key").values_list("page_id")[: 3 * LIMIT]
    pages = pages_visible_to(user).in_bulk([pk for (pk,) in aliases])
    found = dict.fromkeys(pages[pk] for (pk,) in aliases if pk in pages)
    return [Completion(page.title, page.title, "article") for page in found]


def _experiments(typed: str) -> list[Completion]:
    """The newest whose hashes begin so."""
    found = Experiment.objects.filter(begins_with("hash", typed[2:])).defer("spec")[:LIMIT]
    named = [(f"x:{each.hash[:LEAST_DIGITS]}", each) for each in found]
    return [Completion(name, each.title or name, f"experiment on {each.model_id}, {name}") for name, each in named]


def _metrics(target: str, query: str) -> Iterator[Completion]:
    """The numbers that a component has, for an embed of one."""
    try:
        kind = Component.parse(target.rpartition("/")[2]).kind
    except SchemaError:
        return
    for metric in METRICS:
        parameter = f"metric={metric.key}"
        if metric.component is kind and parameter.startswith(query):
            yield Completion(f"{target}?{parameter}", parameter, metric.label)
