"""A cheap HTTP client: some connections ask for random pages until the time is over. Prints JSON.

`python -m tests.benchmarks.client PORT CONNECTIONS SECONDS`, addresses on stdin.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import statistics
import sys
import time


async def ask(port: int, request: bytes) -> bytes:
    """The whole answer, over a connection of its own."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, request)
        parts = []
        while part := await loop.sock_recv(connection, 1 << 18):
            parts.append(part)
    return b"".join(parts)


async def run(port: int, connections: int, seconds: float, pages: list[str]) -> dict[str, float]:
    requests = [f"GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode() for page in pages]
    taken: list[float] = []
    sizes: list[int] = []
    failures = 0
    chosen = random.Random(0)  # noqa: S311 (nothing secret)
    end = time.perf_counter() + seconds

    async def reader() -> None:
        nonlocal failures
        while (start := time.perf_counter()) < end:
            try:
                answer = await ask(port, chosen.choice(requests))
            except OSError:
                answer = b""
            taken.append(time.perf_counter() - start)
            sizes.append(len(answer))
            failures += not answer.startswith(b"HTTP/1.1 200")

    start, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(reader() for _ in range(connections)))
    return {
        "answers": len(taken),
        "failures": failures,
        "seconds": time.perf_counter() - start,
        "bytes": statistics.mean(sizes),
        "p50": 1000 * statistics.median(taken),
        "p99": 1000 * statistics.quantiles(taken, n=100)[98],
        "client": 1000 * (time.process_time() - processor) / len(taken),
    }


if __name__ == "__main__":
    port, connections, seconds = (int(argument) for argument in sys.argv[1:])
    print(json.dumps(asyncio.run(run(port, connections, seconds, sys.stdin.read().split()))))
