"""Artifacts: immutable folders of arrays and files, on a disk or in an S3-compatible object store. No torch.

`artifacts` opens and publishes them, `slices` finds the bytes of a slice in a safetensors file, `bucket` talks to an
object store, `inventory` lists what a store holds.
"""

from .artifacts import (
    Artifact,
    address_of,
    discard_unless_whole,
    is_complete,
    open_artifact,
    paths_in,
    promoted_path,
    prompt_path,
    publish,
    remove,
    scrub_path,
    survey_path,
    vocabulary_path,
    weights_path,
    write_arrays,
)
from .errors import StoreError, StoreUnreachableError, readable_write_errors
from .files import file_sha256, scratch_folder
from .remotes import open_store

__all__ = [
    "Artifact",
    "StoreError",
    "StoreUnreachableError",
    "address_of",
    "discard_unless_whole",
    "file_sha256",
    "is_complete",
    "open_artifact",
    "open_store",
    "paths_in",
    "promoted_path",
    "prompt_path",
    "publish",
    "readable_write_errors",
    "remove",
    "scratch_folder",
    "scrub_path",
    "survey_path",
    "vocabulary_path",
    "weights_path",
    "write_arrays",
]
