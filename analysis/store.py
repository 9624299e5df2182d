"""Artifacts on disk: immutable folders, written aside and renamed, manifest last, checksums inside.

No torch. An artifact is a folder with `manifest.json` (`{"meta": …, "files": {name: {"sha256", "bytes"}}}`); a folder
without a manifest is not an artifact. Arrays live in safetensors files and are read by slice, memory-mapped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

MANIFEST = "manifest.json"


class StoreError(Exception):
    """An artifact cannot be written or read; the message is one sentence for a person."""


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def survey_path(store: Path, survey_hash: str) -> Path:
    """Where the artifact of a survey is: the one place of the store that both halves know."""
    return store / "surveys" / survey_hash


def weights_path(store: Path, weights_hash: str) -> Path:
    """Where the artifact of what was read from a model's weights is."""
    return store / "weights" / weights_hash


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A complete artifact, opened for reading."""

    path: Path
    meta: dict[str, Any]
    files: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """For sentences: the folder's name, a hash cut short."""
        return self.path.name if len(self.path.name) < 64 else f"{self.path.name[:8]}…"

    def verify(self, *names: str) -> None:
        """Compare the files of these names, or all, with their checksums; raise `StoreError` at one that differs."""
        for name in names or self.files:
            with readable_errors(f"Verifying {self.name}"):
                expected, found = self.files[name]["sha256"], file_sha256(self.path / name)
            if found != expected:
                raise StoreError(
                    f"Verifying {self.name}: expected {name} with sha256 {expected[:12]}…, got {found[:12]}…."
                )

    def modified_ns(self, name: str) -> int:
        """When one of the files was last written, in nanoseconds; a cheap sign that it was touched."""
        with readable_errors(f"Looking at {name} in {self.name}"):
            return (self.path / name).stat().st_mtime_ns

    def read(self, array: str, index: Any = ..., *, file: str = "arrays") -> np.ndarray:
        """The slice `index` of `array`, without reading the rest of it.

        `file` is the name of the safetensors file without its ending.
        """
        with (
            readable_errors(f"Reading {array} of {file} in {self.name}"),
            safe_open(self.path / f"{file}.safetensors", framework="numpy") as arrays,
        ):
            return np.asarray(arrays.get_slice(array)[index])

    def names(self, *, file: str = "arrays") -> list[str]:
        """The arrays in one of the artifact's safetensors files."""
        with (
            readable_errors(f"Listing {file} in {self.name}"),
            safe_open(self.path / f"{file}.safetensors", framework="numpy") as arrays,
        ):
            return sorted(arrays.keys())


def open_artifact(path: Path) -> Artifact:
    """Open the artifact at `path`; a missing manifest or a file of another size than it says is a `StoreError`."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        artifact = Artifact(path, manifest["meta"], manifest["files"])
    except FileNotFoundError as error:
        raise StoreError(f"Opening {path.name}: expected a complete artifact, found none at {path}.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Opening {path.name}: its {MANIFEST} cannot be read ({error}).") from error
    for name, entry in artifact.files.items():
        size = (path / name).stat().st_size if (path / name).is_file() else None
        if size != entry["bytes"]:
            found = "no such file" if size is None else f"{size} bytes"
            raise StoreError(f"Opening {path.name}: expected {name} of {entry['bytes']} bytes, got {found}.")
    return artifact


def is_complete(path: Path) -> bool:
    """Whether an artifact was published at `path`. Says nothing of damage: opening it does."""
    return (path / MANIFEST).is_file()


def discard_unless_whole(path: Path) -> bool:
    """Whether a complete, undamaged artifact is at `path`; a damaged one is removed, so that it can be made anew."""
    try:
        open_artifact(path).verify()
    except StoreError:
        shutil.rmtree(path, ignore_errors=True)
        return False
    return True


@contextlib.contextmanager
def readable_errors(doing: str) -> Iterator[None]:
    """Turn what cannot be read into a `StoreError` with one sentence."""
    try:
        yield
    except KeyError as error:
        raise StoreError(f"{doing}: its manifest does not name {error}.") from error
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{doing}: {error}.") from error


@contextlib.contextmanager
def readable_write_errors(what: str, *, where: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into a `StoreError` with one sentence."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors writes in Rust and reports the operating system's errors only as text
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
        if full:
            raise StoreError(
                f"Writing {what}: the disk of {where} has too little room ({_free_megabytes(where)} MB free). "
                "Free some space and start Loupe again; what was finished is kept."
            ) from error
        raise StoreError(f"Writing {what} to {where}: {error}.") from error


def _free_megabytes(where: Path) -> int:
    existing = next(folder for folder in (where, *where.parents) if folder.exists())
    return shutil.disk_usage(existing).free // 1_000_000


@contextlib.contextmanager
def publish(path: Path, *, meta: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to write files into; on success make it the artifact at `path`.

    Nothing appears at `path` before everything is on disk. Whoever comes second finds the first one's artifact kept
    (specs decide contents, so both wrote the same). `meta` may be filled until the block ends.
    """
    aside = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    with readable_write_errors(path.name, where=path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        try:
            with _made_and_locked(aside):
                yield aside
                names = sorted(file.name for file in aside.iterdir())
                files = {}
                for name in names:
                    files[name] = {"sha256": file_sha256(aside / name), "bytes": (aside / name).stat().st_size}
                    _fsync(aside / name)
                (aside / MANIFEST).write_text(json.dumps({"meta": meta, "files": files}, indent=1, ensure_ascii=False))
                _fsync(aside / MANIFEST)
                _fsync(aside)
                _rename_unless_there(aside, path)
                _fsync(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def write_arrays(folder: Path, arrays: dict[str, np.ndarray], *, file: str = "arrays") -> None:
    """Write `arrays` as one safetensors file into a folder that is being published."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    (folder / f"{file}.safetensors").write_bytes(save(contiguous))


def _rename_unless_there(aside: Path, path: Path) -> None:
    try:
        aside.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not is_complete(path):
            raise


@contextlib.contextmanager
def _made_and_locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock, which the operating system takes back if this process dies."""
    unlocked = folder.with_name(f"..{uuid.uuid4().hex}")  # until the lock is held, under a name nobody cleans up
    unlocked.mkdir()
    descriptor = os.open(unlocked, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        unlocked.rename(folder)
        yield
    finally:
        os.close(descriptor)


def _remove_left_behind(path: Path) -> None:
    """Remove what writers of the same artifact left aside when they were killed; living ones hold a lock."""
    for aside in path.parent.glob(f".{path.name}.*"):
        try:
            descriptor = os.open(aside, os.O_RDONLY)
        except FileNotFoundError:
            continue  # its writer has just finished
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(aside, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
