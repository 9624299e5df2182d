"""Artifacts: immutable folders, written aside and renamed, manifest last, checksums inside.

An artifact is a folder with `manifest.json` (`{"meta": …, "files": {name: {"sha256", "bytes"}}}`); a folder without a
manifest is not an artifact. Arrays live in safetensors files and are read by slice, memory-mapped.

In an object store an artifact is `<path>/manifest.json`, put last and never replaced, and `<path>/<sha256>-<name>` for
each file, so that writers of different bytes do not meet. The manifest there is the truth: a local copy counts only
while it has the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from .bucket import Bucket, Object
from .errors import StoreError, StoreUnreachableError, readable_errors, readable_write_errors
from .files import file_sha256, folder_aside, fsync, remove_folder
from .remotes import remote_of
from .slices import Header, HeaderError, Place, array_in, read_header, read_slice

MANIFEST = "manifest.json"


def survey_path(store: Path, survey_hash: str) -> Path:
    """Where the artifact of a survey is: the one place of the store that both halves know."""
    return store / "surveys" / survey_hash


def prompt_path(store: Path, prompt_hash: str) -> Path:
    """Where what is kept of a person's own text is."""
    return store / "prompts" / prompt_hash


def promoted_path(store: Path, prompt_hash: str) -> Path:
    """Where the tokens are that heads promote on a person's own text."""
    return store / "promoted" / prompt_hash


def vocabulary_path(store: Path, model_hash: str) -> Path:
    """Where the texts of a model's tokens are."""
    return store / "vocabularies" / model_hash


def scrub_path(store: Path, experiment_hash: str) -> Path:
    """Where what came out of a scrub is, by the hash of its experiment with its seed."""
    return store / "scrubs" / experiment_hash


def weights_path(store: Path, spec_hash: str) -> Path:
    """Where what a model's weights say is."""
    return store / "weights" / spec_hash


def address_of(path: Path) -> str:
    """Where a person finds what belongs at `path`: that folder, or the address in the object store."""
    remote = remote_of(path)
    return f"{remote[0].url}/{remote[1]}".rstrip("/") if remote else str(path)


def paths_in(folder: Path) -> list[Path]:
    """Where the artifacts of a folder of the store are, by name, whole or damaged, fetched or not."""
    remote = remote_of(folder)
    if remote is None:
        return sorted(folder.glob("[!.]*"))
    bucket, key = remote
    manifests = (Path(found.key) for found in bucket.objects(key) if found.key.endswith(f"/{MANIFEST}"))
    return sorted(folder / manifest.relative_to(key).parent for manifest in manifests)


@dataclasses.dataclass(frozen=True, eq=False)
class Artifact:
    """A complete artifact on this machine's disk, opened for reading."""

    path: Path
    meta: dict[str, Any]
    files: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """For sentences: the folder's name, a hash cut short."""
        return self.path.name if len(self.path.name) < 64 else f"{self.path.name[:8]}…"

    def verify(self, *names: str) -> None:
        """Compare the files of these names, or all, with their checksums; raise `StoreError` at one that differs."""
        asked = names or tuple(self.files)
        with readable_errors(f"Verifying {self.name}"), ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, found in zip(asked, pool.map(self._sha256, asked), strict=True):
                _require_equal(self.name, name, expected=self.files[name]["sha256"], found=found)

    def check(self, *names: str) -> None:
        """Make sure, cheaply enough for every read, that the files of these names, or all, are undamaged.

        Each is compared with its checksum the first time that this process asks, and whenever it was touched.
        """
        for name in names or self.files:
            with readable_errors(f"Verifying {self.name}"):
                path = f"{self.path}/{name}"
                status = os.stat(path)  # noqa: PTH116 (as in `_mapped`)
                found = _sha256_when(path, (status.st_ino, status.st_mtime_ns, status.st_size))
                expected = self.files[name]["sha256"]
            _require_equal(self.name, name, expected=expected, found=found)

    def confirm(self, name: str) -> None:
        """Make sure that the file of this name is still there and undamaged, for who kept what was read from it."""
        self.check(name)

    def read(self, array: str, index: Any = ..., *, file: str = "arrays") -> np.ndarray:
        """The slice `index` of `array`, without reading the rest of it.

        `file` is the name of the safetensors file without its ending.
        """
        memory, header = self._mapped(file, doing=f"Reading {array} of {file} in {self.name}")
        return np.array(array_in(memory, self._place(header, array, file=file))[index])

    def read_text(self, name: str) -> str:
        """A file of text, whole; checked, as `check` does."""
        self.check(name)
        with readable_errors(f"Reading {name} of {self.name}"):
            return (self.path / name).read_text(encoding="utf-8")

    def names(self, *, file: str = "arrays") -> list[str]:
        """The arrays in one of the artifact's safetensors files."""
        return sorted(self._header(file, doing=f"Listing {file} in {self.name}"))

    def _sha256(self, name: str) -> str:
        return file_sha256(self.path / name)

    def _header(self, file: str, *, doing: str) -> Header:
        return self._mapped(file, doing=doing)[1]

    def _mapped(self, file: str, *, doing: str) -> tuple[mmap.mmap, Header]:
        path = f"{self.path}/{file}.safetensors"  # text and os.stat: pathlib would cost more than the reading
        with readable_errors(doing):
            status = os.stat(path)  # noqa: PTH116
            return _map(path, (status.st_ino, status.st_mtime_ns, status.st_size))

    def _place(self, header: Header, array: str, *, file: str) -> Place:
        if array not in header:
            raise StoreError(f"Reading {array} of {file} in {self.name}: it has no such array.")
        return header[array]


