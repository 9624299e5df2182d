"""What a query finds: components, models and people by name, texts by what they name and by their words.

A constant number of queries, whatever is found. Only what `user` may see; drafts are in no index.
"""

from __future__ import annotations

import dataclasses
import datetime

from django.db.models import F, Q, QuerySet

from analysis.schema import Component
from wiki.accounts.access import people_visible_to
from wiki.accounts.models import User
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.texts.access import Person, pages_visible_to
from wiki.texts.links import of_model
from wiki.texts.models import Alias, Kind, Link, Page, Tag
from wiki.texts.targets import key_of

from .indexing import match_of
from .models import Entry, Rank
from .queries import Named, Query

PAGE_SIZE = 20
# So many texts at most are put in an order, of more the newest; nobody turns to the fifty-first page.
MAX_TEXTS = 1000
MAX_NAMES = 8  # of components, models and people each


@dataclasses.dataclass(frozen=True)
class Filters:
    """What the address asks for beside the words; empty: everything."""

    kind: str = ""  # a Kind, or `component`, `model`, `person`
    model: str = ""  # slug
    author: str = ""  # username
    tag: str = ""
    since: datetime.date | None = None  # days on which the text was last changed, both included
    until: datetime.date | None = None

    @property
    def are_of_texts(self) -> bool:
        """Whether they leave only texts."""
        return bool(self.author or self.tag or self.since or self.until or self.kind in set(Kind))


@dataclasses.dataclass(frozen=True)
class FoundComponent:
    model: LanguageModel
    component: Component

    @property
    def target(self) -> str:
        """As links name it."""
        return f"{self.model.slug}/{self.component}"

    @property
    def url(self) -> str:
        return component_url(self.model, self.component)

    def is_named_by(self, named: Named) -> bool:
        return named.slug in ("", self.model.slug) and Component.parse(named.component) == self.component


@dataclasses.dataclass(frozen=True)
class Found:
    """What was found; `texts` are one page of it, in order."""

    components: list[FoundComponent]
    models: list[LanguageModel]
    people: list[User]
    texts: list[Page]
    n_texts: int
    is_cut: bool  # there are more texts than are counted

    @property
    def is_nothing(self) -> bool:
        return not (self.components or self.models or self.people or self.n_texts)


NOTHING = Found([], [], [], [], 0, is_cut=False)


def find(query: Query, filters: Filters, *, page: int, user: Person) -> Found:
    """What a query finds; `page` counts from 1, and names are found on the first alone."""
    models = list(LanguageModel.objects.all())
    components = components_named(query, models)
    if filters.model:
        components = [found for found in components if found.model.slug == filters.model]
    ranked = _ranked_texts(query, filters, components, user=user) if filters.kind in {"", *Kind} else []
    shown = ranked[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    pages = (
        pages_visible_to(user)
        .select_related("current__author", "author", "parent__author", "parent__parent__author")
        .prefetch_related("tags")
        .in_bulk(shown)
        if shown
        else {}
    )
    shows_names = page == 1 and not filters.are_of_texts and bool(query.words)
    return Found(
        components=components[:MAX_NAMES] if shows_names and filters.kind in ("", "component") else [],
        models=_models_named(query, models)[:MAX_NAMES]
        if shows_names and filters.kind in ("", "model") and not filters.model
        else [],
        people=_people_named(query, user=user)
        if shows_names and filters.kind in ("", "person") and not filters.model
        else [],
        texts=[pages[pk] for pk in shown if pk in pages],
        n_texts=min(len(ranked), MAX_TEXTS),
        is_cut=len(ranked) > MAX_TEXTS,
    )


def components_named(query: Query, models: list[LanguageModel]) -> list[FoundComponent]:
    """The components that a query names in any notation, of every model that has them where it names no model."""
    found: dict[FoundComponent, None] = {}
    for named in query.named:
        component = Component.parse(named.component)
        for model in models:
            if named.slug in ("", model.slug) and component.exists_in(model.sizes):
                found[FoundComponent(model, component)] = None
    return list(found)


def _models_named(query: Query, models: list[LanguageModel]) -> list[LanguageModel]:
    words = [word.casefold() for word in query.words]
    found = [model for model in models if all(word in f"{model.slug} {model.title}".casefold() for word in words)]
    return sorted(found, key=lambda model: ([model.slug] != words, model.slug))


def _people_named(query: Query, *, user: Person) -> list[User]:
    people = people_visible_to(user)
    for word in query.words:
        part = word.removeprefix("@")
        people = people.filter(Q(username__icontains=part) | Q(shown_name__icontains=part))
    return list(people.order_by("username")[:MAX_NAMES])


def _ranked_texts(query: Query, filters: Filters, components: list[FoundComponent], *, user: Person) -> list[int]:
    """The texts that a query finds, best first: the article of that very title, those that name the component, and
    those that have the words, by rank; of equals the one changed last."""
    texts = _filtered(pages_visible_to(user), filters)
    order: dict[int, None] = {}
    titles = Alias.objects.filter(key=key_of(" ".join(query.words))[:200]).values("page")
    if query.words:
        order |= dict.fromkeys(texts.filter(pk__in=titles).values_list("pk", flat=True))
    order |= dict.fromkeys(_naming(query, texts, components))
    if query.wanted:
        match = match_of(query.terms)
        matching = texts.filter(search_entry__words__matches=match).annotate(rank=Rank("search_entry__words", match))
        rows = list(
            matching.order_by(F("search_entry__page_id").desc()).values_list("pk", "rank", "updated_at")[
                : MAX_TEXTS + 1
            ]
        )
        rows.sort(key=lambda row: (-row[1], -row[2].timestamp(), -row[0]))
        order |= dict.fromkeys(pk for pk, _, _ in rows)
    return list(order)


def _naming(query: Query, texts: QuerySet[Page], components: list[FoundComponent]) -> list[int]:
    """Texts about each of the components that a query names, or linking to it, with its other words in them."""
    if not components:
        return []
    for named in query.named:
        of_it = [found for found in components if found.is_named_by(named)]
        about = Q(pk__in=Link.objects.filter(target__in=[found.target for found in of_it]).values("source"))
        for found in of_it:
            about |= Q(model_slug=found.model.slug, component=str(found.component))
        texts = texts.filter(about)
    other = [term for term in query.terms if term.named is None]
    if any(not term.is_unwanted for term in other):
        texts = texts.filter(search_entry__words__matches=match_of(other))
    else:
        for term in other:
            match = match_of([dataclasses.replace(term, is_unwanted=False)])
            texts = texts.exclude(pk__in=Entry.objects.filter(words__matches=match).values("pk"))
    return list(texts.order_by("-updated_at", "-pk").values_list("pk", flat=True)[:MAX_TEXTS])


def _filtered(texts: QuerySet[Page], filters: Filters) -> QuerySet[Page]:
    if filters.kind:
        texts = texts.filter(kind=filters.kind)
    if filters.model:
        texts = texts.filter(of_model(filters.model))
    if filters.author:
        texts = texts.filter(author__username=filters.author)
    if filters.tag:
        texts = texts.filter(pk__in=Tag.pages.through.objects.filter(tag__name=filters.tag).values("page"))
    if filters.since:
        texts = texts.filter(updated_at__gte=_midnight(filters.since))
    if filters.until:
        texts = texts.filter(updated_at__lt=_midnight(filters.until) + datetime.timedelta(days=1))
    return texts


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
