"""Which local folders are caches of an object store.

Everything that measures or shows is given a store as a `Path`. Where a process has said that this folder is the cache
of a bucket, the artifact at a path below it is the objects under the same name in the bucket.
"""

from __future__ import annotations

from pathlib import Path

from .bucket import Bucket

# Seconds for which a bucket that does not answer is tried again: a page must not wait longer, a worker can.
PAGE_PATIENCE = 4.0
WORKER_PATIENCE = 60.0

_BUCKETS: dict[Path, Bucket] = {}


def open_store(data: Path, url: str, *, patient: bool = False) -> Path:
    """The store of a data folder: `data/store` itself, or, where `url` (LOUPE_STORE) names a bucket, as its cache.

    A `patient` process is a worker, who waits out a restart of the object store.
    """
    store = data / "store"
    known = _BUCKETS.get(store)
    if not url:
        _BUCKETS.pop(store, None)
    elif known is None or known.url != url.rstrip("/"):
        _BUCKETS[store] = Bucket(url, patience=WORKER_PATIENCE if patient else PAGE_PATIENCE)
    return store


def remote_of(path: Path) -> tuple[Bucket, str] | None:
    """The bucket that holds what belongs at `path`, and the key there; None where the disk is all there is."""
    if not _BUCKETS:
        return None
    for store in (path, *path.parents):
        if bucket := _BUCKETS.get(store):
            key = path.relative_to(store).as_posix()
            return bucket, "" if key == "." else key
    return None
