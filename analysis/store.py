"""Artifacts on disk: immutable folders, written aside and renamed, manifest last, checksums inside.

No torch. An artifact is a folder with `manifest.json` (`{"meta": …, "files": {name: {"sha256", "bytes"}}}`); a folder
without a manifest is not an artifact. Arrays live in safetensors files and are read by slice, memory-mapped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
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


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A complete artifact, opened for reading."""

    path: Path
    meta: dict[str, Any]
    files: dict[str, dict[str, Any]]

    def verify(self) -> None:
        """Compare every file with its checksum; raise `StoreError` at the first that differs."""
        for name, entry in self.files.items():
            found = file_sha256(self.path / name)
            if found != entry["sha256"]:
                raise StoreError(
                    f"Verifying {self.path.name}: expected {name} with sha256 {entry['sha256'][:12]}…, "
                    f"got {found[:12]}…."
                )

    def read(self, array: str, index: Any = ..., *, file: str = "arrays") -> np.ndarray:
        """The slice `index` of `array`, without reading the rest of it.

        `file` is the name of the safetensors file without its ending.
        """
        try:
            with safe_open(self.path / f"{file}.safetensors", framework="numpy") as arrays:
                return np.asarray(arrays.get_slice(array)[index])
        except (SafetensorError, OSError) as error:
            raise StoreError(f"Reading {array} of {file} in {self.path.name}: {error}.") from error

    def names(self, *, file: str = "arrays") -> list[str]:
        """The arrays in one of the artifact's safetensors files."""
        try:
            with safe_open(self.path / f"{file}.safetensors", framework="numpy") as arrays:
                return sorted(arrays.keys())
        except (SafetensorError, OSError) as error:
            raise StoreError(f"Listing {file} in {self.path.name}: {error}.") from error


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
        try:
            aside.mkdir(parents=True)
            yield aside
            names = sorted(file.name for file in aside.iterdir())
            files = {
                name: {"sha256": file_sha256(aside / name), "bytes": (aside / name).stat().st_size} for name in names
            }
            for name in names:
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


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
