"""Files and folders that survive a killed process: checksums, syncs, folders that are locked while they are written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_folder(path: Path, *, only_if: Callable[[Path], bool] = Path.exists) -> None:
    """Remove a folder if `only_if` says so of it; what is not there is no error.

    It is renamed first, so that nobody finds half of it. What another process put in its place just before the renaming
    is asked about as well, and is put back.
    """
    if not only_if(path):
        return
    aside = path.with_name(f"..{uuid.uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if not only_if(aside):
            with contextlib.suppress(OSError):  # a third one was faster
                aside.rename(path)
    shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to write into, locked and removed at the end unless it was renamed.

    What killed writers of the same `path` left is removed first.
    """
    with _folder(path.parent, f".{path.name}.") as aside:
        yield aside


@contextlib.contextmanager
def scratch_folder(store: Path, purpose: str) -> Iterator[Path]:
    """Yield an empty folder of the store to work in, and remove it at the end; folders that processes which were
    killed left for the same purpose are removed first."""
    with _folder(store, f"{purpose}-") as folder:
        yield folder


@contextlib.contextmanager
def _folder(parent: Path, prefix: str) -> Iterator[Path]:
    folder = parent / f"{prefix}{uuid.uuid4().hex}"
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):
        if is_left_behind(left):
            shutil.rmtree(left, ignore_errors=True)
    try:
        with _made_and_locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def is_left_behind(aside: Path) -> bool:
    """Whether nobody writes into this folder any more: a living writer holds its lock."""
    try:
        descriptor = os.open(aside, os.O_RDONLY)
    except FileNotFoundError:
        return False  # its writer has just finished
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
