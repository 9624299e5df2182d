"""A model hub of one machine: the few addresses that fetching a model asks for, over folders of files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Hub:
    """What the server has: folders by (name, commit), and branches and tags by (name, revision)."""

    def __init__(self) -> None:
        self.url = ""
        self.commits: dict[tuple[str, str], Path] = {}
        self.revisions: dict[tuple[str, str], str] = {}
        self.gated: set[str] = set()
        self.card: dict[str, Any] = {}
        self.requests: list[str] = []
        self.broken = False

    def publish(self, name: str, folder: Path, *, commit: str, revision: str = "main") -> None:
        self.commits[name, commit] = folder
        self.revisions[name, revision] = commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        self.requests.append(path)
        if self.broken:
            return 503, {}, b"out of order"
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            found = self._find(name, revision or "main")
            if isinstance(found, str):
                files = [{"rfilename": file.name} for file in sorted(self.commits[name, found].iterdir())]
                body = {"id": name, "sha": found, "siblings": files, "cardData": self.card, "tags": []}
                return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()
            return found
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        found = self._find(name, revision)
        if not isinstance(found, str):
            return found
        content = self.commits[name, found] / file
        if not content.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data = content.read_bytes()
        return 200, {"X-Repo-Commit": found, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}, data

    def _find(self, name: str, revision: str) -> str | tuple[int, dict[str, str], bytes]:
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if not any(known == name for known, _ in self.commits):
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        commit = self.revisions.get((name, revision), revision)
        return commit if (name, commit) in self.commits else (404, {"X-Error-Code": "RevisionNotFound"}, b"")


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub that answers at its `url` while the block runs."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(with_body=True)

        def do_HEAD(self) -> None:
            self.reply(with_body=False)

        def reply(self, *, with_body: bool) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
