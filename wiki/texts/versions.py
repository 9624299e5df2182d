"""Which models' pages a change of a text shows on, and that it did.

What a page of a model shows of texts is theirs about the model and its parts, and what links to these. Pages that are
kept for everybody are kept under the number of such changes, so each service that changes a text ends with `bump`.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import F

from wiki.components.models import LanguageModel

from .access import MAX_DEPTH
from .models import Kind, Link, Page, TargetForm, TextsVersion


def bump(scopes: Iterable[str]) -> None:
    """Count a change on the pages of each of these models; the last thing in the transaction that makes the change.

    Rows are made and locked in one order everywhere and nothing is locked after them, so nobody waits in a circle.
    """
    ordered = sorted(set(scopes) - {""})
    if not ordered:
        return
    TextsVersion.objects.bulk_create([TextsVersion(scope=scope) for scope in ordered], ignore_conflicts=True)
    rows = TextsVersion.objects.filter(scope__in=ordered)
    list(rows.order_by("scope").select_for_update().values_list("scope"))
    rows.update(n=F("n") + 1)


def scopes_of_text(page: Page, links: Iterable[tuple[str, str]]) -> set[str]:
    """The models on whose pages the words of a page show: the one that it is about, and those that it links to.

    `links` are forms and targets, of the text before the change and after it.
    """
    scopes, titles = {page.model_slug}, set()
    for form, target in links:
        if form == TargetForm.COMPONENT:
            scopes.add(target.partition("/")[0])
        elif form == TargetForm.TITLE:
            titles.add(target)
    # a model's own title among those of articles
    return scopes | set(LanguageModel.objects.filter(slug__in=titles).values_list("slug", flat=True))


def scopes_of_page(page: Page) -> set[str]:
    """The models on whose pages it shows that a page is there, and by its title: its own text's, its talk's, and
    those of the texts that link to any of these."""
    family, last = [page], [page]
    for _ in range(MAX_DEPTH):
        # one level after the other: for “or” over two of them all pages are read
        last = list(Page.objects.filter(parent__in=last))
        family += last
    names = [f"a/{each.pk}" for each in family]
    if page.kind == Kind.ARTICLE:
        names += page.aliases.values_list("key", flat=True)
    scopes = set(Link.objects.filter(target__in=names).values_list("source__model_slug", flat=True))
    links = list(Link.objects.filter(source__in=family).values_list("form", "target"))
    return scopes.union({each.model_slug for each in family}, scopes_of_text(page, links)) - {""}
