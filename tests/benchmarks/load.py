"""Many readers at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import httpx

from tests.postgres import free_port

from .data import MODEL
from .machine import ROOT
from .pages import N_HEADS, N_LAYERS
from .report import BenchmarkError, Figure
from .site import site

ABOUT = (
    "gunicorn with two synchronous workers, 30 connections on loopback that ask for random cached head pages one after "
    "the other without a pause, a new connection a page, as anonymous readers. The client is a process of its own on "
    "the same cores, so its time is in the figures."
)
CONNECTIONS, SECONDS = 30, 10


def measure() -> list[Figure]:
    with site():
        found = load_of([f"/m/{MODEL}/L{layer}H{head}/" for layer in range(N_LAYERS) for head in range(N_HEADS)])
    rate = found["answers"] / found["seconds"]
    note = f"{found['answers']} pages, {rate:.0f} a second, {found['bytes']:,.0f} bytes each"
    return [
        Figure("cached head page, p50", found["p50"], "ms", at_most=25, note=note),
        Figure("cached head page, p99", found["p99"], "ms", at_most=120),
        Figure("the client's own processor time", found["client"], "ms a page"),
    ]


def load_of(pages: list[str]) -> dict[str, float]:
    """What the client says of these pages of the site of the environment, each of which was asked for before."""
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "wiki.wsgi", "--bind", f"127.0.0.1:{port}"),
            *("--workers", "2", "--log-level", "error"),
        ],
        cwd=ROOT,
    )
    try:
        _wait(port)
        for page in pages * 2:  # whichever worker answers: the cache is shared, opened files are not
            answer = httpx.get(f"http://127.0.0.1:{port}{page}")
            if answer.status_code != 200:
                raise BenchmarkError(f"Asking for {page}: expected a page, got {answer.status_code}.")
        return _ask(port, pages)
    finally:
        server.terminate()
        server.wait(30)


def _wait(port: int) -> None:
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/health/", timeout=5)
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    raise BenchmarkError("Starting gunicorn: expected an answer within ten seconds, got none.")


def _ask(port: int, pages: list[str]) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.client", str(port), str(CONNECTIONS), str(SECONDS)]
    client = subprocess.run(command, input="\n".join(pages), cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(client.stdout)
    if found["failures"]:
        raise BenchmarkError(f"Asking for head pages: expected answers, got {found['failures']:.0f} failures.")
    return found
