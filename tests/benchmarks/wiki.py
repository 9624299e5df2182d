"""What people write, and how fast it is read and written, on a large site beside a small one."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from . import visited
from .report import Figure
from .visited import PAGES, POSTS, PRIVATE, TELLING, Visit

ABOUT = (
    "A site with 1,000 texts by 12 people and one with 100,000 texts, more than 300,000 links and 1,000 people, each "
    "in a process of its own, asked in turn through the whole of their WSGI application: anonymously after a change, "
    "so that no page is kept, and, by the clock, with what was kept since; and signed in as somebody who has thousands "
    "of notifications; of three times the quickest. Heads, an article and a thread with hundreds of texts have more of "
    "everything than a page shows on both. A time without another word is the processor's on SQLite, which is part of "
    "the process, and the clock's on PostgreSQL. A ratio is the large site's median by the small one's, of what takes "
    "a millisecond at least. A post is measured by the clock, with all that it does before it is answered."
)
SMALL, LARGE = (1_000, 12), (100_000, 1_000)
VISITS, POSTED, WARM_UP = 20, 20, 3
# What takes less is not compared: a tenth of a millisecond would be a ratio.
SHORTEST = 0.001


class OtherProcess:
    """Calls functions of `visited` in a process of its own."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def start(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> concurrent.futures.Future[Any]:
        return self._pool.submit(function, *arguments, **named)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return self.start(function, *arguments, **named).result()

    def close(self) -> None:
        self.call(visited.close_site)
        self._pool.shutdown()


def measure() -> list[Figure]:
    address = os.environ.get("LOUPE_DATABASE_URL", "")
    with contextlib.ExitStack() as stack:
        sites = []
        for name in ("small", "large"):
            sites.append(OtherProcess())
            stack.callback(sites[-1].close)
            database = stack.enter_context(_database(address, f"loupe_bench_{name}"))
            sites[-1].call(visited.open_site, *(SMALL if name == "small" else LARGE), database)
        figures = []
        for page in PAGES:
            for signed_in in (False, True) if page not in PRIVATE else (True,):
                figures += _of_page(page, *sites, signed_in=signed_in)
        figures.append(_loaded(sites[1]))
        for what in POSTS:
            figures += _of_post(what, *sites)
        return figures


@contextlib.contextmanager
def _database(cluster: str, name: str) -> Iterator[str]:
    """A new database of the PostgreSQL at this address, and its own address; nothing for SQLite."""
    if not cluster.startswith("postgres"):
        yield ""
        return
    import psycopg  # noqa: PLC0415 (only where it is PostgreSQL)

    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(cluster)._replace(path=f"/{name}").geturl()


def _of_page(page: str, small: OtherProcess, large: OtherProcess, *, signed_in: bool) -> list[Figure]:
    visits: dict[OtherProcess, list[Visit]] = {small: [], large: []}
    for number in range(-WARM_UP, VISITS):
        for each, found in visits.items():
            answer = each.call(visited.visit, page, number, signed_in=signed_in)
            if number >= 0:
                found.append(answer)
    who = "signed in" if signed_in else "anonymous"
    counts = {each: max(visit.queries for visit in found) for each, found in visits.items()}
    figures = [
        Figure(f"{page}, {who}: queries", counts[large], at_most=counts[small], note="as many as on the small site")
    ]
    medians = {each: statistics.median(visit.seconds for visit in found) for each, found in visits.items()}
    most = max(visit.seconds for visit in visits[large])
    note = f"most {1000 * most:.1f} ms"
    if signed_in:
        figures.append(Figure(f"{page}, {who}: p50", 1000 * medians[large], "ms", at_most=25, note=note))
    else:
        figures.append(Figure(f"{page}, {who}: uncached, p50", 1000 * medians[large], "ms", note=note))
        again = [seconds for visit in visits[large] for seconds in visit.again]
        p99 = 1000 * statistics.quantiles(again, n=100, method="inclusive")[98]
        figures.append(Figure(f"{page}, {who}: again, by the clock, p99", p99, "ms", at_most=120))
    return [*figures, _ratio(f"{page}, {who}", medians[small], medians[large])]


def _ratio(of: str, small: float, large: float) -> Figure:
    is_short = max(small, large) < SHORTEST
    note = f"{1000 * large:.2f} ms by {1000 * small:.2f} ms"
    return Figure(f"{of}: large by small site", large / small, at_most=None if is_short else 1.5, note=note)


def _loaded(large: OtherProcess) -> Figure:
    found = large.call(visited.load)
    note = f"{found['answers']} pages by 30 connections to two workers, as in `load`; p50 {found['p50']:.1f} ms"
    return Figure("cached head pages, many readers at once: p99", found["p99"], "ms", at_most=120, note=note)


def _of_post(what: str, small: OtherProcess, large: OtherProcess) -> list[Figure]:
    taken: dict[OtherProcess, list[float]] = {small: [], large: []}
    for number in range(-WARM_UP, POSTED):
        for each, found in taken.items():
            seconds = each.call(visited.post, what, number)
            if number >= 0:
                found.append(seconds)
    medians = {each: statistics.median(found) for each, found in taken.items()}
    note = f"most {1000 * max(taken[large]):.1f} ms"
    ratio = _ratio(what, medians[small], medians[large])
    if what in TELLING:
        told = {each: each.call(visited.n_told) for each in taken}
        note += f"; tells {told[large]} people, on the small site {told[small]}"
        ratio = dataclasses.replace(ratio, at_most=None)
    return [Figure(f"{what}: p50", 1000 * medians[large], "ms", at_most=60, note=note), ratio]
