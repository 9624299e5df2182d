"""A survey is the same whatever way it is cut, and bad input ends it with a sentence."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from analysis.datasets.rows import Rows
from analysis.datasets.table import prepare_dataset
from analysis.metrics import head_metrics
from analysis.models import model_path
from analysis.patterns import decompress_pattern
from analysis.schema import DatasetKind, SurveySpec
from analysis.sources import ModelError
from analysis.store import Artifact, StoreError, file_sha256, open_artifact, survey_path
from analysis.survey import (
    Shard,
    SurveyError,
    calibration_path,
    measure_shard,
    merge_survey,
    partial_path,
    remove_partials,
)
from analysis.vocabulary import token_texts
from tests import tiny


def spec_of(store: Path, slug: str, dataset: str, **changes: int) -> SurveySpec:
    model = open_artifact(model_path(store, slug))
    sizes = {
        "rows": 20,
        "pattern_rows": 2,
        "in_depth": False,
        "lens_rows": 0,
        "shard_rows": 8,
        "batch_rows": 4,
    } | changes
    return SurveySpec(slug, model.meta["hash"], dataset, prepare_dataset(store, model, dataset).meta["hash"], **sizes)


def survey(store: Path, spec: SurveySpec, *, order: list[int]) -> Artifact:
    for shard in order:
        measure_shard(store, spec, shard, on_batch=lambda rows_done: None)
    merge_survey(store, spec, on_partial=lambda rows_done: None)
    return open_artifact(survey_path(store, spec.hash))


@pytest.mark.parametrize("slug", tiny.FAMILIES)
def test_any_order_of_shards_gives_equal_bytes(store: Path, slug: str) -> None:
    spec = spec_of(store, slug, "repeated-random")
    first = survey(store, spec, order=[0, 1, 2])
    files = {name: entry["sha256"] for name, entry in first.files.items()}
    shutil.rmtree(first.path)
    second = survey(store, spec, order=[2, 0, 1])
    assert {name: entry["sha256"] for name, entry in second.files.items()} == files
    n_layers = open_artifact(model_path(store, slug)).meta["sizes"]["n_layers"]
    assert set(files) == {"summary.safetensors"} | {f"layer-{layer}.safetensors" for layer in range(n_layers)}


def test_another_cut_into_shards_agrees_within_a_millionth(store: Path) -> None:
    one = spec_of(store, "tiny-llama", "repeated-random", shard_rows=20)
    many = spec_of(store, "tiny-llama", "repeated-random", shard_rows=1, batch_rows=1)
    key = "head.induction_repeated"
    a = survey(store, one, order=[0]).read(key, file="summary")
    b = survey(store, many, order=list(range(20))).read(key, file="summary")
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_survey_says_where_it_comes_from(store: Path) -> None:
    spec = spec_of(store, "tiny-gpt2", "bundled-texts", rows=3, pattern_rows=3, shard_rows=2)
    artifact = survey(store, spec, order=[1, 0])
    artifact.verify()
    assert artifact.meta["spec"] == spec.to_json()
    natural = [metric.key for metric in head_metrics(DatasetKind.NATURAL)]
    assert artifact.meta["metrics"] == [f"head.{key}" for key in natural]
    assert set(artifact.meta["uniform"]) == {"duplicate_token", "induction"}
    assert artifact.meta["provenance"]["device"] == ["cpu"]
    assert artifact.meta["provenance"]["dataset_source"] == "written for Loupe"
    assert artifact.meta["provenance"]["dataset_licence"] == "CC0-1.0"
    texts = artifact.meta["pattern_rows"]
    assert artifact.meta["provenance"]["tokens"] == sum(len(text["tokens"]) for text in texts)
    assert "".join(texts[0]["tokens"]).startswith(f"{tiny.BOS}The Secretary of State met")
    ends = artifact.read("pattern_ends.0", file="layer-0")
    frame = artifact.read("pattern.0", slice(int(ends[0]), int(ends[1])), file="layer-0")
    pattern = decompress_pattern(frame, n_tokens=len(texts[0]["tokens"]))
    assert (np.triu(pattern, 1) == 0).all()
    np.testing.assert_allclose(pattern.astype(float).sum(1), 255, atol=len(pattern))
    remove_partials(store, spec)
    assert not partial_path(store, spec, 0).parent.exists()


def test_heads_promote_no_token_that_the_tokenizer_does_not_have(tmp_path: Path) -> None:
    model = tiny.unsettle(tiny.tiny_llama(vocab_size=tiny.VOCABULARY + 24))
    with torch.no_grad():
        model.get_output_embeddings().weight[tiny.VOCABULARY :] *= 50
    tiny.put_into(tmp_path, "tiny-padded", model)
    spec = spec_of(tmp_path, "tiny-padded", "repeated-random", rows=2, shard_rows=2)
    artifact = survey(tmp_path, spec, order=[0])
    promoted = artifact.read("promoted.1", file="layer-2")
    assert promoted.shape == (6, 101, 8)
    assert promoted.max() < tiny.VOCABULARY


def test_a_shard_that_is_done_is_not_measured_again(store: Path) -> None:
    spec = spec_of(store, "tiny-gpt2", "repeated-random", rows=4, shard_rows=4)
    batches: list[int] = []
    measure_shard(store, spec, 0, on_batch=batches.append)
    assert batches == [0, 4]
    measure_shard(store, spec, 0, on_batch=batches.append)
    assert batches == [0, 4]


def test_a_merge_without_all_its_shards_is_refused(store: Path) -> None:
    spec = spec_of(store, "tiny-gpt2", "repeated-random", rows=6, shard_rows=3)
    measure_shard(store, spec, 0, on_batch=lambda rows_done: None)
    with pytest.raises(StoreError, match="Opening shard-00001: expected a complete artifact, found none"):
        merge_survey(store, spec, on_partial=lambda rows_done: None)
    assert not survey_path(store, spec.hash).exists()


def test_other_weights_than_asked_for_are_refused(store: Path) -> None:
    spec = dataclasses.replace(spec_of(store, "tiny-gpt2", "bundled-texts", rows=3), model_hash="0" * 64)
    with pytest.raises(ModelError, match=r"Loading tiny-gpt2: expected weights with hash 000000000000…, got "):
        measure_shard(store, spec, 0, on_batch=lambda rows_done: None)


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"code": "0.0.1"}])
def test_a_survey_that_this_code_cannot_measure_as_asked_is_refused(store: Path, change: dict[str, str]) -> None:
    spec = dataclasses.replace(spec_of(store, "tiny-gpt2", "bundled-texts", rows=3), **change)
    with pytest.raises(SurveyError, match=f"expected a survey in float32 by code .*{next(iter(change.values()))}"):
        measure_shard(store, spec, 0, on_batch=lambda rows_done: None)


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"code": "0.0.1"}])
def test_shards_of_other_code_are_not_merged_under_its_name(store: Path, change: dict[str, str]) -> None:
    spec = spec_of(store, "tiny-gpt2", "repeated-random", rows=7, shard_rows=7)
    measure_shard(store, spec, 0, on_batch=lambda rows_done: None)
    other = dataclasses.replace(spec, **change)
    shutil.copytree(partial_path(store, spec, 0), partial_path(store, other, 0))
    with pytest.raises(SurveyError, match=f"expected a survey in float32 by code .*{next(iter(change.values()))}"):
        merge_survey(store, other, on_partial=lambda rows_done: None)
    assert not survey_path(store, other.hash).exists()


def test_a_damaged_calibration_is_named_and_made_anew_when_its_shards_are_asked_for_again(store: Path) -> None:
    spec = spec_of(store, "tiny-gpt2", "bundled-texts", rows=3, shard_rows=3, in_depth=True)
    measure_shard(store, spec, 0, on_batch=lambda rows_done: None)
    file = calibration_path(store, spec) / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match=r"^Verifying calibration: expected arrays\.safetensors with sha256 "):
        merge_survey(store, spec, on_partial=lambda rows_done: None)
    assert not survey_path(store, spec.hash).exists()
    survey(store, spec, order=[0]).verify()


def test_a_damaged_partial_is_measured_again(store: Path) -> None:
    spec = spec_of(store, "tiny-gpt2", "repeated-random", rows=5, shard_rows=5)
    measure_shard(store, spec, 0, on_batch=lambda rows_done: None)
    (partial_path(store, spec, 0) / "sums.safetensors").write_bytes(b"?")
    artifact = survey(store, spec, order=[0])
    artifact.verify()


@pytest.mark.parametrize(
    ("weights", "what", "layer"),
    [
        ("transformer.h.1.attn.c_attn", "activations of neurons", 1),
        ("transformer.h.2.mlp.c_fc", "activations of neurons", 2),
        ("transformer.h.2.mlp.c_proj", "residual_norm", 2),
        ("transformer.ln_f", "lens_divergence", 0),
    ],
)
def test_weights_that_are_not_numbers_end_the_survey_with_a_sentence(
    tmp_path: Path, weights: str, what: str, layer: int
) -> None:
    model = tiny.build("tiny-gpt2")
    model.get_submodule(weights).weight.data.view(-1)[0] = float("nan")
    tiny.put_into(tmp_path, "nan", model)
    spec = spec_of(tmp_path, "nan", "sotu", in_depth=True, lens_rows=4, pattern_rows=0)
    sentence = f"Measuring {what} of nan on sotu: expected finite numbers, got others in layer {layer}; its weights may"
    with pytest.raises(SurveyError, match=sentence):
        measure_shard(tmp_path, spec, 0, on_batch=lambda rows_done: None)


def test_rows_too_short_to_measure_are_refused(store: Path) -> None:
    rows = Rows.of([[0, 5, 6], [0, 5, 6, 7]], titles=["one"], documents=[0, 0], offsets=[0, 3])
    model = tiny.build("tiny-gpt2")
    with pytest.raises(SurveyError, match="Measuring tiny-gpt2 on sotu: expected rows of 4 tokens or more, got one of"):
        Shard(model, rows, spec_of(store, "tiny-gpt2", "sotu", rows=2), range(2))


def test_a_config_that_does_not_fit_the_weights_is_refused(store: Path, tmp_path: Path) -> None:
    model = tiny.build("tiny-gpt2")
    folder = tmp_path / "store"
    artifact = tiny.add_model(
        folder, "odd", model, tiny.tiny_tokenizer(), about={"title": "t", "licence": "l", "source": "s"}
    )
    weights = load_file(artifact.path / "model.safetensors")
    weights.pop("transformer.h.1.attn.c_attn.weight")
    # as somebody who builds the folder by hand would: checksums right, weights wrong
    save_file(weights, artifact.path / "model.safetensors", metadata={"format": "pt"})
    manifest = (artifact.path / "manifest.json").read_text()
    entry = artifact.files["model.safetensors"]
    file = artifact.path / "model.safetensors"
    manifest = manifest.replace(entry["sha256"], file_sha256(file))
    manifest = manifest.replace(f'"bytes": {entry["bytes"]}', f'"bytes": {file.stat().st_size}')
    (artifact.path / "manifest.json").write_text(manifest)
    with pytest.raises(ModelError, match="Loading odd: its config does not fit its weights"):
        measure_shard(folder, spec_of(folder, "odd", "bundled-texts", rows=3), 0, on_batch=lambda rows_done: None)


def test_a_token_that_is_part_of_a_character_keeps_its_name_in_the_vocabulary(store: Path) -> None:
    tokenizer = tiny.tiny_tokenizer().backend_tokenizer
    ids = np.asarray(tokenizer.encode("é", add_special_tokens=False).ids)
    assert len(ids) == 2
    assert "\ufffd" not in "".join(token_texts(open_artifact(model_path(store, "tiny-gpt2")), ids))
