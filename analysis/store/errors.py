"""What can go wrong with a store, each as one sentence for a person."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from .slices import HeaderError


class StoreError(Exception):
    """An artifact cannot be written or read; the message is one sentence for a person."""


class StoreUnreachableError(StoreError):
    """The object store does not answer or refuses us, so nothing is known of the artifact."""


@contextlib.contextmanager
def readable_errors(doing: str) -> Iterator[None]:
    """Turn what cannot be read into a `StoreError` with one sentence."""
    try:
        yield
    except KeyError as error:
        raise StoreError(f"{doing}: its manifest does not name {error}.") from error
    except (OSError, HeaderError) as error:
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
