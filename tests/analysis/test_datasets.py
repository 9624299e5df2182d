"""Token rows: what is in them, and that they are the same each time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from analysis.datasets import corpus, repeated
from analysis.datasets.rows import Rows
from analysis.datasets.table import dataset_path, prepare_dataset, read_rows
from analysis.models import model_path
from analysis.store import StoreError, file_sha256, open_artifact, vocabulary_path
from analysis.vocabulary import prepare_vocabulary
from tests import tiny


@pytest.fixture(scope="module")
def tokenizer(store: Path) -> Tokenizer:
    return Tokenizer.from_file(str(model_path(store, "tiny-llama") / "tokenizer.json"))


def test_sotu_is_bundled_whole_with_its_provenance() -> None:
    documents = corpus.read_sotu()
    assert sum(len(document.text.encode()) for document in documents) >= 8_000_000
    assert len(documents) == 233
    assert documents[0].title == "George Washington, 1790"
    assert documents[-1].title.endswith("2021")
    provenance = (corpus.DATA / "README.md").read_text()
    assert file_sha256(corpus.DATA / "sotu.jsonl.xz") in provenance
    assert "public domain" in provenance


def test_packed_rows_are_bos_and_a_piece_of_one_document(tokenizer: Tokenizer) -> None:
    documents = [corpus.Document(f"d{i}", address.text[:3000]) for i, address in enumerate(corpus.read_sotu()[:5])]
    rows = corpus.pack(documents, tokenizer, bos=0)
    assert len(rows) > 5
    whole = [tokenizer.encode(document.text, add_special_tokens=False).ids for document in documents]
    for index in range(len(rows)):
        row, source, offset = rows[index].tolist(), rows.documents[index], rows.offsets[index]
        assert row[0] == 0
        assert row.count(0) == 1
        assert row[1:] == whole[source][offset : offset + 127]
    assert len({(d, o) for d, o in zip(rows.documents.tolist(), rows.offsets.tolist(), strict=True)}) == len(rows)
    assert rows.title(0) == f"d{rows.documents[0]}, tokens {rows.offsets[0]}–{rows.offsets[0] + 126}"


def test_the_first_rows_are_a_sample_of_all_documents(tokenizer: Tokenizer) -> None:
    documents = [corpus.Document(address.title, address.text[:4000]) for address in corpus.read_sotu()[:60]]
    rows = corpus.pack(documents, tokenizer, bos=0)
    assert len(set(rows.documents[: len(rows) // 4].tolist())) > 40


def test_repeated_rows_are_bos_and_fifty_distinct_ordinary_tokens_twice(tokenizer: Tokenizer) -> None:
    rows = repeated.repeated_random(tokenizer, bos=0)
    ordinary = set(repeated.ordinary_tokens(tokenizer).tolist())
    for index in range(len(rows)):
        row = rows[index].tolist()
        assert row[0] == 0
        assert len(row) == 101
        assert row[1:51] == row[51:]
        assert len(set(row[1:51])) == 50
        assert set(row[1:]) <= ordinary
    assert rows.hash == repeated.repeated_random(tokenizer, bos=0).hash
    assert len({rows[index].tobytes() for index in range(len(rows))}) == len(rows)


def test_ordinary_tokens_are_text_with_letters_and_never_special(tokenizer: Tokenizer) -> None:
    texts = [tokenizer.decode([token]) for token in repeated.ordinary_tokens(tokenizer).tolist()]
    assert tiny.BOS not in texts
    assert all(any(letter.isalpha() for letter in text) and "\ufffd" not in text for text in texts)
    assert len(texts) > 100


def test_batches_never_mix_lengths_and_leave_no_row_out() -> None:
    lengths = [3, 3, 3, 5, 5, 3, 2]
    rows = Rows.of([[1] * n for n in lengths], titles=["t"], documents=[0] * len(lengths), offsets=[0] * len(lengths))
    batches = list(rows.batches(range(len(lengths)), size=2))
    assert [list(batch) for batch in batches] == [[0, 1], [2], [3, 4], [5], [6]]
    assert [list(batch) for batch in rows.batches(range(1, 4), size=8)] == [[1, 2], [3]]


def test_prepared_rows_come_back_and_other_tokens_are_refused(store: Path) -> None:
    model = open_artifact(model_path(store, "tiny-gpt2"))
    prepared = prepare_dataset(store, model, "bundled-texts")
    rows = read_rows(store, model, "bundled-texts", expected_hash=prepared.meta["hash"])
    assert len(rows) == prepared.meta["rows"] == 3
    assert int(rows.starts[-1]) == prepared.meta["tokens"]
    assert rows.title(1).startswith("Two names")
    with pytest.raises(StoreError, match=r"Reading dataset bundled-texts: expected tokens with hash xxx…, got "):
        read_rows(store, model, "bundled-texts", expected_hash="xxx")


@pytest.mark.parametrize("array", ["tokens", "starts", "documents", "offsets"])
def test_a_changed_byte_of_any_array_of_a_dataset_is_found_before_it_is_read(
    store: Path, tmp_path: Path, array: str
) -> None:
    shutil.copytree(model_path(store, "tiny-gpt2"), model_path(tmp_path, "tiny-gpt2"))
    model = open_artifact(model_path(tmp_path, "tiny-gpt2"))
    prepared = prepare_dataset(tmp_path, model, "bundled-texts")
    flip_a_byte(prepared.path / "arrays.safetensors", array)
    with pytest.raises(StoreError, match=r"^Verifying bundled-texts-[0-9a-f]{16}: expected arrays\.safetensors with"):
        read_rows(tmp_path, model, "bundled-texts", expected_hash=prepared.meta["hash"])


def flip_a_byte(file: Path, array: str) -> None:
    """Change the first byte of an array of a safetensors file."""
    data = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + json.loads(data[8:start])[array]["data_offsets"][0]] ^= 2
    file.write_bytes(data)


def cut(path: Path) -> None:
    (path / "arrays.safetensors").write_bytes((path / "arrays.safetensors").read_bytes()[:-1])


def lose_the_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def flip(path: Path) -> None:
    flip_a_byte(path / "arrays.safetensors", "documents" if path.parent.name == "datasets" else "text")


@pytest.mark.parametrize("damage", [cut, lose_the_manifest, flip], ids=lambda damage: damage.__name__)
def test_a_damaged_or_half_removed_dataset_or_vocabulary_is_made_anew(
    store: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(model_path(store, "tiny-gpt2"), model_path(tmp_path, "tiny-gpt2"))
    model = open_artifact(model_path(tmp_path, "tiny-gpt2"))
    vocabulary = vocabulary_path(tmp_path, model.meta["hash"])
    dataset = prepare_dataset(tmp_path, model, "bundled-texts").path
    prepare_vocabulary(tmp_path, model)
    whole = {path: open_artifact(path).files for path in (dataset, vocabulary)}
    for path in whole:
        damage(path)
    prepare_dataset(tmp_path, model, "bundled-texts")
    prepare_vocabulary(tmp_path, model)
    for path, files in whole.items():
        healed = open_artifact(path)
        healed.verify()
        assert healed.files == files


def test_models_with_one_tokenizer_share_prepared_rows(store: Path) -> None:
    paths = {dataset_path(store, open_artifact(model_path(store, slug)), "sotu") for slug in tiny.FAMILIES}
    assert len(paths) == 1


def test_tokens_in_flat_arrays_are_the_rows() -> None:
    rows = Rows.of([[1, 2], [3]], titles=["t"], documents=[0, 0], offsets=[0, 1])
    assert [rows[0].tolist(), rows[1].tolist()] == [[1, 2], [3]]
    assert rows.tokens.dtype == np.int32
    other = Rows.of([[1], [2, 3]], titles=["t"], documents=[0, 0], offsets=[0, 1])
    assert rows.hash != other.hash