# Survey pages read a few arrays of a layer, a file a layer: those of some models stay mapped.
@functools.lru_cache(maxsize=256)
def _map(path: str, _state: tuple[int, int, int]) -> tuple[mmap.mmap, Header]:
    """A file in memory and its header, kept while its inode, time and size are these."""
    with Path(path).open("rb") as file:
        try:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise HeaderError("the file is empty") from error
    return memory, read_header(lambda start, stop: memory[start:stop], len(memory))


@functools.lru_cache(maxsize=4096)
def _sha256_when(path: str, _state: tuple[int, int, int]) -> str:
    """The checksum of a file, kept while its inode, time and size are these."""
    return file_sha256(Path(path))


def _require_equal(artifact: str, file: str, *, expected: str, found: str) -> None:
    if found != expected:
        raise StoreError(f"Verifying {artifact}: expected {file} with sha256 {expected[:12]}…, got {found[:12]}….")


@dataclasses.dataclass(frozen=True, eq=False)
class RemoteArtifact(Artifact):
    """A complete artifact in an object store, whose arrays are read by ranges of bytes.

    Sizes were compared with the manifest when it was opened, and every read names the ETag seen then, so that the store
    refuses an object that was changed since. A changed byte from before is found by `verify`, which reads everything.
    """

    bucket: Bucket
    key: str
    etags: dict[str, str]

    def check(self, *names: str) -> None:
        """Nothing to do: opening compared the sizes, and each read says which object it means."""

    def confirm(self, name: str) -> None:
        """Read one byte of the object that was meant when the artifact was opened."""
        with readable_errors(f"Looking for {name} of {self.name}"):
            self.bucket.read(_file_key(self.key, name, self.files), start=0, stop=1, etag=self.etags[name])

    def read(self, array: str, index: Any = ..., *, file: str = "arrays") -> np.ndarray:
        header = self._header(file, doing=f"Reading {array} of {file} in {self.name}")
        place = self._place(header, array, file=file)
        name = f"{file}.safetensors"
        key, etag = _file_key(self.key, name, self.files), self.etags[name]
        return read_slice(lambda start, stop: self.bucket.read(key, start=start, stop=stop, etag=etag), place, index)

    def read_text(self, name: str) -> str:
        with readable_errors(f"Reading {name} of {self.name}"):
            key, size = _file_key(self.key, name, self.files), self.files[name]["bytes"]
            return self.bucket.read(key, start=0, stop=size, etag=self.etags[name]).decode()

    def _sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        for piece in self.bucket.stream(_file_key(self.key, name, self.files)):
            digest.update(piece)
        return digest.hexdigest()

    def _header(self, file: str, *, doing: str) -> Header:
        with readable_errors(doing):
            name = f"{file}.safetensors"
            key, size = _file_key(self.key, name, self.files), self.files[name]["bytes"]
            return _remote_header(self.bucket, key, size, self.etags[name])


@functools.lru_cache(maxsize=1024)
def _remote_header(bucket: Bucket, key: str, size: int, etag: str) -> Header:
    return read_header(lambda start, stop: bucket.read(key, start=start, stop=stop, etag=etag), size)


