"""What the weights artifact says, held to dense float64 matrices and to the models themselves."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.anatomy import Norm, NormKind
from analysis.schema import SchemaError, WeightsSpec
from analysis.store import Artifact, StoreError, open_artifact, publish, survey_path, weights_path, write_arrays
from analysis.weights import measure
from analysis.weights.composition import baseline, composition, strongest
from analysis.weights.heads import copying
from analysis.weights.measure import WeightsError, measure_weights
from analysis.weights.residual import Heads
from analysis.weights.top import top
from tests import tiny
from tests.weights_oracle import Oracle, numbers

SLUGS = (*tiny.FAMILIES, *tiny.CAPPED)
NORMALISED = ("tiny-qwen3", "tiny-olmo2")
SCORED = tuple(slug for slug in SLUGS if slug not in NORMALISED)
LAYER = 1
SURVEY = "5" * 64


def unsettled(slug: str) -> Any:
    """A tiny model whose biases and gains are not the zeros and ones that they begin with."""
    model = tiny.build(slug, sharpness=3.0)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1:
                weights.add_(torch.randn(weights.shape, generator=generator) * 0.3)
    return model


def put_with_survey(store: Path, slug: str, model: Any) -> WeightsSpec:
    """A model in the store, and a survey whose heads have 10 top key and query tokens, the last 3, head 0 none."""
    about = {"title": slug, "licence": "CC0-1.0", "source": "random weights"}
    artifact = tiny.add_model(store, slug, model, tiny.tiny_tokenizer(), about=about)
    survey = artifact.meta["hash"]
    sizes = artifact.meta["sizes"]
    generator = np.random.default_rng(3)
    with publish(survey_path(store, survey), meta={"spec": {"model_hash": artifact.meta["hash"]}}) as folder:
        for layer in range(sizes["n_layers"]):
            arrays = {}
            for name in ("head.key_tokens", "head.query_tokens"):
                draws = [generator.permutation(tiny.VOCABULARY)[:10] for _ in range(sizes["n_heads"])]
                arrays[name] = np.asarray(draws, dtype=np.int32)
                arrays[name][0] = -1
                arrays[name][-1, 3:] = -1
            write_arrays(folder, arrays, file=f"layer-{layer}")
    return WeightsSpec(slug, artifact.meta["hash"], survey)


@pytest.fixture(scope="module")
def unsettled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights") / "store"


@functools.cache
def read(store: Path, slug: str) -> tuple[Artifact, Oracle]:
    """A tiny model's weights artifact and its oracle."""
    model = unsettled(slug)
    spec = put_with_survey(store, slug, model)
    with pytest.MonkeyPatch.context() as patch:
        if slug in tiny.CAPPED:  # cannot be loaded for measuring patterns; its weights can be read
            patch.setattr(measure, "load_model", lambda *arguments, **named: model)
        measure_weights(store, spec, on_layer=lambda layers: None)
    return open_artifact(weights_path(store, spec.hash)), Oracle(model)


def assert_top(tokens: np.ndarray, values: np.ndarray, dense: np.ndarray) -> None:
    """`tokens` [row, n] are different columns of `dense` [row, column] with its n highest values, in order."""
    assert tokens.dtype == np.int32
    assert values.dtype == np.float32
    n = tokens.shape[1]
    scale = np.abs(dense).max()
    np.testing.assert_allclose(values, -np.sort(-dense, 1)[:, :n], atol=2e-5 * scale)
    np.testing.assert_allclose(np.take_along_axis(dense, tokens.astype(int), 1), values, atol=2e-5 * scale)
    assert all(len(set(row)) == n for row in tokens.tolist())


