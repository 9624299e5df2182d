"""One of the sites of the benchmark of the wiki, in a process of its own that is told what to ask for."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable

from .crowd import (
    COMMON_WORD,
    HOT_ARTICLE,
    HOT_HEADS,
    HOT_PERSON,
    HOT_TAG,
    HOT_THREAD,
    N_HEADS,
    N_LAYERS,
    RARE_WORD,
    READER,
    Crowd,
    username,
)
from .data import MODEL
from .load import load_of
from .machine import ROOT
from .pages import Site, count_queries
from .site import site

# So often a page is asked for, of which the quickest counts, and a kept one again at each visit.
TIMES, AGAIN = 3, 4


@dataclasses.dataclass(frozen=True)
class Visit:
    """One page, asked for once: seconds and queries."""

    seconds: float  # of the processor; where the database is a process of its own, of the clock
    queries: int
    again: tuple[float, ...] = ()  # by the clock, of somebody who is not signed in, when the page may be kept


# By name: the address of one of these pages.
Choice = Callable[[Crowd, random.Random], str]
PAGES: dict[str, Choice] = {
    "head with hundreds of texts": lambda _, chosen: f"/m/{MODEL}/{chosen.choice(HOT_HEADS)}/",
    "notes on such a head": lambda _, chosen: f"/m/{MODEL}/{chosen.choice(HOT_HEADS)}/texts/",
    "links to such a head": lambda _, chosen: f"/m/{MODEL}/{chosen.choice(HOT_HEADS)}/texts/?show=links",
    "model": lambda *_: f"/m/{MODEL}/",
    "model with its coverage map": lambda *_: f"/m/{MODEL}/?map=coverage",
    "parts to write about": lambda *_: f"/m/{MODEL}/wanted/",
    "article": lambda crowd, chosen: f"/a/{chosen.choice(crowd.of_kind('article')).pk}/",
    "article with hundreds of links": lambda *_: "/w/induction-heads/",
    "thread with hundreds of replies": lambda *_: f"/a/{HOT_THREAD}/",
    "articles": lambda *_: "/w/",
    "articles with a tag": lambda *_: f"/w/?tag={HOT_TAG}",
    "titles to write": lambda *_: "/wanted/",
    "links here": lambda *_: f"/a/{HOT_ARTICLE}/links/",
    "history": lambda *_: f"/a/{HOT_ARTICLE}/history/",
    "recent changes": lambda *_: "/recent/",
    "recent changes of a model's notes": lambda *_: f"/recent/?kind=note&model={MODEL}",
    "recent changes of a tag": lambda *_: f"/recent/?tag={HOT_TAG}",
    "recent changes as Atom": lambda *_: "/recent.atom",
    "search, a common word": lambda *_: f"/search/?q={COMMON_WORD}",
    "search, a rare word": lambda *_: f"/search/?q={RARE_WORD}",
    "search, three words": lambda crowd, chosen: f"/search/?q={'+'.join(crowd.usual_words(chosen, 3))}",
    "search, a head": lambda _, chosen: f"/search/?q={chosen.choice(HOT_HEADS)}",
    "search, a head and a word": lambda _, chosen: f"/search/?q={chosen.choice(HOT_HEADS)}+{COMMON_WORD}",
    "search, notes of a model": lambda *_: f"/search/?q={COMMON_WORD}&kind=note&model={MODEL}",
    "search, texts of a person": lambda *_: f"/search/?q={COMMON_WORD}&model={MODEL}&author={username(HOT_PERSON)}",
    "search, with a tag": lambda *_: f"/search/?q={COMMON_WORD}&tag={HOT_TAG}",
    "person's texts": lambda *_: f"/people/{username(HOT_PERSON)}/texts/",
    "notes whose thing is gone": lambda *_: "/orphans/",
    "notifications": lambda *_: "/notifications/",
    "watching": lambda *_: "/watching/",
    "home": lambda *_: "/",
}
# Of who is signed in alone.
PRIVATE = {"notifications", "watching"}
POSTS = (
    "edit of an article",
    "a new note",
    "a reply",
    "edit of the article with hundreds of links",
    "a new note on a head with hundreds of texts",
)
# Of each of these everybody is told who watches it, on the large site hundreds of people.
TELLING = POSTS[3:]


class Visited:
    """The site, and who visits it."""

    def __init__(self, crowd: Crowd) -> None:
        from django.db import connection  # noqa: PLC0415 (Django is set up by now)

        self.crowd, self.anonymous, self.reader = crowd, Site(), Site(_signed_in(READER))
        self._clock = time.process_time if connection.vendor == "sqlite" else time.perf_counter

    def visit(self, page: str, number: int, *, signed_in: bool) -> Visit:
        """Ask for one of `PAGES`; where nobody is signed in, each time as after a change of a text of the model."""
        address, asked = PAGES[page](self.crowd, random.Random(number)), self.reader if signed_in else self.anonymous  # noqa: S311
        if address.startswith("/a/"):
            address = _shown_at(address)
        _forget_pages()
        queries = count_queries(lambda: asked.get(address))
        seconds = min(self._get(asked, address) for _ in range(TIMES))
        again = () if signed_in else (_taken(time.perf_counter, lambda: asked.get(address)) for _ in range(AGAIN))
        return Visit(seconds, queries, tuple(again))

    def _get(self, asked: Site, address: str) -> float:
        """How long it took to make a page that is not kept."""
        _forget_pages()
        return _taken(self._clock, lambda: asked.get(address))

    def post(self, what: str, number: int) -> float:
        """Send one of `POSTS`; how long it took by the clock."""
        chosen = random.Random(number)  # noqa: S311
        words = " ".join(self.crowd.some_words(chosen, 40))
        # of what few people watch: the others are told of what is posted to hot pages
        head = f"{MODEL}/L{chosen.randrange(N_LAYERS)}H{chosen.randrange(N_HEADS)}"
        text = f"Seen again, see [[{head}]] and [[{chosen.choice(self.crowd.of_kind('article')[1:]).title}]]: {words}."
        address, fields = self._form(what, chosen)
        fields |= {"text": text, "submission": secrets.token_hex(16), "csrfmiddlewaretoken": _TOKEN}
        return _taken(time.perf_counter, lambda: self.reader.post(address, fields))

    def _form(self, what: str, chosen: random.Random) -> tuple[str, dict[str, str]]:
        from wiki.texts.models import Page  # noqa: PLC0415

        match POSTS.index(what):
            case 0 | 3 as place:
                pk = HOT_ARTICLE if place else chosen.choice(self.crowd.of_kind("article")).pk
                version = Page.objects.get(pk=pk).version
                return f"/a/{pk}/edit/", {"base_version": str(version), "summary": "said better"}
            case 2:
                threads = [page for page in self.crowd.pages if page.title.startswith("A question about")]
                open_ones = [page.pk for page in threads if self._is_open(page.pk)]
                return f"/write/talk/?page={chosen.choice(open_ones)}", {}
            case place:
                head = HOT_HEADS[0] if place == 4 else f"L{chosen.randrange(N_LAYERS)}H{chosen.randrange(N_HEADS)}"
                return f"/write/note/?about={MODEL}/{head}", {}

    def _is_open(self, pk: int) -> bool:
        """Whether one may reply to it: it and what it is about are published."""
        page = self.crowd.pages[pk - 1]
        return page.visibility == "published" and (page.parent is None or self._is_open(page.parent))


def _forget_pages() -> None:
    """As a change of a text does: pages that are kept are not the model's any more."""
    from wiki.texts.versions import bump  # noqa: PLC0415

    bump([MODEL])


