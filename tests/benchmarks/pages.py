"""What a page costs: queries, processor time, bytes."""

from __future__ import annotations

import dataclasses
import gzip
import io
import re
import statistics
import time
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

import numpy as np

from .data import MODEL
from .report import BenchmarkError, Figure
from .site import site, text_address

ABOUT = (
    "Random pages of each type for an anonymous reader, on real data, through the whole of the site's WSGI "
    "application, in a process that has read the files of every layer before: queries and processor time with an "
    "empty cache of pages and with a full one (of three times the quickest), and the bytes that the first "
    "load transfers (HTML, styles and scripts as they are served to a browser that takes compression; without what "
    "only an interaction loads, and without plotly)."
)
PAGES = 30
# Of so many times that a page is asked for, the quickest: another program takes of a time, and gives nothing to it.
TIMES = 3
# So many random pages first: they read every layer's file once.
WARM_UP = 100
N_LAYERS, N_HEADS, N_NEURONS = 30, 9, 1536


@dataclasses.dataclass(frozen=True)
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes


class Site:
    """The WSGI application, asked as gunicorn asks it, with the cookies of one reader."""

    def __init__(self, cookies: str = "") -> None:
        from django.core.handlers.wsgi import WSGIHandler  # noqa: PLC0415 (Django is set up by now)

        self._application, self._cookies = WSGIHandler(), cookies

    def get(self, address: str) -> Answer:
        answer = self._ask("GET", address)
        if not answer.status.startswith("200"):
            raise BenchmarkError(f"Asking for {address}: expected a page, got {answer.status}.")
        return answer

    def post(self, address: str, fields: dict[str, str]) -> Answer:
        """Send a form; what it leads to when all is well is not asked for."""
        answer = self._ask("POST", address, urlencode(fields).encode())
        if not answer.status.startswith("302"):
            raise BenchmarkError(f"Sending a form to {address}: expected to be led on, got {answer.status}.")
        return answer

    def _ask(self, method: str, address: str, body: bytes = b"") -> Answer:
        found: list[tuple[str, dict[str, str]]] = []
        path, _, query = address.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "HTTP_ACCEPT_ENCODING": "gzip",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.version": (1, 0),
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        if self._cookies:
            environ["HTTP_COOKIE"] = self._cookies
        if body:
            environ |= {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body))}
        response = self._application(environ, lambda status, headers, *_: found.append((status, dict(headers))))
        content = b"".join(response)
        response.close()
        return Answer(*found[0], content)


def addresses() -> dict[str, Callable[[np.random.Generator], str]]:
    """By type of page: a random page of it."""
    model, text = f"/m/{MODEL}/", text_address()
    return {
        "model": lambda _: model,
        "layer": lambda random: f"{model}L{random.integers(N_LAYERS)}/",
        "head": lambda random: f"{model}L{random.integers(N_LAYERS)}H{random.integers(N_HEADS)}/",
        "neuron": lambda random: f"{model}L{random.integers(N_LAYERS)}N{random.integers(N_NEURONS)}/",
        "text": lambda _: text,
    }


def measure() -> list[Figure]:
    with site():
        figures, missing = [], []
        for kind, address in addresses().items():
            try:
                figures += _of_type(kind, address)
            except BenchmarkError as error:
                missing.append(str(error))
        if missing:
            raise BenchmarkError(" ".join(missing))
        return figures


def _of_type(kind: str, address: Callable[[np.random.Generator], str]) -> list[Figure]:
    from django.core.cache import cache  # noqa: PLC0415

    asked, random = Site(), np.random.default_rng(0)
    first = []
    for page in sorted({address(random) for _ in range(WARM_UP)}):
        cache.clear()
        first.append(processor_seconds(lambda page=page: asked.get(page)))
    uncached, cached, queries = [], [], []
    for _ in range(PAGES):
        page = address(random)
        uncached.append(min(_uncached_seconds(asked, page) for _ in range(TIMES)))
        cached.append(min(processor_seconds(lambda page=page: asked.get(page)) for _ in range(TIMES)))
        cache.clear()
        queries.append(count_queries(lambda page=page: asked.get(page)))
    sizes = [first_load(asked, page) for page in sorted({address(random) for _ in range(5)})]
    largest = max(sizes, key=lambda parts: sum(parts.values()))
    parts = ", ".join(f"{name} {size / 1000:.1f}" for name, size in largest.items())
    return [
        Figure(f"{kind} page: queries, most", max(queries), "", at_most=12),
        Figure(f"{kind} page: processor time uncached, p50", 1000 * statistics.median(uncached), "ms", at_most=12),
        Figure(
            f"{kind} page: the same of the warm-up, most",
            1000 * max(first),
            "ms",
            note="the process' first page of a layer compares its file with its checksum",
        ),
        Figure(f"{kind} page: processor time cached, p50", 1000 * statistics.median(cached), "ms", at_most=1),
        Figure(
            f"{kind} page: first load, largest", sum(largest.values()) / 1000, "kB", at_most=150, note=f"kB: {parts}"
        ),
    ]


def _uncached_seconds(asked: Site, page: str) -> float:
    from django.core.cache import cache  # noqa: PLC0415

    cache.clear()
    return processor_seconds(lambda: asked.get(page))


def processor_seconds(do: Callable[[], object]) -> float:
    start = time.process_time()
    do()
    return time.process_time() - start


def count_queries(do: Callable[[], object]) -> int:
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    with CaptureQueriesContext(connection) as captured:
        do()
    return len(captured)


class Loaded(HTMLParser):
    """The styles, scripts and icons that a page's HTML asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "link" and (attributes.get("rel") or "") in ("stylesheet", "modulepreload", "icon"):
            self.addresses.append(attributes.get("href") or "")
        if tag == "script" and attributes.get("src"):
            self.addresses.append(attributes["src"] or "")


# what modules and styles load in turn; `import()` waits for an interaction
_IMPORTS = re.compile(r"""(?:\bfrom\s*|^\s*import\s*|@import\s+(?:url\()?)["'](\.{0,2}/[\w./-]+)["']""", re.MULTILINE)


def first_load(asked: Site, page: str) -> dict[str, int]:
    """Bytes of a page's first load as they are served, by HTML, CSS, JS and others."""
    answer = asked.get(page)
    loaded = Loaded()
    loaded.feed(_text(answer))
    sizes = {"HTML": len(answer.body), "CSS": 0, "JS": 0, "other": 0}
    waiting, seen = [urljoin(page, address) for address in loaded.addresses], set[str]()
    while waiting:
        address = waiting.pop()
        if address in seen or "plotly" in address:
            continue
        seen.add(address)
        file = asked.get(address)
        kind = {"css": "CSS", "js": "JS"}.get(address.rsplit(".", 1)[-1], "other")
        sizes[kind] += len(file.body)
        if kind != "other":
            waiting += [urljoin(address, found) for found in _IMPORTS.findall(_text(file))]
    return sizes


def _text(answer: Answer) -> str:
    match answer.headers.get("Content-Encoding"):
        case "gzip":
            return gzip.decompress(answer.body).decode()
        case None:
            return answer.body.decode()
        case other:
            raise BenchmarkError(f"Reading a page: expected gzip or no encoding, got {other}.")
