"""Artifacts in an S3-compatible store: the same bytes and slices as on a disk, whole or absent, refusals said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.commands import ask, list_models, show, survey
from analysis.datasets.table import prepare_dataset
from analysis.models import model_path, open_model
from analysis.schema import SchemaError, SurveySpec
from analysis.store import (
    Artifact,
    StoreError,
    StoreUnreachableError,
    artifacts,
    discard_unless_whole,
    is_complete,
    open_artifact,
    open_store,
    publish,
    remove,
    survey_path,
    write_arrays,
)
from analysis.survey import measure_shard, merge_survey, partial_path, remove_partials
from tests import tiny
from tests.object_store import ObjectStore

ARRAYS: dict[str, np.ndarray] = {
    "cube": np.arange(2 * 3 * 4, dtype=np.float64).reshape(2, 3, 4),
    "bytes": np.arange(7, dtype=np.uint8),
    "flags": np.asarray([[True, False], [False, True]]),
    "small": np.arange(6, dtype=np.int16).reshape(3, 2),
    "one": np.asarray(2.5, dtype=np.float32),
    "none": np.zeros((0, 4), dtype=np.float32),
}
INDICES: list[tuple[str, Any]] = [
    ("cube", ...),
    ("cube", 1),
    ("cube", -1),
    ("cube", (slice(None), 2)),
    ("cube", (..., 0)),
    ("cube", (1, 2, 3)),
    ("cube", (slice(None, None, -1), slice(0, 3, 2), np.int64(1))),
    ("cube", (0, slice(3, 3))),
    ("bytes", slice(2, 5)),
    ("flags", (1, slice(None))),
    ("small", (slice(1, None), 0)),
    ("one", ...),
    ("none", ...),
]


def machine(folder: Path, name: str, bucket: ObjectStore) -> Path:
    """The store as another machine sees it: a cache of its own."""
    return open_store(folder / name, bucket.url)


def write(path: Path, arrays: dict[str, np.ndarray] = ARRAYS, **meta: int) -> None:
    with publish(path, meta=meta) as folder:
        write_arrays(folder, arrays)
        (folder / "titles.json").write_text('["é"]')


@pytest.mark.parametrize(("array", "index"), INDICES, ids=str)
@pytest.mark.parametrize("whole", [True, False])
def test_every_slice_is_as_numpy_cuts_it(
    tmp_path: Path, bucket: ObjectStore, array: str, index: Any, whole: bool
) -> None:
    write(machine(tmp_path, "a", bucket) / "x", n=1)
    artifact = open_artifact(machine(tmp_path, "b", bucket) / "x", whole=whole)
    found = artifact.read(array, index)
    np.testing.assert_array_equal(found, ARRAYS[array][index])
    assert found.dtype == ARRAYS[array].dtype
    assert artifact.names() == sorted(ARRAYS)
    assert artifact.meta == {"n": 1}


def test_its_files_are_those_that_a_disk_would_have(tmp_path: Path, bucket: ObjectStore) -> None:
    write(machine(tmp_path, "a", bucket) / "surveys" / "x", n=1)
    write(tmp_path / "disk", n=1)
    here, there = open_artifact(tmp_path / "disk"), open_artifact(machine(tmp_path, "b", bucket) / "surveys" / "x")
    assert here.files == there.files
    for name in ("arrays.safetensors", "titles.json", "manifest.json"):
        assert (there.path / name).read_bytes() == (here.path / name).read_bytes()
    assert set(bucket.names()) == {"measured/surveys/x/manifest.json"} | {
        f"measured/surveys/x/{entry['sha256']}-{name}" for name, entry in here.files.items()
    }
    assert not (tmp_path / "a" / "store" / "surveys" / "x").exists(), "the object store has the only copy"


def test_a_slice_costs_its_own_bytes_and_the_header_once(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = {"neurons": np.arange(200_000, dtype=np.float32).reshape(2000, 100)}
    write(machine(tmp_path, "a", bucket) / "x", big)
    artifact = open_artifact(machine(tmp_path, "b", bucket) / "x", whole=False)
    asked: list[int] = []
    read = type(artifact.bucket).read  # type: ignore[attr-defined]

    def count(self: Any, key: str, *, start: int, stop: int, etag: str) -> bytes:
        asked.append(stop - start)
        return bytes(read(self, key, start=start, stop=stop, etag=etag))

    monkeypatch.setattr("analysis.store.bucket.Bucket.read", count)
    np.testing.assert_array_equal(artifact.read("neurons", 1234), big["neurons"][1234])
    np.testing.assert_array_equal(artifact.read("neurons", slice(7, 9)), big["neurons"][7:9])
    assert asked == [16_384, 400, 800]
    assert not (tmp_path / "b" / "store" / "x").exists()


def test_what_is_half_uploaded_is_not_there(tmp_path: Path, bucket: ObjectStore) -> None:
    store = machine(tmp_path, "a", bucket)
    write(store / "x")
    bucket.remove("measured/x/manifest.json")
    assert not is_complete(store / "x")
    for whole in (True, False):
        with pytest.raises(StoreError, match="Opening x: expected a complete artifact, found none at s3://loupe/meas"):
            open_artifact(store / "x", whole=whole)
    write(store / "x")
    assert is_complete(store / "x")


def test_a_writer_that_is_refused_in_the_middle_publishes_nothing(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = machine(tmp_path, "a", bucket)

    def refuse(self: Any, key: str, data: bytes) -> bool:
        raise StoreUnreachableError("Writing: the object store does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr("analysis.store.bucket.Bucket.put_first", refuse)
        with pytest.raises(StoreUnreachableError):
            write(store / "x")
    assert not is_complete(store / "x")
    assert list(store.iterdir()) == []


def test_a_truncated_object_is_named(tmp_path: Path, bucket: ObjectStore) -> None:
    store = machine(tmp_path, "a", bucket)
    write(store / "x")
    key = next(key for key in bucket.names() if key.endswith("-arrays.safetensors"))
    size = len(bucket.contents(key))
    bucket.put(key, bucket.contents(key)[:-1])
    for whole in (True, False):
        with pytest.raises(StoreError, match=f"expected arrays.safetensors of {size} bytes, got {size - 1} bytes"):
            open_artifact(store / "x", whole=whole)
    bucket.remove(key)
    with pytest.raises(StoreError, match="got no such file"):
        open_artifact(store / "x", whole=False)


def test_a_changed_byte_is_named_where_the_whole_is_fetched_and_leaves_no_copy(
    tmp_path: Path, bucket: ObjectStore
) -> None:
    store = machine(tmp_path, "a", bucket)
    write(store / "x")
    remote = open_artifact(store / "x", whole=False)
    change_last_byte(bucket)
    with pytest.raises(StoreError, match=r"Verifying x: expected arrays\.safetensors with sha256 .*, got "):
        open_artifact(store / "x")
    with pytest.raises(StoreError, match=r"Verifying x: expected arrays\.safetensors with sha256 .*, got "):
        remote.verify()
    assert list(store.iterdir()) == []
    assert not discard_unless_whole(store / "x")
    assert bucket.names() == []


def test_an_object_that_changed_since_it_was_opened_is_not_read(tmp_path: Path, bucket: ObjectStore) -> None:
    store = machine(tmp_path, "a", bucket)
    write(store / "x")
    artifact = open_artifact(store / "x", whole=False)
    np.testing.assert_array_equal(artifact.read("bytes"), ARRAYS["bytes"])
    change_last_byte(bucket)
    with pytest.raises(StoreError, match="expected the object that was opened, got another or none"):
        artifact.read("bytes")


def change_last_byte(bucket: ObjectStore) -> None:
    key = next(key for key in bucket.names() if key.endswith("-arrays.safetensors"))
    data = bytearray(bucket.contents(key))
    data[-1] ^= 1
    bucket.put(key, bytes(data))


def test_of_many_writers_the_first_wins_for_every_machine(tmp_path: Path, bucket: ObjectStore) -> None:
    errors: list[BaseException] = []
    stores = [machine(tmp_path, str(n), bucket) for n in range(6)]

    def attempt(n: int) -> None:
        try:
            write(stores[n] / "x", {"n": np.full(3, n)}, n=n)
        except BaseException as error:  # noqa: BLE001 (carried to the assertion)
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    opened = [open_artifact(store / "x") for store in stores]
    (winner,) = {artifact.meta["n"] for artifact in opened}
    for artifact in opened:
        artifact.verify()
        assert artifact.read("n").tolist() == [winner] * 3


def test_who_comes_second_finds_the_first_ones_artifact_kept(tmp_path: Path, bucket: ObjectStore) -> None:
    a, b = machine(tmp_path, "a", bucket), machine(tmp_path, "b", bucket)
    write(a / "x", {"n": np.zeros(1)}, n=0)
    write(b / "x", {"n": np.ones(1)}, n=1)
    for store in (a, b):
        assert open_artifact(store / "x").meta == {"n": 0}
        assert open_artifact(store / "x").read("n") == 0


def test_a_copy_counts_only_while_the_store_has_the_same(tmp_path: Path, bucket: ObjectStore) -> None:
    a, b = machine(tmp_path, "a", bucket), machine(tmp_path, "b", bucket)
    write(a / "x", {"n": np.zeros(1)}, n=0)
    assert open_artifact(b / "x").read("n") == 0
    remove(a / "x")
    assert not is_complete(b / "x")
    with pytest.raises(StoreError, match="found none"):
        open_artifact(b / "x")
    write(a / "x", {"n": np.ones(1)}, n=1)
    assert open_artifact(b / "x").read("n") == 1
    # a copy that the disk damaged is fetched anew
    (b / "x" / "arrays.safetensors").write_bytes(b"?")
    assert open_artifact(b / "x").read("n") == 1


def test_a_copy_that_the_disk_damaged_does_not_cost_the_stores_artifact(tmp_path: Path, bucket: ObjectStore) -> None:
    a, b = machine(tmp_path, "a", bucket), machine(tmp_path, "b", bucket)
    write(a / "x", {"n": np.zeros(1)})
    open_artifact(b / "x")
    names, file = bucket.names(), b / "x" / "arrays.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    assert discard_unless_whole(b / "x")
    assert file.read_bytes() == whole
    assert bucket.names() == names


def test_what_another_worker_publishes_over_a_damaged_artifact_stays(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = machine(tmp_path, "a", bucket), machine(tmp_path, "b", bucket)
    write(a / "x")
    change_last_byte(bucket)
    judge = artifacts.open_artifact

    def judge_late(path: Path) -> Artifact:
        try:
            return judge(path)
        finally:
            monkeypatch.undo()
            remove(b / "x")
            write(b / "x", n=2)

    monkeypatch.setattr(artifacts, "open_artifact", judge_late)
    discard_unless_whole(a / "x")
    assert open_artifact(a / "x").meta == {"n": 2}


def test_removing_takes_all_below_and_nothing_beside(tmp_path: Path, bucket: ObjectStore) -> None:
    store = machine(tmp_path, "a", bucket)
    for name in ("ab/1", "ab/2", "abc/1"):
        write(store / name)
    remove(store / "ab")
    assert [key for key in bucket.names() if key.endswith("manifest.json")] == ["measured/abc/1/manifest.json"]
    assert len(bucket.names()) == 3


def test_a_store_that_does_not_answer_is_one_sentence_and_removes_nothing(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("analysis.store.remotes.PAGE_PATIENCE", 0.2)
    store = open_store(tmp_path, "s3://loupe/elsewhere")
    (store / "x").mkdir(parents=True)
    with pytest.raises(StoreUnreachableError) as caught:
        discard_unless_whole(store / "x")
    assert str(caught.value) == (
        "Listing s3://loupe/elsewhere/x: the object store does not answer (Connection refused)."
    )
    assert (store / "x").is_dir()


@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_one_sentence(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(wrong, "wrong")
    store = machine(tmp_path, "a", bucket)
    code = "SignatureDoesNotMatch" if wrong == "AWS_SECRET_ACCESS_KEY" else "InvalidAccessKeyId"
    with pytest.raises(StoreUnreachableError) as caught:
        write(store / "x")
    assert str(caught.value) == (
        "Listing s3://loupe/measured/x: the object store refused the credentials in AWS_ACCESS_KEY_ID and "
        f"AWS_SECRET_ACCESS_KEY ({code})."
    )


def test_a_bucket_that_is_not_there_is_one_sentence(tmp_path: Path, bucket: ObjectStore) -> None:
    store = open_store(tmp_path, "s3://missing/measured")
    with pytest.raises(
        StoreUnreachableError, match=r"^Reading s3://missing/.*: the object store has no such bucket\.$"
    ):
        open_artifact(store / "x")


@pytest.mark.parametrize("url", ["loupe/measured", "http://loupe/measured", "s3:///measured", "s3://loupe/a?b"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match="Reading LOUPE_STORE: expected s3://bucket/prefix, got “"):
        open_store(tmp_path, url)


def test_a_survey_measured_by_two_machines_is_that_of_one(tmp_path: Path, bucket: ObjectStore) -> None:
    disk = tmp_path / "disk"
    first, second, site = (machine(tmp_path, name, bucket) for name in ("first", "second", "site"))
    for store in (disk, first):
        tiny.put_into(store, "tiny-llama")
        prepare_dataset(store, open_model(store, "tiny-llama"), "repeated-random")
    model = open_artifact(model_path(disk, "tiny-llama"))
    rows = prepare_dataset(disk, model, "repeated-random")
    spec = SurveySpec(
        "tiny-llama",
        model.meta["hash"],
        "repeated-random",
        rows.meta["hash"],
        rows=6,
        pattern_rows=1,
        in_depth=False,
        lens_rows=0,
        shard_rows=2,
        batch_rows=2,
    )
    for shard in range(3):
        measure_shard(disk, spec, shard, on_batch=lambda rows_done: None)
        measure_shard((first, second)[shard % 2], spec, shard, on_batch=lambda rows_done: None)
    merge_survey(disk, spec, on_partial=lambda rows_done: None)
    merge_survey(second, spec, on_partial=lambda rows_done: None)
    remove_partials(second, spec)

    expected = open_artifact(survey_path(disk, spec.hash))
    found = open_artifact(survey_path(site, spec.hash), whole=False)
    assert found.files == expected.files
    for file in ("summary", "layer-1"):
        for name in expected.names(file=file):
            np.testing.assert_array_equal(found.read(name, 1, file=file), expected.read(name, 1, file=file))
    assert not any("/partials/" in key for key in bucket.names())
    assert not partial_path(second, spec, 0).parent.exists()


def test_the_shell_sees_what_it_has_just_made(
    tmp_path: Path, bucket: ObjectStore, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (machine(tmp_path, name, bucket) for name in ("first", "second"))
    list_models(first)
    assert capsys.readouterr().err.startswith(f"No models in {bucket.url} yet: ")
    tiny.put_into(first, "tiny-gpt2")
    spec = ask(first, "tiny-gpt2", "repeated-random", rows=2)
    for _ in range(2):
        survey(first, spec)
        assert capsys.readouterr().out.endswith(f": {bucket.url}/surveys/{spec.hash}\n")
    (arrays,) = (name for name in bucket.names() if name.endswith("-summary.safetensors"))
    for store in (first, second):
        list_models(store)
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["slug", "tiny-gpt2"]
        show(store, "tiny-gpt2", "L1H2")
        assert f"(survey {spec.hash[:12]}, code " in capsys.readouterr().out
    assert not (second / "models" / "tiny-gpt2").exists(), "a list needs no weights"
    bucket.put(arrays, bucket.contents(arrays)[:-8] + b"\0" * 8)
    with pytest.raises(SchemaError, match="found none"):
        show(second, "tiny-gpt2", "L1H2")
    assert f"Verifying {spec.hash[:8]}…: expected summary.safetensors with sha256 " in capsys.readouterr().err


def test_a_large_file_goes_in_parts_and_comes_back_the_same(
    tmp_path: Path, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.store.bucket.CHUNK_BYTES", 5 * 1024 * 1024)  # the smallest part there may be
    big = {"weights": np.random.default_rng(0).random(1_500_000)}
    write(machine(tmp_path, "a", bucket) / "x", big)
    (key,) = (name for name in bucket.names() if name.endswith("-arrays.safetensors"))
    assert bucket.client.head_object(Bucket="loupe", Key=key)["ETag"].endswith('-3"'), "in three parts"
    artifact = open_artifact(machine(tmp_path, "b", bucket) / "x")
    np.testing.assert_array_equal(artifact.read("weights"), big["weights"])
    assert open_artifact(machine(tmp_path, "c", bucket) / "x", whole=False).read("weights", -1) == big["weights"][-1]
