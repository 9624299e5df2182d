"""What a store holds, on the disk and in the bucket that it is the cache of, whether anything names it or not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from .artifacts import MANIFEST
from .bucket import Bucket, Object
from .files import is_left_behind, remove_folder
from .remotes import remote_of


class EntryKind(Enum):
    """What an entry of the store is. The value is the folder that it is in, where it is an artifact."""

    MODEL = "models"
    DATASET = "datasets"
    SURVEY = "surveys"
    PARTIALS = "partials"  # of one survey or reading of weights, all its parts
    WEIGHTS = "weights"
    PROMPT = "prompts"
    PROMOTED = "promoted"  # under the hash of its prompt
    VOCABULARY = "vocabularies"  # under the hash of its model
    ASIDE = "aside"  # a folder that was being written into
    STRAY = "stray"  # an object that its artifact's manifest does not name: of a writer who came second


_ARTIFACTS = {kind.value: kind for kind in EntryKind if kind not in (EntryKind.ASIDE, EntryKind.STRAY)}


@dataclass(frozen=True)
class Entry:
    """One thing in the store, with its copies."""

    kind: EntryKind
    path: Path
    bytes: int
    modified: datetime  # of its newest file
    meta: dict[str, Any] | None  # of a whole artifact's manifest; None of anything else
    keys: tuple[str, ...] = ()  # of its objects in the bucket

    @property
    def name(self) -> str:
        return self.path.name


def entries_of(store: Path) -> list[Entry]:
    """Everything in the store's folders for artifacts and partials, and what killed writers left.

    What a living writer is writing on this machine is left out.
    """
    remote = remote_of(store)
    found = [*_on_disk(store), *(_in_bucket(store, remote[0]) if remote else ())]
    together: dict[Path, Entry] = {}
    for entry in found:
        other = together.get(entry.path)
        together[entry.path] = _joined(other, entry) if other else entry
    return [together[path] for path in sorted(together)]


def discard(store: Path, entry: Entry) -> None:
    """Remove an entry here and in the bucket."""
    if (remote := remote_of(store)) and entry.keys:
        # without its manifest an artifact is gone, whatever of it is still there
        remote[0].delete(sorted(entry.keys, key=lambda key: not key.endswith(f"/{MANIFEST}")))
    remove_folder(entry.path)


def _joined(one: Entry, other: Entry) -> Entry:
    return Entry(
        one.kind,
        one.path,
        one.bytes + other.bytes,
        max(one.modified, other.modified),
        other.meta or one.meta,
        one.keys + other.keys,
    )


def _on_disk(store: Path) -> Iterator[Entry]:
    for folder in _folders(store):
        if _is_aside(folder):
            yield from _left_behind(folder)
        for child in _folders(folder) if folder.name in _ARTIFACTS else ():
            if _is_aside(child):
                yield from _left_behind(child)
                continue
            for shard in _folders(child):
                yield from _left_behind(shard) if _is_aside(shard) else ()
            yield _folder_entry(_ARTIFACTS[folder.name], child)


def _is_aside(folder: Path) -> bool:
    return folder.name.startswith((".", "fetch-"))


def _left_behind(folder: Path) -> Iterator[Entry]:
    if is_left_behind(folder):
        yield _folder_entry(EntryKind.ASIDE, folder)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _folder_entry(kind: EntryKind, folder: Path) -> Entry:
    size, newest = 0, folder.stat().st_mtime
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a living writer's
            status = path.lstat()
            size, newest = size + (0 if path.is_dir() else status.st_size), max(newest, status.st_mtime)
    manifest = folder / MANIFEST
    parsed = _parsed(manifest.read_bytes() if manifest.is_file() else None)
    return Entry(kind, folder, size, datetime.fromtimestamp(newest, UTC), parsed.get("meta"))


def _in_bucket(store: Path, bucket: Bucket) -> Iterator[Entry]:
    groups: dict[tuple[str, str], list[Object]] = {}
    for found in bucket.objects(""):
        kind, name, *rest = found.key.split("/")[:3] if found.key.count("/") >= 2 else ("", "")
        if kind in _ARTIFACTS and rest:
            groups.setdefault((kind, name), []).append(found)
    for (kind, name), objects in groups.items():
        path, key = store / kind / name, f"{kind}/{name}"
        manifest = _parsed(bucket.read_small(f"{key}/{MANIFEST}") if kind != EntryKind.PARTIALS.value else None)
        named = {f"{key}/{entry['sha256']}-{file}" for file, entry in manifest.get("files", {}).items()}
        strays = [found for found in objects if named and found.key not in {*named, f"{key}/{MANIFEST}"}]
        yield _object_entry(_ARTIFACTS[kind], path, [o for o in objects if o not in strays], manifest.get("meta"))
        for stray in strays:
            yield _object_entry(EntryKind.STRAY, path / stray.key.rsplit("/", 1)[1], [stray], None)


def _object_entry(kind: EntryKind, path: Path, objects: list[Object], meta: dict[str, Any] | None) -> Entry:
    newest = max(found.modified for found in objects)
    return Entry(kind, path, sum(o.size for o in objects), newest, meta, tuple(found.key for found in objects))


def _parsed(manifest: bytes | None) -> dict[str, Any]:
    """A manifest, or nothing where there is none that can be read."""
    with contextlib.suppress(ValueError, TypeError):
        return dict(json.loads(manifest or b"{}"))
    return {}