_TOKEN = "x" * 32  # of forms and of the cookie that it is compared with


def _signed_in(person: int) -> str:
    """The cookies of somebody who is signed in."""
    from django.test import Client  # noqa: PLC0415

    from wiki.accounts.models import User  # noqa: PLC0415

    client = Client()
    client.force_login(User.objects.get(username=username(person)))
    return f"sessionid={client.cookies['sessionid'].value}; csrftoken={_TOKEN}"


def _shown_at(address: str) -> str:
    """Where a text is read: an article by its title."""
    from wiki.texts.addresses import address_of  # noqa: PLC0415
    from wiki.texts.models import Page  # noqa: PLC0415

    _, _, pk, rest = address.split("/", 3)
    return address if rest else address_of(Page.objects.get(pk=pk))


def _taken(clock: Callable[[], float], do: Callable[[], object]) -> float:
    start = clock()
    do()
    return clock() - start


# The one site of this process.
_open = contextlib.ExitStack()
_visited: list[Visited] = []


def open_site(n_texts: int, n_people: int, database: str) -> str:
    """Make a site and what a crowd writes on it; the kind of database. The other functions are for this process."""
    _open.enter_context(site(database))
    code = "import django; django.setup(); from tests.benchmarks.bulk import write_crowd; write_crowd({}, {})"
    # in a process of its own, so that nothing of it is in this one's memory
    subprocess.run([sys.executable, "-c", code.format(n_texts, n_people)], cwd=ROOT, check=True)
    _visited.append(Visited(Crowd(n_texts, n_people)))
    from django.db import connection  # noqa: PLC0415

    return connection.vendor


def visit(page: str, number: int, *, signed_in: bool) -> Visit:
    return _visited[0].visit(page, number, signed_in=signed_in)


def post(what: str, number: int) -> float:
    return _visited[0].post(what, number)


def n_told() -> int:
    """How many people were told of the newest revision."""
    from wiki.following.models import Notification  # noqa: PLC0415
    from wiki.texts.models import Revision  # noqa: PLC0415

    return Notification.objects.filter(revision=Revision.objects.order_by("-pk")[0]).count()


def load() -> dict[str, float]:
    """Many readers at once, of the pages of all heads."""
    return load_of([f"/m/{MODEL}/L{layer}H{head}/" for layer in range(N_LAYERS) for head in range(N_HEADS)])


def close_site() -> None:
    from django.db import connection  # noqa: PLC0415

    connection.close()
    _open.close()
