"""The form of an archive of the whole wiki: a folder, or the same in a zip file.

    manifest.json     what it is, and the bytes and sha256 of every other file
    people.jsonl      accounts without passwords, keys and sessions; with e-mail addresses
    groups.jsonl      research groups and who is in them
    pages.jsonl       every page, hidden ones too, with its aliases and tags; before what hangs on it. No drafts
    revisions.jsonl   all that was ever saved, with what is withheld and why, in the order in which it was saved
    watches.jsonl     who watches what
    audit.jsonl       the audit log
    texts/…/….md      the current text of every page, for people; nothing is restored from it

Rows name people by username, pages by number, revisions by page and number. Links are made anew from the texts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FORMAT, VERSION = "loupe-wiki", 1
MANIFEST = "manifest.json"
TABLES = ("people", "groups", "pages", "revisions", "watches", "audit")

Row = dict[str, Any]


class ArchiveError(Exception):
    """An archive that cannot be written or restored."""


class ArchiveWriter:
    """Writes files into a folder and counts what the manifest says of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Row] = {}

    def write_table(self, name: str, rows: Iterable[Row]) -> None:
        self._write(f"{name}.jsonl", (_line(row) for row in rows))

    def write_text(self, name: str, text: str) -> None:
        self._write(name, [text.encode()])

    def write_manifest(self, facts: Row) -> str:
        """The last file; returns its sha256."""
        manifest = {"format": FORMAT, "version": VERSION, **facts, "files": self.files}
        content = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True).encode()
        (self.folder / MANIFEST).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def _write(self, name: str, parts: Iterable[bytes]) -> None:
        path, digest, size = self.folder / name, hashlib.sha256(), 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for part in parts:
                file.write(part)
                digest.update(part)
                size += len(part)
        self.files[name] = {"bytes": size, "sha256": digest.hexdigest()}


@contextlib.contextmanager
def new_archive(path: Path) -> Iterator[ArchiveWriter]:
    """A writer of an archive that is at `path` only once all of it is written."""
    if path.exists():
        raise ArchiveError(f"Exporting to {path}: expected a name that is free, got one that is taken.")
    if not path.parent.is_dir():
        raise ArchiveError(f"Exporting to {path}: expected a folder at {path.parent}, found none.")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        folder = Path(scratch) / "archive"
        folder.mkdir()
        yield ArchiveWriter(folder)
        if path.suffix == ".zip":
            folder = Path(shutil.make_archive(str(folder), "zip", folder))
        folder.chmod(0o700 if folder.is_dir() else 0o600)  # it has what is hidden, and e-mail addresses
        folder.rename(path)


@contextlib.contextmanager
def checked_archive(path: Path) -> Iterator[Path]:
    """The folder of an archive whose every file is as its manifest says."""
    with contextlib.ExitStack() as stack:
        folder = path
        if not path.exists():
            raise ArchiveError(f"Restoring {path}: expected an archive, found nothing there.")
        if not path.is_dir():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loupe-restore-")))
            _unpack(path, folder)
        _check(path, folder)
        yield folder


def read_table(folder: Path, name: str) -> Iterator[Row]:
    """The rows of a table of a checked archive."""
    with (folder / f"{name}.jsonl").open(encoding="utf-8", newline="\n") as file:
        for line in file:
            yield json.loads(line)


def _line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)  # which keeps names inside the folder
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ArchiveError(f"Restoring {path}: expected a zip file or a folder, got what says: {error}.") from error


def _check(path: Path, folder: Path) -> None:
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise ArchiveError(
            f"Restoring {path}: expected an archive that export_wiki wrote, got one without {MANIFEST}."
        ) from error
    except ValueError as error:
        raise ArchiveError(f"Restoring {path}: expected JSON in {MANIFEST}, got what says: {error}.") from error
    known = manifest if isinstance(manifest, dict) else {}
    if known.get("format") != FORMAT or not isinstance(known.get("files"), dict):
        raise ArchiveError(f"Restoring {path}: expected an archive of a wiki of Loupe's, got one of something else.")
    if known.get("version") != VERSION:
        raise ArchiveError(
            f"Restoring {path}: expected version {VERSION} of the format, got {known.get('version')!r}; restore it "
            f"with the Loupe that wrote it."
        )
    there = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} - {MANIFEST}
    listed = set(known["files"])
    for name in sorted({f"{table}.jsonl" for table in TABLES} - listed | listed - there):
        raise ArchiveError(f"Restoring {path}: expected the file {name}, found none; the archive is damaged.")
    for name in sorted(there - listed):
        raise ArchiveError(f"Restoring {path}: expected files that its manifest lists, found {name} beside them.")
    for name, stated in known["files"].items():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not isinstance(stated, dict) or found != stated.get("sha256"):
            raise ArchiveError(
                f"Restoring {path}: expected {name} to have the sha256 of its manifest, got {found[:12]}…; the archive "
                f"is damaged."
            )
