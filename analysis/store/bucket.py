"""An S3-compatible object store: a bucket and a prefix in it. Needs `requirements-s3.txt`.

Endpoint and credentials come from the standard variables: AWS_ENDPOINT_URL (another server than Amazon's), AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .errors import StoreError, StoreUnreachableError

CONNECT_SECONDS = 2
READ_SECONDS = 60
CHUNK_BYTES = 8 * 1024 * 1024


class Object(NamedTuple):
    """One object of the bucket."""

    key: str  # without the bucket's prefix
    size: int
    etag: str
    modified: datetime


class Bucket:
    """Objects under `s3://bucket/prefix`. A `StoreUnreachableError` says in one sentence why there is no answer."""

    def __init__(self, url: str, *, patience: float) -> None:
        """`patience`: for how many seconds what went wrong is tried again."""
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise StoreError(f"Reading LOUPE_STORE: expected s3://bucket/prefix, got “{url}”.")
        self.url = url.rstrip("/")
        try:
            import obstore  # noqa: PLC0415 (only where there is an object store)
            from obstore.store import S3Store  # noqa: PLC0415
        except ImportError as error:
            raise StoreError(
                f"Opening {self.url}: expected the package obstore, found none; install requirements-s3.txt."
            ) from error
        self._obstore: Any = obstore
        try:
            self._store: Any = S3Store(
                parts.netloc,
                prefix=prefix or None,
                client_options={
                    "allow_http": True,  # AWS_ENDPOINT_URL says whether a server of one's own speaks TLS
                    "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                    "timeout": timedelta(seconds=READ_SECONDS),
                },
                retry_config={"max_retries": 100, "retry_timeout": timedelta(seconds=patience)},
                checksum_algorithm="SHA256",  # the store checks what arrives and keeps the checksum
            )
        except obstore.exceptions.BaseError as error:
            raise StoreError(f"Opening {self.url}: {_reason(str(error))}.") from error

    def read(self, key: str, *, start: int, stop: int, etag: str) -> bytes:
        """Some bytes of an object; that it is no longer the object of this ETag, or gone, is a `StoreError`."""
        try:
            with self._answered("Reading", key):
                answer = self._obstore.get(self._store, key, options={"range": (start, stop), "if_match": etag})
                return bytes(answer.bytes())
        except (self._obstore.exceptions.PreconditionError, FileNotFoundError) as error:
            raise StoreError(
                f"Reading {self.url}/{key}: expected the object that was opened, got another or none; "
                "it was changed or removed."
            ) from error

    def read_small(self, key: str) -> bytes | None:
        """All of a small object, or None if there is none."""
        try:
            with self._answered("Reading", key):
                return bytes(self._obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            return None

    def stream(self, key: str) -> Iterator[bytes]:
        """All of an object, in pieces."""
        try:
            with self._answered("Reading", key):
                for piece in self._obstore.get(self._store, key).stream(min_chunk_size=CHUNK_BYTES):
                    yield bytes(piece)
        except FileNotFoundError as error:
            raise StoreError(f"Reading {self.url}/{key}: expected an object, found none.") from error

    def download(self, key: str, path: Path) -> str:
        """Write an object into a new file and return its sha256 (hex)."""
        digest = hashlib.sha256()
        with path.open("xb") as file:
            for piece in self.stream(key):
                digest.update(piece)
                file.write(piece)
        return digest.hexdigest()

    def exists(self, key: str) -> bool:
        try:
            with self._answered("Looking for", key):
                self._obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def upload(self, key: str, path: Path) -> None:
        """Put a file's bytes; large ones go in parts and appear when all are there."""
        with self._answered("Writing", key), path.open("rb") as file:
            self._obstore.put(self._store, key, file, chunk_size=CHUNK_BYTES)

    def put_first(self, key: str, data: bytes) -> bool:
        """Put a small object unless there is one; False if there was."""
        try:
            with self._answered("Writing", key):
                self._obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except self._obstore.exceptions.AlreadyExistsError:
            return False
        return True

    def objects(self, prefix: str) -> list[Object]:
        """The objects below `prefix/`, or all."""
        with self._answered("Listing", prefix):
            entries = self._obstore.list(self._store, prefix or None).collect()
        return [Object(e["path"], e["size"], e["e_tag"] or "", e["last_modified"]) for e in entries]

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; what is not there is no error."""
        for key in keys:
            with self._answered("Removing", key), contextlib.suppress(FileNotFoundError):
                self._obstore.delete(self._store, key)

    @contextlib.contextmanager
    def _answered(self, doing: str, key: str) -> Iterator[None]:
        """Let pass what the caller understands; anything else means that the store did not do it."""
        exceptions = self._obstore.exceptions
        where = f"{doing} {self.url}/{key}".rstrip("/")
        try:
            yield
        except (exceptions.PreconditionError, exceptions.AlreadyExistsError):
            raise
        except (FileNotFoundError, exceptions.BaseError) as error:
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                raise
            raise StoreUnreachableError(f"{where}: {_refusal(str(error))}.") from error


def _refusal(report: str) -> str:
    """Why the store did not do it, in a few words. Listing reports every refusal as the same kind of error."""
    reason = _reason(report)
    if "NoSuchBucket" in report:
        return "the object store has no such bucket"
    if "403 Forbidden" in report or "401 Unauthorized" in report:
        return f"the object store refused the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({reason})"
    if "<Code>" in report:
        return f"the object store answered with an error ({reason})"
    return f"the object store does not answer ({reason})"


def _reason(report: str) -> str:
    """The server's code or the operating system's words, out of a report of many lines."""
    for pattern in (r"<Code>(\w+)</Code>", r'message: "([^"]+)"', r'error: "([^"]+)"'):
        if found := re.findall(pattern, report):
            return str(found[-1])
    return report.splitlines()[0].strip().rstrip(".")
