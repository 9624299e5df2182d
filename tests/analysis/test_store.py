"""Artifacts: whole or absent, and checked."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from analysis.store import StoreError, discard_unless_whole, open_artifact, publish, remove, write_arrays

ARRAYS = {"a": np.arange(24, dtype=np.float64).reshape(2, 3, 4), "b": np.arange(3, dtype=np.uint8)}


def write(path: Path) -> None:
    with publish(path, meta={"n": 1}) as folder:
        write_arrays(folder, ARRAYS)


def test_what_was_written_is_read_by_slice(tmp_path: Path) -> None:
    write(tmp_path / "x")
    artifact = open_artifact(tmp_path / "x")
    artifact.verify()
    assert artifact.meta == {"n": 1}
    assert artifact.names() == ["a", "b"]
    np.testing.assert_array_equal(artifact.read("a"), ARRAYS["a"])
    np.testing.assert_array_equal(artifact.read("a", 1), ARRAYS["a"][1])
    np.testing.assert_array_equal(artifact.read("a", (slice(None), 2)), ARRAYS["a"][:, 2])
    assert artifact.read("b").dtype == np.uint8


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    def write_and_raise() -> None:
        with publish(tmp_path / "x", meta={}) as folder:
            write_arrays(folder, ARRAYS)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_raise()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, data: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)  # of the manifest; arrays: the next test
    with pytest.raises(
        StoreError, match=r"^Writing x: the disk of .* has too little room \(\d+ MB free\)\. Free some space"
    ):
        write(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_safetensors_own_report_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    # what its Rust code says when the operating system refuses
    from safetensors import SafetensorError  # noqa: PLC0415

    with pytest.raises(StoreError, match="too little room"), publish(tmp_path / "x", meta={}):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_truncated_file_is_named_when_the_artifact_is_opened(tmp_path: Path) -> None:
    write(tmp_path / "x")
    file = tmp_path / "x" / "arrays.safetensors"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"expected arrays.safetensors of {size} bytes, got {size - 1} bytes"):
        open_artifact(tmp_path / "x")
    file.unlink()
    with pytest.raises(StoreError, match="got no such file"):
        open_artifact(tmp_path / "x")


def test_a_changed_byte_is_found_by_verifying(tmp_path: Path) -> None:
    write(tmp_path / "x")
    file = tmp_path / "x" / "arrays.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"Verifying x: expected arrays\.safetensors with sha256 .*, got "):
        open_artifact(tmp_path / "x").verify()


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    write(tmp_path / "x")
    (tmp_path / "x" / "manifest.json").unlink()
    with pytest.raises(StoreError, match="expected a complete artifact, found none"):
        open_artifact(tmp_path / "x")
    (tmp_path / "x" / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"its manifest\.json cannot be read"):
        open_artifact(tmp_path / "x")


def test_an_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x")
    with pytest.raises(StoreError, match="Reading c of arrays in x"):
        open_artifact(tmp_path / "x").read("c")


def test_what_a_killed_writer_left_aside_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    killed = tmp_path / ".x.killed"
    killed.mkdir()
    (killed / "arrays.safetensors").write_bytes(b"half")
    with publish(tmp_path / "x", meta={}) as living:
        write(tmp_path / "x")
        assert living.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_damaged_artifact_is_removed_so_that_it_can_be_made_anew(tmp_path: Path) -> None:
    write(tmp_path / "x")
    assert discard_unless_whole(tmp_path / "x")
    (tmp_path / "x" / "arrays.safetensors").write_bytes(b"?")
    assert not discard_unless_whole(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_what_another_worker_publishes_while_one_judges_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    path = tmp_path / "x"
    if damaged:
        write(path)
        (path / "arrays.safetensors").write_bytes(b"?")
    rename, look = Path.rename, Path.is_file

    def publish_before(step: Callable[..., Any]) -> Callable[..., Any]:
        def late(self: Path, *arguments: Path) -> Any:
            answer = None if damaged else step(self, *arguments)
            monkeypatch.undo()
            shutil.rmtree(path, ignore_errors=True)
            write(path)
            return step(self, *arguments) if damaged else answer

        return late

    # between the first look and the removal, or just before what is damaged would be renamed
    monkeypatch.setattr(Path, "rename" if damaged else "is_file", publish_before(rename if damaged else look))
    discard_unless_whole(path)
    open_artifact(path).verify()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_a_killed_removal_left_does_not_block_the_next_writer(tmp_path: Path) -> None:
    write(tmp_path / "x")
    (tmp_path / "x" / "manifest.json").unlink()
    assert not discard_unless_whole(tmp_path / "x")
    write(tmp_path / "x")
    open_artifact(tmp_path / "x").verify()
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_removal_that_is_killed_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x")

    def die(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            remove(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_of_many_writers_one_wins_and_all_are_content(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            write(tmp_path / "x")
        except BaseException as error:  # noqa: BLE001 (carried to the assertion)
            errors.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    open_artifact(tmp_path / "x").verify()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_was_replaced_is_read_anew_and_its_damage_found(tmp_path: Path) -> None:
    write(tmp_path / "x")
    artifact = open_artifact(tmp_path / "x")
    artifact.check()
    assert artifact.read("b", 1) == 1
    save_file({"b": np.asarray([7, 8, 9], dtype=np.uint8)}, tmp_path / "x" / "arrays.safetensors")
    assert artifact.read("b", 1) == 8
    assert artifact.names() == ["b"]
    with pytest.raises(StoreError, match=r"Verifying x: expected arrays\.safetensors with sha256"):
        artifact.check("arrays.safetensors")
    (tmp_path / "x" / "arrays.safetensors").unlink()
    with pytest.raises(StoreError, match=r"Reading b of arrays in x: .*No such file"):
        artifact.read("b")


def test_what_was_read_stays_as_it_was_and_may_be_changed(tmp_path: Path) -> None:
    write(tmp_path / "x")
    found = open_artifact(tmp_path / "x").read("a", 0)
    found += 1
    np.testing.assert_array_equal(open_artifact(tmp_path / "x").read("a", 0), ARRAYS["a"][0])


def test_every_number_format_and_a_long_header_are_read_as_safetensors_writes_them(tmp_path: Path) -> None:
    formats = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in formats}
    arrays |= {f"array-{n:04}": np.full(1, n) for n in range(400)}
    with publish(tmp_path / "x", meta={}) as folder:
        save_file(arrays, folder / "arrays.safetensors", metadata={"format": "pt"})
    artifact = open_artifact(tmp_path / "x")
    assert artifact.names() == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(artifact.read(name), array)
        assert artifact.read(name).dtype == array.dtype


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"abc", "expected a safetensors header inside its 3 bytes, got none"),
        ((10**9).to_bytes(8, "little") + b"{}", "expected a safetensors header inside its 10 bytes, got none"),
        ((2).to_bytes(8, "little") + b"[]", "its safetensors header cannot be read"),
        ((2).to_bytes(8, "little") + b"{!", "its safetensors header cannot be read"),
        (
            (58).to_bytes(8, "little") + b'{"b": {"dtype": "U8", "shape": [9], "data_offsets": [0,9]}}'[:58] + b"}" * 9,
            "its safetensors header cannot be read",
        ),
        (
            (60).to_bytes(8, "little") + b'{"b": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}' + b"12345678",
            "expected b inside its 76 bytes, got bytes 68 to 77",
        ),
    ],
    ids=["empty", "short", "long-header", "no-object", "no-json", "cut", "array-outside"],
)
def test_a_file_that_is_no_whole_safetensors_file_is_said(tmp_path: Path, data: bytes, sentence: str) -> None:
    with publish(tmp_path / "x", meta={}) as folder:
        (folder / "arrays.safetensors").write_bytes(data)
    with pytest.raises(StoreError, match=f"Reading b of arrays in x: {sentence}"):
        open_artifact(tmp_path / "x").read("b")
