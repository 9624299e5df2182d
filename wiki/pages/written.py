"""What people say of a model or one of its parts: its summary, notes and talk, and what links to it.

Ten queries at most, however much there is: whether there is anything, the texts, the links, three for what these
name, who works on it, and three for the experiments that name it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, Subquery, When
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from analysis.schema import Component, ComponentKind
from wiki.accounts.models import User
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.coverage.access import may_work, works_visible_to
from wiki.coverage.models import Work
from wiki.lib.named import address
from wiki.lib.prepared import objects, rows
from wiki.texts.access import Person, links_visible_to, may_edit, may_write, pages_visible_to, person_of, sight_of
from wiki.texts.addresses import address_of, fields_of_names, name_of
from wiki.texts.anchors import CellAnchor, anchor_in
from wiki.texts.models import Kind, Link, LinkKind, Page, Tag, TargetForm, Visibility
from wiki.texts.rendering import Unrendered, render_texts
from wiki.texts.targets import Resolution, Target

from .anchored import Shown, digest_of, show_on_page
from .attention import Choice
from .measurements import Measurements
from .naming_experiments import Naming, experiments_naming

# How many of each a page of a part shows; there is a list of all.
N_NOTES, N_THREADS, N_LINKS = 3, 3, 20
_SHOWN = {Kind.SUMMARY: 1, Kind.NOTE: N_NOTES, Kind.TALK: N_THREADS}
_MOST_SHOWN = _SHOWN[Kind.SUMMARY] + _SHOWN[Kind.NOTE]  # whole, and not by their names
# Notes, of which those on cells of the pattern that is shown are marked there.
N_ANCHORED = 200
# Characters of a text that a page of a part shows; the text has a page of its own.
LONGEST_SUMMARY, LONGEST_NOTE = 2_000, 800
CIRCUIT = "circuit"  # the tag of articles that are circuits

# What a link says, read from the end that it leads to, in the order in which they are shown.
WORDS = {
    LinkKind.SAME_ROLE_AS: "Said to have the same role by",
    LinkKind.PART_OF: "Said to be a whole that it is part of by",
    LinkKind.EVIDENCE_FOR: "Evidence for it",
    LinkKind.EVIDENCE_AGAINST: "Evidence against it",
    LinkKind.CONTRADICTS: "Contradicted by",
    LinkKind.SUPERSEDES: "Superseded by",
    LinkKind.MENTIONS: "Mentioned in",
}


@dataclasses.dataclass(frozen=True)
class Said:
    """A text as a page of a part shows it."""

    page: Page
    html: SafeString
    is_cut: bool  # the text goes on at its own address
    may_edit: bool
    anchor: Shown | None = None  # the exact thing that a note is about

    @property
    def url(self) -> str:
        return address_of(self.page)

    @property
    def is_retracted(self) -> bool:
        return self.page.visibility == Visibility.RETRACTED

    def to_json(self) -> dict[str, Any]:
        revision = self.page.current
        assert revision is not None
        return {
            "id": self.page.pk,
            "url": self.url,
            "revision": revision.n,
            "digest": revision.digest,
            "author": self.page.author.get_username(),
            "edited_by": revision.author.get_username(),
            "updated_at": self.page.updated_at.isoformat(),
            "retracted": self.is_retracted,
            "text": revision.text,
            "fields": revision.fields,
            "anchor": dataclasses.asdict(self.anchor) if self.anchor else None,
        }


@dataclasses.dataclass(frozen=True)
class Named:
    """Something that the page leads to by name."""

    name: str
    url: str
    is_retracted: bool = False
    kind: str = ""  # of the link; empty where they stand under it

    def to_json(self) -> dict[str, Any]:
        kind = {"kind": self.kind} if self.kind else {}
        return {"name": self.name, "url": self.url, "retracted": self.is_retracted, **kind}


@dataclasses.dataclass(frozen=True)
class CellNote:
    """That a note is about a cell of an attention pattern."""

    anchor: CellAnchor
    author: str
    note_url: str
    url: str = ""  # of the cell, on the text that is shown


@dataclasses.dataclass(frozen=True)
class Written:
    """All that a page of a part shows of what people wrote."""

    about: str  # as links name it: `gpt2/L5H1`, or a model's slug
    name: str  # as the page is called
    texts_url: str  # where all of it is listed
    invites: bool  # who reads it may write, or could once signed in
    summary: Said | None
    notes: list[Said]
    n_notes: int
    threads: list[Named]
    n_threads: int
    circuits: list[Named]
    articles: list[Named]
    same_role: list[Named]
    links: list[tuple[LinkKind, list[Named]]]
    has_more_links: bool
    cells: list[CellNote]  # notes on cells of attention patterns
    works: list[Work]  # who works on it now
    may_work: bool
    is_mine: bool  # who reads it works on it
    experiments: Naming

    @property
    def link_groups(self) -> list[tuple[str, list[Named]]]:
        return [(WORDS[kind], sources) for kind, sources in self.links]

    @property
    def belongs(self) -> list[tuple[str, list[Named]]]:
        """What it is said to belong to and to be like."""
        groups = [
            ("Part of the circuit" if len(self.circuits) == 1 else "Part of the circuits", self.circuits),
            ("Part of", self.articles),
            ("Same role as", self.same_role),
        ]
        return [(words, named) for words, named in groups if named]

    def to_json(self) -> dict[str, Any]:
        return {
            "summary": self.summary.to_json() if self.summary else None,
            "notes": [note.to_json() for note in self.notes],
            "n_notes": self.n_notes,
            "talk": [thread.to_json() for thread in self.threads],
            "n_talk": self.n_threads,
            "circuits": [article.to_json() for article in self.circuits],
            "articles": [article.to_json() for article in self.articles],
            "same_role_as": [component.to_json() for component in self.same_role],
            "linked_from": {kind.value: [source.to_json() for source in sources] for kind, sources in self.links},
            "worked_on": [{"by": work.user.get_username(), "until": work.until.isoformat()} for work in self.works],
            "linked_from_more": self.has_more_links,
            "all": self.texts_url,
            "experiments": self.experiments.to_json(),
        }


def about_of(model: LanguageModel, component: Component | None) -> str:
    return f"{model.slug}/{component}" if component else model.slug


class _WhatThereIs(NamedTuple):
    """Whether there is anything about a part, for whomever."""

    pages: bool
    links: bool
    works: bool
    experiments: bool


_ANYTHING = """
SELECT EXISTS(SELECT 1 FROM texts_page WHERE model_slug = %s AND component = %s),
       EXISTS(SELECT 1 FROM texts_link WHERE target = %s),
       EXISTS(SELECT 1 FROM coverage_work WHERE model_slug = %s AND component = %s),
       EXISTS(SELECT 1 FROM experiments_namedpart WHERE model_id = %s AND component = %s)