@pytest.mark.parametrize("slug", SLUGS)
def test_neurons_promote_and_suppress_what_the_dense_product_does(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    out = oracle.matrix(oracle.module(LAYER, oracle.paths.out))
    logits = (oracle.unembedding() @ oracle.written(oracle.module(LAYER, oracle.paths.mlp_output_norm), out)).T
    file = f"layer-{LAYER}"
    tokens, values = (artifact.read(f"neuron.promoted_{name}", file=file) for name in ("tokens", "logits"))
    assert_top(tokens, values, logits)
    tokens, values = (artifact.read(f"neuron.suppressed_{name}", file=file) for name in ("tokens", "logits"))
    assert_top(tokens, -values, -logits)


@pytest.mark.parametrize("slug", SLUGS)
def test_neurons_are_excited_by_the_tokens_whose_pre_activation_is_highest(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    normed = torch.from_numpy(oracle.normed(oracle.module(LAYER, oracle.paths.mlp_norm), bias=True)).float()
    with torch.no_grad():
        first, second = (
            None if path is None else numbers(oracle.module(LAYER, path)(normed)).T
            for path in (oracle.paths.first, oracle.paths.second)
        )
    gated = second is not None
    expected = {"gate": first, "up": second, "up_negative": -second} if gated else {"input": first}
    names = {name for name in artifact.names(file=f"layer-{LAYER}") if name.endswith("_values")}
    assert names == {f"neuron.{name}_values" for name in expected}
    for name, dense in expected.items():
        tokens = artifact.read(f"neuron.{name}_tokens", file=f"layer-{LAYER}")
        values = artifact.read(f"neuron.{name}_values", file=f"layer-{LAYER}")
        assert_top(tokens, -values if name == "up_negative" else values, dense)


@pytest.mark.parametrize("slug", SLUGS)
def test_nearest_neurons_are_those_of_all_cosines(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    paths, inputs, outputs = oracle.paths, [], []
    for layer in range(len(oracle.blocks)):
        reading = oracle.reading(oracle.module(layer, paths.mlp_norm))
        inputs.append(oracle.matrix(oracle.module(layer, paths.first)) @ reading)
        out = oracle.matrix(oracle.module(layer, paths.out))
        outputs.append(oracle.written(oracle.module(layer, paths.mlp_output_norm), out).T)
    n = len(inputs[0])
    for name, parts in (("input", inputs), ("output", outputs)):
        vectors = np.concatenate(parts)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = unit @ unit.T
        np.fill_diagonal(cosines, -2)
        for layer in range(len(oracle.blocks)):
            neurons = artifact.read(f"neuron.nearest_{name}_neurons", file=f"layer-{layer}")
            values = artifact.read(f"neuron.nearest_{name}_cosines", file=f"layer-{layer}")
            assert_top(neurons, values, cosines[layer * n : (layer + 1) * n])


@pytest.mark.parametrize("slug", SLUGS)
def test_the_copying_score_is_that_of_all_eigenvalues_of_the_dense_circuit(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    scores = artifact.read("ov_copying", file="summary")
    assert scores.shape == (len(oracle.blocks), oracle.n_heads)
    for head in (1, oracle.n_heads - 1):
        eigenvalues = np.linalg.eigvals(oracle.ov_logits(LAYER, head))
        expected = eigenvalues.real.sum() / np.abs(eigenvalues).sum()
        # the 400 − d_head eigenvalues that are zero are not exactly so
        assert scores[LAYER, head] == pytest.approx(expected, abs=1e-4)
    assert (np.abs(scores) <= 1).all()
    assert scores.std() > 0.01


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_head_that_writes_what_it_reads_copies_and_its_negative_does_the_opposite(sign: float) -> None:
    eye, nothing = torch.eye(4)[None], torch.zeros(1, 4)
    norm = Norm(NormKind.NONE, torch.ones(4), None)
    heads = Heads(norm=norm, q=eye, k=eye, v=eye, o=sign * eye, q_constant=nothing, k_constant=nothing)
    words = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    assert copying(heads, words.T @ words).item() == pytest.approx(sign)


@pytest.mark.parametrize("slug", SLUGS)
def test_heads_promote_for_their_key_tokens_what_the_dense_circuit_does(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    keys, tokens, values, ranks = (
        artifact.read(f"head.{name}", file=f"layer-{LAYER}")
        for name in ("key_tokens", "ov_tokens", "ov_logits", "ov_own_rank")
    )
    shares = artifact.read("ov_own_first_share", file="summary")[LAYER]
    assert (keys[0] == -1).all()
    assert (tokens[0] == -1).all()
    assert np.isnan(values[0]).all()
    assert (ranks[0] == -1).all()
    assert np.isnan(shares[0])
    for head in range(1, oracle.n_heads):
        known = 3 if head == oracle.n_heads - 1 else 10
        assert (ranks[head, known:] == -1).all()
        logits = oracle.ov_logits(LAYER, head).T[keys[head, :known]]
        assert_top(tokens[head, :known], values[head, :known], logits)
        own = logits[np.arange(known), keys[head, :known]]
        expected = [1 + sum(other > mine for other in row) for row, mine in zip(logits, own, strict=True)]
        np.testing.assert_allclose(ranks[head, :known], expected, atol=1)  # rounding may swap two that are equal
        assert shares[head] == pytest.approx((ranks[head, :known] == 1).sum() / known)


@pytest.mark.parametrize("slug", SCORED)
def test_key_tokens_score_what_the_model_itself_scores(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    offsets = artifact.meta["offsets"]
    assert offsets == ([None] if slug == "tiny-gpt2" else [1, 8])
    queries, tokens, values = (
        artifact.read(f"head.{name}", file=f"layer-{LAYER}") for name in ("query_tokens", "qk_tokens", "qk_scores")
    )
    assert queries.shape == (oracle.n_heads, 5)
    assert tokens.shape == (oracle.n_heads, len(offsets), 5, 5)
    assert (tokens[0] == -1).all()
    assert np.isnan(values[0]).all()
    assert (tokens[-1, :, 3:] == -1).all()
    for head, query in ((1, 0), (1, 4), (oracle.n_heads - 2, 2), (oracle.n_heads - 1, 1)):
        for i, offset in enumerate(offsets):
            scores = oracle.scores(LAYER, query=int(queries[head, query]), offset=offset or 1)[head]
            assert_top(tokens[head, i, query][None], values[head, i, query][None], scores[None])


def _composition(oracle: Oracle, kind: str, heads: tuple[int, int], earlier: tuple[int, int], *, offset: int) -> float:
    """‖A B‖ / (‖A‖ ‖B‖) of dense matrices."""
    b = oracle.ov(*earlier)
    if kind == "v":
        a = oracle.ov(*heads)
    else:
        a = oracle.qk(*heads, offset=offset)
        a = a.T if kind == "q" else a
    return np.linalg.norm(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("kind", ["q", "k", "v"])
@pytest.mark.parametrize("slug", SLUGS)
def test_composition_is_the_ratio_of_dense_norms(unsettled_store: Path, slug: str, kind: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    if kind != "v" and slug in NORMALISED:
        assert f"composition.{kind}" not in artifact.names(file="summary")
        return
    n_layers, n_heads = len(oracle.blocks), oracle.n_heads
    whole = artifact.read(f"composition.{kind}", file="summary")
    offsets = [0] if kind == "v" or slug == "tiny-gpt2" else [1, 8]
    assert whole.shape == (len(offsets), n_layers * n_heads, n_layers * n_heads)
    last = n_layers - 1
    for i, offset in enumerate(offsets):
        for head in (1, n_heads - 1):
            expected = [
                _composition(oracle, kind, (last, head), (layer, earlier), offset=offset)
                for layer in range(last)
                for earlier in range(n_heads)
            ]
            np.testing.assert_allclose(whole[i, last * n_heads + head, : last * n_heads], expected, rtol=1e-4)
            heads = artifact.read(f"head.{kind}_composition_heads", (head, i), file=f"layer-{last}")
            values = artifact.read(f"head.{kind}_composition", (head, i), file=f"layer-{last}")
            known = min(10, len(expected))
            assert_top(heads[None, :known], values[None, :known], np.asarray(expected)[None])
            assert (heads[known:] == -1).all()
    for layer in range(n_layers):
        assert np.isnan(whole[:, layer * n_heads : (layer + 1) * n_heads, layer * n_heads :]).all()
    assert (artifact.read(f"head.{kind}_composition_heads", file="layer-0") == -1).all()
    assert np.isnan(artifact.read(f"head.{kind}_composition", file="layer-0")).all()


def test_composition_of_rank_one_heads_is_a_cosine() -> None:
    reader = torch.tensor([[[3.0, 0.0, 0.0]]])
    writer = torch.tensor([[[1.0], [1.0], [0.0]], [[0.0], [0.0], [9.0]], [[-2.0], [0.0], [0.0]]])
    np.testing.assert_allclose(composition(reader, writer), [[0.5**0.5, 0.0, 1.0]], atol=1e-6)


def test_the_baseline_is_what_random_directions_give() -> None:
    # turning a matrix at random leaves 1 / d_model of its squared norm to another, in the mean
    for d_model, d_head in ((48, 8), (64, 64)):
        found = baseline(d_model, d_head)
        square = found["mean"] ** 2 + found["standard_deviation"] ** 2
        error = 2 * found["mean"] * found["standard_deviation"] / found["draws"] ** 0.5
        assert square == pytest.approx(1 / d_model, abs=4 * error)
        assert 0 < found["standard_deviation"] < 0.2 * found["mean"]
        assert baseline(d_model, d_head) == found


def test_a_head_of_zeros_is_nobodys_neighbour() -> None:
    values, heads = strongest(torch.tensor([0.2, float("nan"), 0.4]))
    np.testing.assert_allclose(values[:2], [0.4, 0.2])
    assert heads.tolist() == [2, 0, *([-1] * 8)]
    assert values[2:].isnan().all()


@pytest.mark.parametrize("columns", [5, 64, 700, 703, 5000])
def test_top_is_what_sorting_gives(columns: int) -> None:
    values = torch.randn(7, columns, generator=torch.Generator().manual_seed(columns))
    values[:, -1] = 9.0  # the last group is not a whole one
    found = top(values, 10)
    order = np.argsort(-values.numpy(), 1)[:, :10]
    np.testing.assert_array_equal(found[1], order)
    np.testing.assert_array_equal(found[0], np.take_along_axis(values.numpy(), order, 1))


@pytest.mark.parametrize("slug", SLUGS)
def test_every_array_is_defined_and_one_component_is_a_slice(unsettled_store: Path, slug: str) -> None:
    artifact, oracle = read(unsettled_store, slug)
    files = ["summary", *(f"layer-{layer}" for layer in range(len(oracle.blocks)))]
    names = {name for file in files for name in artifact.names(file=file)}
    assert set(artifact.meta["definitions"]) == names
    bytes_of_neuron = 0
    for name in artifact.names(file="layer-0"):
        array = artifact.read(name, file="layer-0")
        of_head = name.startswith("head.")
        assert len(array) == (oracle.n_heads if of_head else len(oracle.matrix(oracle.module(0, oracle.paths.first))))
        bytes_of_neuron += 0 if of_head else array[0].nbytes
    assert bytes_of_neuron <= 1500
    assert artifact.meta["spec"]["survey"] == artifact.meta["spec"]["model_hash"]
    assert artifact.meta["tokens"] == tiny.VOCABULARY
    absent = {"qk_tokens", "q_composition", "k_composition"} if slug in NORMALISED else set()
    assert set(artifact.meta["absent"]) == absent
    assert all("normalise queries and keys" in sentence for sentence in artifact.meta["absent"].values())
    assert ("head.qk_tokens" in names) is not (slug in NORMALISED)
    json.dumps(artifact.meta, allow_nan=False)


def test_layers_are_reported_in_turn_and_what_is_there_is_kept(tmp_path: Path) -> None:
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    reported: list[int] = []
    measure_weights(tmp_path, spec, on_layer=reported.append)
    assert sorted(reported) == reported
    assert set(reported) == {0, 1, 2, 3}
    measure_weights(tmp_path, spec, on_layer=lambda layers: pytest.fail("read again"))
    file = weights_path(tmp_path, spec.hash) / "layer-1.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    measure_weights(tmp_path, spec, on_layer=reported.append)
    assert file.read_bytes() == whole


def test_long_layers_are_reported_while_they_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_PACE_SECONDS", 0.0)
    reported: list[int] = []
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    measure_weights(tmp_path, spec, on_layer=reported.append)
    # 6 pairs of 3 layers by input and by output; a block promoted and one excited in each layer
    assert reported == [0] * (1 + 2 * 6) + [0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_a_reading_that_was_stopped_goes_on_after_its_finished_layers_and_gives_equal_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    path, partials = weights_path(tmp_path, spec.hash), tmp_path / "partials" / spec.hash
    files = open_artifact(path).files
    assert not partials.exists()
    shutil.rmtree(path)
    read: list[str] = []
    for name in ("nearest", "promoted"):
        monkeypatch.setattr(measure, name, counted(name, getattr(measure, name), read))

    def stop(layers: int) -> None:
        if layers == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_weights(tmp_path, spec, on_layer=stop)
    assert not path.exists()
    assert read == ["nearest", "nearest", "promoted", "promoted"]

    damaged = partials / "layer-1" / "arrays.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    read.clear()
    measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    assert read == ["promoted", "promoted"], "layer 1 again, and layer 2"
    assert open_artifact(path).files == files
    assert not partials.exists()


def counted(name: str, function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        return function(*arguments, **named)

    return call


def test_tokens_that_no_text_has_are_never_named(tmp_path: Path) -> None:
    model = tiny.tiny_llama(vocab_size=tiny.VOCABULARY + 20)
    with torch.no_grad():
        model.get_input_embeddings().weight[tiny.VOCABULARY :] *= 100
        model.get_output_embeddings().weight[tiny.VOCABULARY :] *= 100
    spec = put_with_survey(tmp_path, "padded", model)
    measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    artifact = open_artifact(weights_path(tmp_path, spec.hash))
    assert artifact.meta["tokens"] == tiny.VOCABULARY
    for name in artifact.names(file="layer-1"):
        if name.endswith("_tokens"):
            assert artifact.read(name, file="layer-1").max() < tiny.VOCABULARY, name


def test_large_matrices_are_left_out_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_MATRICES_BYTES", 1000)
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    artifact = open_artifact(weights_path(tmp_path, spec.hash))
    assert artifact.names(file="summary") == ["ov_copying", "ov_own_first_share"]
    assert "the ten strongest of each head are kept" in artifact.meta["absent"]["composition_matrices"]


def test_a_reading_that_cannot_be_made_as_asked_is_refused(tmp_path: Path) -> None:
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    other = put_with_survey(tmp_path, "tiny-neox", unsettled("tiny-neox"))
    for changes, error, sentence in (
        ({"code": "0.0.1"}, WeightsError, r"expected a reading by code .*, got one by code 0.0.1"),
        ({"survey": other.survey}, WeightsError, r"expected a survey of weights .*, got one of"),
        ({"survey": SURVEY}, StoreError, "expected a complete artifact, found none"),
    ):
        with pytest.raises(error, match=sentence):
            measure_weights(tmp_path, dataclasses.replace(spec, **changes), on_layer=lambda layers: None)


def test_a_damaged_survey_is_named_and_nothing_made_of_it(tmp_path: Path) -> None:
    spec = put_with_survey(tmp_path, "tiny-gpt2", unsettled("tiny-gpt2"))
    file = survey_path(tmp_path, spec.survey) / "layer-1.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match=rf"^Verifying {spec.survey[:8]}…: expected layer-1\.safetensors with sha256 "):
        measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    assert not weights_path(tmp_path, spec.hash).exists()


def test_weights_that_are_not_numbers_are_named(tmp_path: Path) -> None:
    model = unsettled("tiny-gpt2")
    model.transformer.h[1].mlp.c_fc.weight.data[3, 3] = float("inf")
    spec = put_with_survey(tmp_path, "infinite", model)
    with pytest.raises(WeightsError, match=r"expected finite numbers, got others in transformer\.h\.1\.mlp\.c_fc"):
        measure_weights(tmp_path, spec, on_layer=lambda layers: None)


def test_scores_of_rotary_embedding_that_does_more_than_turn_are_absent_with_a_reason(tmp_path: Path) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0, "original_max_position_embeddings": 64}
    spec = put_with_survey(tmp_path, "yarn", tiny.tiny_llama(rope_parameters=rope))
    measure_weights(tmp_path, spec, on_layer=lambda layers: None)
    artifact = open_artifact(weights_path(tmp_path, spec.hash))
    assert set(artifact.meta["absent"]) == {"qk_tokens", "q_composition", "k_composition"}
    assert "got yarn" in artifact.meta["absent"]["qk_tokens"]
    assert "composition.v" in artifact.names(file="summary")


def test_a_spec_is_read_back_and_named_by_its_contents() -> None:
    spec = WeightsSpec("m", "a" * 64, SURVEY)
    assert WeightsSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert dataclasses.replace(spec, survey="6" * 64).hash != spec.hash
    with pytest.raises(SchemaError, match=r"Reading a WeightsSpec: .*'rows'"):
        WeightsSpec.from_json(spec.to_json() | {"rows": 3})
