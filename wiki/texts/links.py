"""The links of texts: found in them, kept as rows, asked for from both ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from wiki import markdown
from wiki.components.models import LanguageModel

from .access import Person, links_visible_to
from .circuits import blocks_of
from .errors import TextError
from .models import Alias, Link, LinkKind, Page, TargetForm
from .targets import normalise, targets_of
from .versions import bump, scopes_of_text

# So many new links or seconds may pass until wanted titles are counted again; with fewer links they always are.
COUNTED_TOGETHER = 5_000
COUNTED_SECONDS = 300
# For each wanted title that is shown so many are looked at whose links may be hidden, or several of one page.
CANDIDATES = 2


@dataclasses.dataclass(frozen=True)
class Found:
    """A link as it stands in a text."""

    kind: LinkKind
    words: str


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An article that texts link to and nobody has written."""

    target: str
    words: str
    n_pages: int


def links_of(text: str) -> list[Found]:
    """The links of a text outside its code and maths, in order, and the components of its circuits; a `TextError` where
    it cannot be read as Markdown."""
    try:
        links = markdown.links_of(text)
        parts = blocks_of(text).nodes if "circuit" in text else ()
    except markdown.UnreadableTextError as error:
        raise TextError(str(error)) from error
    return [
        Found(LinkKind(link.relation.value), f"@{link.target}" if link.kind is markdown.Kind.MENTION else link.target)
        for link in links
    ] + [Found(LinkKind.PART_OF, part) for part in parts]


def links_of_fields(fields: dict[str, Any]) -> list[Found]:
    """The links that a revision has beside its text: `"links": [[kind, words], …]`."""
    try:
        return [Found(LinkKind(kind), str(words)) for kind, words in fields.get("links", [])]
    except (TypeError, ValueError) as error:
        raise TextError(f"Reading links: expected pairs of a kind and a target, got what says: {error}.") from error


def replace_links(page: Page, *, text: str, fields: dict[str, Any]) -> set[str]:
    """Make the links of a page those of this text and fields; within the transaction that locked the page.

    Returns the models on whose pages the change shows, for `versions.bump`.
    """
    wanted: dict[tuple[str, str], Link] = {}
    for found in [*links_of(text), *links_of_fields(fields)]:
        target = normalise(found.words, scope=page.model_slug)
        if target is not None:
            link = Link(source=page, kind=found.kind, form=target.form, target=target.text, words=found.words)
            wanted.setdefault((found.kind.value, target.text), link)
    kept = {(link.kind, link.target): (link.pk, link.form, link.words) for link in page.links.all()}
    same = {name for name, link in wanted.items() if name in kept and kept[name][1:] == (link.form, link.words)}
    gone = [pk for name, (pk, _, _) in kept.items() if name not in same]
    if gone:
        page.links.filter(pk__in=gone).delete()
    Link.objects.bulk_create([link for name, link in wanted.items() if name not in same])
    before = {(form, target) for (_, target), (_, form, _) in kept.items()}
    return scopes_of_text(page, before | {(link.form, link.target) for link in wanted.values()})


def rebuild_links() -> int:
    """Make the links of all pages anew from their current revisions; return how many pages there are."""
    n = 0
    for pk in Page.objects.order_by("id").values_list("pk", flat=True).iterator():
        with transaction.atomic():
            page = Page.objects.select_for_update(no_key=True).get(pk=pk)
            if current := page.current:
                bump(replace_links(page, text=current.text, fields=current.fields))
                n += 1
    return n


def what_links_here(targets: Iterable[str], *, user: Person) -> QuerySet[Link]:
    """The links to any of these targets (`targets_of` has a page's) from what `user` may see, the newest first."""
    return (
        links_visible_to(user)
        .filter(target__in=list(targets))
        .select_related("source__author", "source__parent__author", "source__parent__parent__author")
        .order_by("-id")
    )


def links_to_page(page: Page, *, user: Person) -> QuerySet[Link]:
    """The links that lead to a page from others, the newest first."""
    return what_links_here(targets_of(page), user=user).exclude(source=page)


def of_model(slug: str, *, page: str = "") -> Q:
    """Pages (at the path `page`) about a model or its parts, and those about none that link to it or one."""
    named = Link.objects.filter(Q(target=slug) | Q(target__startswith=f"{slug}/"), source=OuterRef(f"{page}pk"))
    return Q(**{f"{page}model_slug": slug}) | (Q(**{f"{page}model_slug": ""}) & Q(Exists(named)))


def wanted_targets(limit: int = 50) -> list[Wanted]:
    """Titles that pages which everybody sees link to and that are neither an article nor a model, most wanted first.

    Counting takes the longer the more links there are: on a large site they are counted again after so many new links
    or minutes, and what was written since is left out at once.
    """
    newest = Link.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    if newest < COUNTED_TOGETHER:
        return _counted_targets(limit)
    key = f"wanted-titles:{limit}:{newest // COUNTED_TOGETHER}"
    counted = cache.get(key)
    if counted is None:
        counted = _counted_targets(limit)
        cache.set(key, counted, timeout=COUNTED_SECONDS)
    written = set(Alias.objects.filter(key__in=[each.target for each in counted]).values_list("key", flat=True))
    return [each for each in counted if each.target not in written]


def _counted_targets(limit: int) -> list[Wanted]:
    everybody, titles = AnonymousUser(), Link.objects.filter(form=TargetForm.TITLE).order_by()
    # of all links only an index is read; whose are not hidden is asked of the links to what is wanted most
    is_there = Exists(Alias.objects.filter(key=OuterRef("target"))) | Exists(
        LanguageModel.objects.filter(slug=OuterRef("target"))
    )
    most = titles.exclude(is_there).values("target").annotate(n=Count("target")).order_by("-n", "target")
    candidates = list(most.values_list("target", flat=True)[: limit * CANDIDATES])
    rows = (
        links_visible_to(everybody)
        .filter(form=TargetForm.TITLE, target__in=candidates)
        .order_by()
        .values("target")
        .annotate(n_pages=Count("source", distinct=True))
        .order_by(F("n_pages").desc(), "target")[:limit]
    )
    found = {row["target"]: row["n_pages"] for row in rows}
    spelt = links_visible_to(everybody).filter(target__in=found, form=TargetForm.TITLE).order_by("-id")
    words = dict(spelt.values_list("target", "words"))  # of equals the earliest stays
    return [Wanted(target, words.get(target, target), n_pages) for target, n_pages in found.items()]