def open_artifact(path: Path, *, whole: bool = True) -> Artifact:
    """Open the artifact at `path`; a missing manifest or a file of another size than it says is a `StoreError`.

    From an object store its files are fetched and verified first, and kept; where it is not needed `whole`, it is left
    there and its arrays are read by ranges.
    """
    remote = remote_of(path)
    if remote is None:
        try:
            manifest = (path / MANIFEST).read_bytes()
        except FileNotFoundError as error:
            raise StoreError(f"Opening {path.name}: expected a complete artifact, found none at {path}.") from error
        except OSError as error:
            raise StoreError(f"Opening {path.name}: its {MANIFEST} cannot be read ({error}).") from error
        return _open_local(path, manifest)
    bucket, key = remote
    found = bucket.read_small(f"{key}/{MANIFEST}")
    if found is None:
        raise StoreError(f"Opening {path.name}: expected a complete artifact, found none at {bucket.url}/{key}.")
    copy = path / MANIFEST
    with contextlib.suppress(StoreError):
        if copy.is_file() and copy.read_bytes() == found:
            return _open_local(path, found)
    artifact = _open_remote(path, found, bucket=bucket, key=key)
    if not whole:
        return artifact
    _fetch(artifact, found)
    return _open_local(path, found)


def _parse(path: Path, manifest: bytes) -> Artifact:
    try:
        parsed = json.loads(manifest)
        artifact = Artifact(path, parsed["meta"], parsed["files"])
        assert all({"sha256", "bytes"} <= set(entry) for entry in artifact.files.values())
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise StoreError(f"Opening {path.name}: its {MANIFEST} cannot be read ({error}).") from error
    return artifact


def _open_local(path: Path, manifest: bytes) -> Artifact:
    artifact = _parse(path, manifest)
    for name, entry in artifact.files.items():
        size = (path / name).stat().st_size if (path / name).is_file() else None
        _require_size(path, name, entry, size)
    return artifact


def _open_remote(path: Path, manifest: bytes, *, bucket: Bucket, key: str) -> RemoteArtifact:
    artifact = _parse(path, manifest)
    objects = {found.key: found for found in bucket.objects(key)}
    etags = {}
    for name, entry in artifact.files.items():
        found = objects.get(_file_key(key, name, artifact.files))
        _require_size(path, name, entry, found.size if found else None)
        etags[name] = found.etag if found else ""
    return RemoteArtifact(path, artifact.meta, artifact.files, bucket, key, etags)


def _require_size(path: Path, name: str, entry: dict[str, Any], size: int | None) -> None:
    if size != entry["bytes"]:
        found = "no such file" if size is None else f"{size} bytes"
        raise StoreError(f"Opening {path.name}: expected {name} of {entry['bytes']} bytes, got {found}.")


def _fetch(artifact: RemoteArtifact, manifest: bytes) -> None:
    """Copy an artifact from its object store to its path, verified; another copy there is replaced."""
    path = artifact.path
    with readable_write_errors(artifact.name, where=path.parent), folder_aside(path) as aside:
        for name, entry in artifact.files.items():
            found = artifact.bucket.download(_file_key(artifact.key, name, artifact.files), aside / name)
            _require_equal(artifact.name, name, expected=entry["sha256"], found=found)
        (aside / MANIFEST).write_bytes(manifest)
        with contextlib.suppress(StoreError):
            if is_complete_here(path) and (path / MANIFEST).read_bytes() == manifest:
                _open_local(path, manifest)
                return  # another process of this machine was faster
        shutil.rmtree(path, ignore_errors=True)
        _sync_and_rename(aside, path)


def is_complete(path: Path) -> bool:
    """Whether an artifact was published at `path`. Says nothing of damage: opening it does."""
    remote = remote_of(path)
    return is_complete_here(path) if remote is None else remote[0].exists(f"{remote[1]}/{MANIFEST}")


def is_complete_here(path: Path) -> bool:
    """Whether this machine's disk has a complete artifact, or a copy of one, at `path`."""
    return (path / MANIFEST).is_file()


