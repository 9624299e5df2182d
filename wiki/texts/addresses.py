"""Where texts are read and written."""

from __future__ import annotations

from urllib.parse import urlencode

from wiki.lib.named import address

from .models import Kind, Page


def address_of(page: Page) -> str:
    """Where a page is read: an article by its title, everything else by its number."""
    return address("article", page.key) if page.kind == Kind.ARTICLE else address("text", page.pk)


def address_to_write(title: str) -> str:
    """Where the article of this title can be written."""
    return f"{address('new-article')}?{urlencode({'title': title})}"


def fields_of_names(path: str) -> list[str]:
    """What `name_of` and `address_of` read of a page at `path`, for `only`: lists of names read hundreds of rows."""
    of_page = ("kind", "title", "key", "model_slug", "component", "visibility", "author__username")
    return [f"{path}{parents}{field}" for parents in ("", "parent__", "parent__parent__") for field in of_page]


def name_of(page: Page) -> str:
    """What a page is called in lists: an article's title, or what the text is, by whom and about what.

    Reads its author and, of talk, the pages that it hangs on.
    """
    if page.kind == Kind.ARTICLE:
        return page.title
    if page.kind == Kind.SUMMARY:
        return f"summary of {page.about}"
    if page.kind == Kind.NOTE:
        return f"note on {page.about} by {page.author.get_username()}"
    if page.parent is not None and page.parent.kind == Kind.TALK:
        return f"reply by {page.author.get_username()} in {name_of(page.parent)}"
    return page.title or f"talk about {page.about or (name_of(page.parent) if page.parent else 'a page')}"
