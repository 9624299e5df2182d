"""What a query finds: components, models and people by name, texts by what they name and by their words.

A constant number of queries, whatever is found. Only what `user` may see; drafts are in no index.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from analysis.schema import Component
from wiki.accounts.access import people_visible_to
from wiki.accounts.models import User
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.lib.prepared import objects, padded, rows
from wiki.texts.access import Person, pages_visible_to, person_of, sight_of
from wiki.texts.links import of_model
from wiki.texts.models import Kind, Page, Tag
from wiki.texts.targets import key_of

from .indexing import Facet, match_of
from .models import Rank
from .queries import Named, Query

PAGE_SIZE = 20
# So many texts at most are put in an order, of more the newest; nobody turns to the twenty-sixth page.
MAX_TEXTS = 500
_DAY = datetime.timedelta(days=1)
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
    tags: dict[int, list[str]]  # of each of these texts that has some, by its key
    n_texts: int
    is_cut: bool  # there are more texts than are counted

    @property
    def is_nothing(self) -> bool:
        return not (self.components or self.models or self.people or self.n_texts)


NOTHING = Found([], [], [], [], {}, 0, is_cut=False)


def find(query: Query, filters: Filters, *, page: int, user: Person) -> Found:
    """What a query finds; `page` counts from 1, and names are found on the first alone."""
    models = list(LanguageModel.objects.all())
    components = components_named(query, models)
    if filters.model:
        components = [found for found in components if found.model.slug == filters.model]
    ranked = _ranked_texts(query, filters, components, user=user) if filters.kind in {"", *Kind} else []
    shown = ranked[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    pages = {each.pk: each for each in objects(_shown, *sight_of(user), *padded(shown, 0))}
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
        tags=_tags_of(shown),
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
    those that have the words, by rank; of equals the one changed last. No more than can be shown are looked for."""
    order: dict[int, None] = {}
    author = _author_of(filters)
    asked, facets = (*_asked(filters, author), *sight_of(user)), _facets(filters, author)
    if query.words:
        order |= dict.fromkeys(pk for (pk,) in rows(_titled, key_of(" ".join(query.words))[:200], *asked))
    if components:
        parts = [
            [Facet.PART.of(found.target) for found in components if found.is_named_by(each)] for each in query.named
        ]
        match = match_of([term for term in query.terms if term.named is None], [*facets, *parts])
        naming = sorted(rows(_naming, match, *asked), key=lambda row: (row[1], row[0]), reverse=True)
        order |= dict.fromkeys(pk for pk, _ in naming)
    if query.wanted and len(order) <= MAX_TEXTS:
        matching = rows(_matching, match_of(query.terms, facets), match_of(query.terms), *asked)
        matching.sort(key=lambda row: (row[1], row[2], row[0]), reverse=True)
        order |= dict.fromkeys(pk for pk, _, _ in matching)
    return list(order)


def _author_of(filters: Filters) -> int | None:
    """The key of who is asked for; 0 where there is nobody of that name, None where nobody is asked for."""
    if not filters.author:
        return None
    return User.objects.filter(username=filters.author).values_list("pk", flat=True).first() or 0


def _facets(filters: Filters, author: int | None) -> list[list[str]]:
    """What filters ask of the index."""
    asked = [(Facet.TAG, filters.tag or None), (Facet.AUTHOR, author)]
    return [[facet.of(name)] for facet, name in asked if name is not None]


def _asked(filters: Filters, author: int | None) -> tuple[Any, ...]:
    """Filters as what is asked in a question; what is empty, and a model, which begins targets, are part of it."""
    first, last = filters.since, filters.until
    times = _midnight(first) if first else None, _midnight(last + _DAY) if last else None
    return filters.kind or None, (filters.model,), author, filters.tag or None, *times


def _titled(title: str, *asked: Any) -> QuerySet[Page, tuple[int]]:
    return _filtered(*asked).filter(aliases__key=title).order_by().values_list("pk")


def _naming(match: str, *asked: Any) -> QuerySet[Page, tuple[int, Any]]:
    """The newest that name parts and have the other words, with when each was changed."""
    return _newest(match, *asked).values_list("pk", "updated_at")[: MAX_TEXTS + 1]


def _matching(match: str, words: str, *asked: Any) -> QuerySet[Page, tuple[int, float, Any]]:
    """The newest that have the words, with how well each does and when it was changed."""
    found = _newest(match, *asked).annotate(rank=Rank("search_entry__words", words))
    return found.values_list("pk", "rank", "updated_at")[: MAX_TEXTS + 1]


def _newest(match: str, *asked: Any) -> QuerySet[Page]:
    found = _filtered(*asked).filter(search_entry__words__matches=match)
    return found.order_by(F("search_entry__page_id").desc())


def _shown(moderates: bool | None, key: int, *keys: int) -> QuerySet[Page]:
    pages = pages_visible_to(person_of(moderates, key)).filter(pk__in=keys).order_by()
    return pages.select_related("current", "author", "parent__author", "parent__parent__author")


def _tags_of(keys: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for pk, name in rows(_tagged, *padded(keys, 0)):
        found.setdefault(pk, []).append(name)
    return found


def _tagged(*keys: int) -> QuerySet[Any, tuple[int, str]]:
    return Tag.pages.through.objects.filter(page__in=keys).order_by("tag__name").values_list("page", "tag__name")


def _filtered(*asked: Any) -> QuerySet[Page]:
    """What filters leave of what somebody sees: of `_asked` and `sight_of`."""
    kind, (model,), author, tag, since, until, *sight = asked
    texts = pages_visible_to(person_of(*sight))
    if kind:
        texts = texts.filter(kind=kind)
    if model:
        texts = texts.filter(of_model(model))
    if author is not None:
        texts = texts.filter(author=author)
    if tag:
        texts = texts.filter(Exists(Tag.pages.through.objects.filter(page=OuterRef("pk"), tag__name=tag)))
    if since:
        texts = texts.filter(updated_at__gte=since)
    if until:
        texts = texts.filter(updated_at__lt=until)
    return texts


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