"""
# An experiment is about its model whether or not it names a part of it.
_ANYTHING_OF_A_MODEL = _ANYTHING.replace(
    "experiments_namedpart WHERE model_id = %s AND component = %s",
    "experiments_experiment WHERE model_id = %s AND %s = ''",
)


def _what_there_is(model: LanguageModel, component: Component | None) -> _WhatThereIs:
    """About most parts nobody has written anything, and Django builds questions more slowly than databases answer."""
    part = (model.slug, str(component or ""))
    with connection.cursor() as cursor:
        statement = _ANYTHING if component else _ANYTHING_OF_A_MODEL
        cursor.execute(statement, [*part, about_of(model, component), *part, *part])
        return _WhatThereIs(*map(bool, cursor.fetchone()))


def written_of(measurements: Measurements, component: Component | None, *, user: Person) -> Written:
    """What `user` may see of what is written about a part of a model, or about the model as a whole."""
    model = measurements.model
    about = about_of(model, component)
    there = _what_there_is(model, component)
    works = works_visible_to(user).filter(model_slug=model.slug, component=str(component)) if there.works else ()
    part, sight = (model.slug, str(component or "")), sight_of(user)
    pages = objects(_pages, *part, *sight) if there.pages else []
    of_kind = {kind: [page for page in pages if page.kind == kind] for kind in Kind}
    shown = [*of_kind[Kind.SUMMARY], *of_kind[Kind.NOTE][:N_NOTES]]
    keys = [page.pk for page in shown]
    links = (
        objects(_links, about, *part, *sight, *keys, *[0] * (_MOST_SHOWN - len(keys))) if shown or there.links else []
    )
    incoming = [link for link in links if link.target == about]
    outgoing = [link for link in links if link.target != about]
    parts = [Target(TargetForm.COMPONENT, about) for about in _same_by_source(incoming)]
    said, found = _said(shown, measurements, component, also=[*map(_target_of, outgoing), *parts], user=user)
    circuits, articles = _articles(incoming, outgoing, found)
    return Written(
        about=about,
        name=str(component or model.title),
        texts_url=reverse("component-texts", args=[model.slug, component])
        if component
        else reverse("model-texts", args=[model.slug]),
        invites=not isinstance(user, User) or may_write(user),
        summary=next((each for each in said if each.page.kind == Kind.SUMMARY), None),
        notes=[each for each in said if each.page.kind == Kind.NOTE],
        n_notes=_count(of_kind[Kind.NOTE], Kind.NOTE),
        threads=[_source(page) for page in of_kind[Kind.TALK][:N_THREADS]],
        n_threads=_count(of_kind[Kind.TALK], Kind.TALK),
        circuits=circuits,
        articles=articles,
        same_role=_same_role(incoming, outgoing, found),
        links=_grouped(incoming[:N_LINKS]),
        has_more_links=len(incoming) > N_LINKS,
        works=list(works),
        may_work=component is not None and may_work(user),
        is_mine=any(work.user_id == user.pk for work in works),
        experiments=experiments_naming(model, component) if there.experiments else Naming(),
        cells=_cells(rows(_anchored, *part, *sight)) if there.pages and _has_cells(component) else [],
    )


def notes_on_cells(written: Written, choice: Choice) -> list[CellNote]:
    """The notes on cells of the text that is shown, each with the address that locks its cell."""
    digest = digest_of(choice.text.row.tokens)
    return [
        dataclasses.replace(each, url=choice.url(q=str(each.anchor.q), k=str(each.anchor.k), view=each.anchor.view))
        for each in written.cells
        if each.anchor.tokens == digest
    ]


def list_of_notes(measurements: Measurements, component: Component | None, part: slice, *, user: Person) -> list[Said]:
    pages = pages_about(measurements.model, component, user=user).filter(kind=Kind.NOTE)
    return _said(list(pages[part]), measurements, component, user=user)[0]


def list_of_threads(model: LanguageModel, component: Component | None, part: slice, *, user: Person) -> list[Named]:
    return [_source(page) for page in pages_about(model, component, user=user).filter(kind=Kind.TALK)[part]]


def list_of_links(model: LanguageModel, component: Component | None, part: slice, *, user: Person) -> list[Named]:
    asked = about_of(model, component), model.slug, str(component or ""), (part.start, part.stop), *sight_of(user)
    links = objects(_listed_links, *asked)
    return [dataclasses.replace(_source(link.source), kind=link.kind) for link in links]


def _listed_links(about: str, slug: str, component: str, part: tuple[int, int], *sight: Any) -> QuerySet[Link]:
    """Some of the links to a part in their order. Of each kind as many are asked for as would do alone, to which an
    index leads: all would be thousands."""
    to_it, chosen = _links_to(about, slug, component, person_of(*sight)), Q()
    for kind in WORDS:
        chosen |= Q(pk__in=to_it.filter(kind=kind).order_by("-id").values("pk")[: part[1]])
    return _in_order(Link.objects.filter(chosen))[slice(*part)]


def _said(
    pages: Sequence[Page],
    measurements: Measurements,
    component: Component | None,
    *,
    user: Person,
    also: Iterable[Target] = (),
) -> tuple[list[Said], dict[Target, Resolution]]:
    """Texts as pages show them, and what is there of what they and `also` name."""
    also = list(also)
    if not pages and not also:
        return [], {}
    cuts = [_cut(page) for page in pages]
    slug = measurements.model.slug
    texts = [Unrendered(cut, f"{page.kind}-{page.pk}", slug) for page, (cut, _) in zip(pages, cuts, strict=True)]
    rendered, found = render_texts(texts, user=user, also=also)
    said = [
        Said(
            page,
            mark_safe(html.html),  # noqa: S308 (sanitised)
            is_cut=is_cut,
            may_edit=may_edit(user, page),
            anchor=show_on_page(page, component, measurements),
        )
        for page, html, (_, is_cut) in zip(pages, rendered, cuts, strict=True)
    ]
    return said, found


def pages_about(model: LanguageModel, component: Component | None, *, user: Person) -> QuerySet[Page]:
    """All texts about a part of a model or about the model as a whole, newest first."""
    pages = pages_visible_to(user).filter(model_slug=model.slug, component=str(component or ""))
    return pages.select_related("current__author", "author").order_by("-updated_at", "-id")


def _pages(slug: str, component: str, moderates: bool | None, key: int) -> QuerySet[Page]:
    """The summary, the newest notes and threads, each with how many of both kinds there are. Of a part with many texts
    the others are only counted."""
    about = pages_visible_to(person_of(moderates, key)).filter(model_slug=slug, component=component)
    shown = Q()
    for kind, n in _SHOWN.items():
        shown |= Q(pk__in=about.filter(kind=kind).order_by("-updated_at", "-id").values("pk")[:n])
    counted = {
        f"n_{kind.value}": Subquery(
            about.filter(kind=kind).order_by().values("kind").annotate(n=Count("id")).values("n")
        )
        for kind in (Kind.NOTE, Kind.TALK)
    }
    # what is looked up by its number is visible already
    pages = Page.objects.filter(shown).select_related("current__author", "author").annotate(**counted)
    return pages.order_by("-updated_at", "-id")


def _anchored(slug: str, component: str, moderates: bool | None, key: int) -> QuerySet[Page, tuple[int, str, str]]:
    """The newest notes about something exact in a part, by whom they are, and their fields in JSON."""
    about = pages_visible_to(person_of(moderates, key)).filter(model_slug=slug, component=component, is_anchored=True)
    notes = about.filter(kind=Kind.NOTE).order_by("-updated_at", "-id")[:N_ANCHORED]
    return notes.values_list("pk", "author__username", "current__fields")


def _has_cells(component: Component | None) -> bool:
    """Whether it has a pattern of attention."""
    return component is not None and component.kind is ComponentKind.HEAD


def _cells(notes: Iterable[tuple[int, str, str]]) -> list[CellNote]:
    found = [(anchor_in(json.loads(fields)), author, pk) for pk, author, fields in notes]
    return [
        CellNote(anchor, author, address("text", pk)) for anchor, author, pk in found if isinstance(anchor, CellAnchor)
    ]


def _count(pages: Sequence[Page], kind: Kind) -> int:
    return getattr(pages[0], f"n_{kind.value}") if pages else 0


def _links(about: str, slug: str, component: str, moderates: bool | None, key: int, *shown: int) -> QuerySet[Link]:
    """The newest links to a part, kind by kind, and those by which the texts shown say what it is part of or like."""
    to_it = _links_to(about, slug, component, person_of(moderates, key))
    newest = [
        to_it.filter(kind=LinkKind.MENTIONS).order_by("-id")[: N_LINKS + 1],
        to_it.filter(kind__in=set(LinkKind) - {LinkKind.MENTIONS}).order_by("-id")[: N_LINKS + 1],
    ]
    # of thousands of links only those that are shown are joined with what is shown of them
    chosen = Q(source__in=shown, kind__in=[LinkKind.SAME_ROLE_AS, LinkKind.PART_OF]) & ~Q(target=about)
    for each in newest:
        chosen |= Q(pk__in=each.values("pk"))
    circuit = Tag.objects.filter(name=CIRCUIT)
    return _in_order(Link.objects.filter(chosen)).annotate(
        from_circuit=Exists(circuit.filter(pages=OuterRef("source"))),
        to_circuit=Exists(circuit.filter(pages__aliases__key=OuterRef("target"))),
    )


def _links_to(about: str, slug: str, component: str, user: Person) -> QuerySet[Link]:
    """The links to a part, but for those of texts about it, which link to it without saying more."""
    links = links_visible_to(user).filter(target=about)
    return links.exclude(source__model_slug=slug, source__component=component)


def _in_order(links: QuerySet[Link]) -> QuerySet[Link]:
    order = Case(*(When(kind=kind, then=place) for place, kind in enumerate(WORDS)))
    related = ("source__author", "source__parent__author", "source__parent__parent__author")
    read = ("source", "kind", "form", "target", *fields_of_names("source__"))
    return links.select_related(*related).only(*read).order_by(order, "-id")


def _target_of(link: Link) -> Target:
    return Target(TargetForm(link.form), link.target)


def _same_by_source(incoming: Iterable[Link]) -> list[str]:
    """The parts whose own texts say that this one has the same role."""
    same = (link.source for link in incoming if link.kind == LinkKind.SAME_ROLE_AS and link.source.component)
    return list(dict.fromkeys(source.about for source in same))


def _same_role(incoming: Sequence[Link], outgoing: Iterable[Link], found: dict[Target, Resolution]) -> list[Named]:
    targets = [_target_of(link) for link in outgoing if link.kind == LinkKind.SAME_ROLE_AS]
    targets += [Target(TargetForm.COMPONENT, about) for about in _same_by_source(incoming)]
    named = []
    for target in dict.fromkeys(targets):
        resolution = found.get(target)
        if resolution and resolution.model and resolution.component:
            named.append(Named(target.text, component_url(resolution.model, resolution.component)))
    return named


def _articles(
    incoming: Iterable[Link], outgoing: Iterable[Link], found: dict[Target, Resolution]
) -> tuple[list[Named], list[Named]]:
    """The circuits and the other articles that a part belongs to: as they say, or as its own texts say."""
    pages: dict[Page, bool] = {}
    for link in incoming:
        if link.kind == LinkKind.PART_OF and link.source.kind == Kind.ARTICLE:
            pages[link.source] = link.from_circuit  # type: ignore[attr-defined]
    for link in outgoing:
        resolution = found.get(_target_of(link))
        if link.kind == LinkKind.PART_OF and resolution and resolution.page:
            pages.setdefault(resolution.page, link.to_circuit)  # type: ignore[attr-defined]
    circuits = [_source(page) for page, is_circuit in pages.items() if is_circuit]
    return circuits, [_source(page) for page, is_circuit in pages.items() if not is_circuit]


def _grouped(links: Iterable[Link]) -> list[tuple[LinkKind, list[Named]]]:
    groups: dict[LinkKind, list[Named]] = {}
    for link in links:
        is_shown = link.kind == LinkKind.PART_OF and link.source.kind == Kind.ARTICLE  # among articles
        if not is_shown:
            groups.setdefault(LinkKind(link.kind), []).append(_source(link.source))
    return list(groups.items())


def _source(page: Page) -> Named:
    return Named(name_of(page), address_of(page), is_retracted=page.visibility == Visibility.RETRACTED)


def _cut(page: Page) -> tuple[str, bool]:
    """As much of a text as is shown, to the end of a paragraph where it has a short enough one."""
    assert page.current is not None
    text, longest = page.current.text, LONGEST_SUMMARY if page.kind == Kind.SUMMARY else LONGEST_NOTE
    if len(text) <= longest:
        return text, False
    end = text.rfind("\n\n", 0, longest)
    if end < 0:
        end = text.rfind(" ", 0, longest)
    return text[: end if end > 0 else longest], True