def discard_unless_whole(path: Path) -> bool:
    """Whether a complete, undamaged artifact is at `path`; a damaged one is removed, so that it can be made anew.

    What another worker publishes there meanwhile stays: only what was judged is removed, and where no manifest was,
    nothing is. A store that does not answer is a `StoreUnreachableError`, and removes nothing.
    """
    judged = _published(path)
    if judged is None:
        return False
    try:
        _open_undamaged(path)
    except StoreUnreachableError:
        raise
    except StoreError:
        with readable_write_errors(path.name, where=path.parent):
            if remote := remote_of(path):
                _remove_objects(*remote, only_with=judged)
            else:
                remove_folder(path, only_if=lambda folder: _folder_state(folder) == judged)
        return False
    return True


def _open_undamaged(path: Path) -> None:
    """Compare an artifact with its checksums; a copy of an object store's that the disk damaged is fetched anew, and
    compared meanwhile."""
    try:
        open_artifact(path).verify()
    except StoreUnreachableError:
        raise
    except StoreError:
        if remote_of(path) is None:
            raise
        shutil.rmtree(path, ignore_errors=True)
        open_artifact(path)


def _published(path: Path) -> Object | tuple[int, int] | None:
    """Which publication is at `path`, to be told from a later one of the same bytes; None where there is none."""
    remote = remote_of(path)
    if remote is None:
        return _folder_state(path) if is_complete_here(path) else None
    bucket, key = remote
    return next((found for found in bucket.objects(key) if found.key == f"{key}/{MANIFEST}"), None)


def _folder_state(folder: Path) -> tuple[int, int] | None:
    """Inode and time of a folder, which renaming keeps; None where there is none."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def remove(path: Path) -> None:
    """Remove the artifact at `path`, or all below it, here and in the object store; what is not there is no error."""
    if remote := remote_of(path):
        _remove_objects(*remote)
    with readable_write_errors(path.name, where=path.parent):
        remove_folder(path)


def _remove_objects(bucket: Bucket, key: str, *, only_with: object = None) -> None:
    """Remove all objects below a key; where `only_with` is an object, only if it is still one of them."""
    found = bucket.objects(key)
    if only_with is None or only_with in found:
        # without its manifest an artifact is gone, whatever of it is still there
        bucket.delete(sorted((each.key for each in found), key=lambda each: not each.endswith(f"/{MANIFEST}")))


@contextlib.contextmanager
def publish(path: Path, *, meta: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to write files into; on success make it the artifact at `path`.

    Nothing appears at `path` before everything is on disk, or in the object store, which then has the only copy.
    Whoever comes second finds the first one's artifact kept (specs decide contents, so both wrote the same). `meta` may
    be filled until the block ends.
    """
    with readable_write_errors(path.name, where=path.parent), folder_aside(path) as aside:
        yield aside
        names = sorted(file.name for file in aside.iterdir())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes = pool.map(file_sha256, [aside / name for name in names])
            sizes = [(aside / name).stat().st_size for name in names]
            files = {
                name: {"sha256": sha256, "bytes": size} for name, sha256, size in zip(names, hashes, sizes, strict=True)
            }
        manifest = json.dumps({"meta": meta, "files": files}, indent=1, ensure_ascii=False)
        if remote := remote_of(path):
            _upload(aside, files, manifest, bucket=remote[0], key=remote[1])
        else:
            (aside / MANIFEST).write_text(manifest)
            _sync_and_rename(aside, path)


def write_arrays(folder: Path, arrays: dict[str, np.ndarray], *, file: str = "arrays") -> None:
    """Write `arrays` as one safetensors file into a folder that is being published."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    save_file(contiguous, folder / f"{file}.safetensors")


def _file_key(key: str, name: str, files: dict[str, dict[str, Any]]) -> str:
    return f"{key}/{files[name]['sha256']}-{name}"


def _upload(folder: Path, files: dict[str, dict[str, Any]], manifest: str, *, bucket: Bucket, key: str) -> None:
    there = {found.key: found.size for found in bucket.objects(key)}
    for name, entry in files.items():
        # the key says the contents, and what is there is there whole: another writer's open readers keep their object
        if there.get(_file_key(key, name, files)) != entry["bytes"]:
            bucket.upload(_file_key(key, name, files), folder / name)
    bucket.put_first(f"{key}/{MANIFEST}", manifest.encode())


def _sync_and_rename(aside: Path, path: Path) -> None:
    for file in aside.iterdir():
        fsync(file)
    fsync(aside)
    while True:
        try:
            aside.rename(path)
            break
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if is_complete_here(path):
            break  # another writer was faster
        remove_folder(path, only_if=lambda folder: not is_complete_here(folder))  # what a killed removal left
    fsync(path.parent)
