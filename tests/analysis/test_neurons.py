"""Statistics of neurons and layers: against loops over activations that plain hooks read, shard by shard."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from analysis.datasets.table import prepare_dataset, read_rows
from analysis.merge import _tokens_by_mean
from analysis.models import load_model, model_path
from analysis.schema import SurveySpec
from analysis.statistics.batch import Batch
from analysis.statistics.neuron_examples import (
    N_IN_INTERVAL,
    N_STRONGEST,
    WINDOW,
    Extremes,
    Strongest,
    merge_intervals,
    merge_strongest,
)
from analysis.statistics.neurons import central_moments
from analysis.store import Artifact, open_artifact, survey_path
from analysis.survey import calibration_path, measure_shard, merge_survey
from tests.oracles import hidden_states, module_outputs


@dataclasses.dataclass(frozen=True)
class Modules:
    """The modules that an oracle watches, by name: of the model, and of each of its blocks."""

    blocks: str
    norm: str
    neurons: str  # what it is given are the activations of the neurons
    gate: str | None  # what it gives is the input of their gates
    attention: str  # what it gives is added to the residual stream
    mlp: str
    cap: float | None = None  # of the logits


# Of each kind of block one: plain, gated, side by side (Phi: with biases), with a norm behind its parts (Gemma 2: with
# caps and a sliding window as well).
MODULES = {
    "tiny-gpt2": Modules("transformer.h", "transformer.ln_f", "mlp.c_proj", None, "attn.c_proj", "mlp.c_proj"),
    "tiny-llama": Modules(
        "model.layers", "model.norm", "mlp.down_proj", "mlp.gate_proj", "self_attn.o_proj", "mlp.down_proj"
    ),
    "tiny-neox": Modules(
        "gpt_neox.layers",
        "gpt_neox.final_layer_norm",
        "mlp.dense_4h_to_h",
        None,
        "attention.dense",
        "mlp.dense_4h_to_h",
    ),
    "tiny-phi": Modules("model.layers", "model.final_layernorm", "mlp.fc2", None, "self_attn.dense", "mlp.fc2"),
    "tiny-olmo2": Modules(
        "model.layers",
        "model.norm",
        "mlp.down_proj",
        "mlp.gate_proj",
        "post_attention_layernorm",
        "post_feedforward_layernorm",
    ),
    "tiny-gemma2": Modules(
        "model.layers",
        "model.norm",
        "mlp.down_proj",
        "mlp.gate_proj",
        "post_attention_layernorm",
        "post_feedforward_layernorm",
        cap=3.0,
    ),
}
ROWS = 70
SIZES = {"rows": ROWS, "pattern_rows": 0, "in_depth": True, "lens_rows": 9, "shard_rows": 24, "batch_rows": 5}


def spec_of(store: Path, slug: str, **changes: int) -> SurveySpec:
    model = open_artifact(model_path(store, slug))
    hash_of = prepare_dataset(store, model, "sotu").meta["hash"]
    return SurveySpec(slug, model.meta["hash"], "sotu", hash_of, **(SIZES | changes))


def survey(store: Path, spec: SurveySpec, order: list[int]) -> Artifact:
    for shard in order:
        measure_shard(store, spec, shard, on_batch=lambda rows_done: None)
    merge_survey(store, spec, on_partial=lambda rows_done: None)
    return open_artifact(survey_path(store, spec.hash))


class Slow:
    """What plain forward passes say of a model on the rows of a survey."""

    def __init__(self, store: Path, slug: str) -> None:
        spec = spec_of(store, slug)
        self.artifact = survey(store, spec, [2, 0, 1])
        self.calibration = open_artifact(calibration_path(store, spec))
        artifact = open_artifact(model_path(store, slug))
        self.model: PreTrainedModel = load_model(store, slug, expected_hash=spec.model_hash, device="cpu")
        rows = read_rows(store, artifact, "sotu", expected_hash=spec.dataset_hash)
        self.rows = [rows[row].tolist() for row in range(ROWS)]
        self.documents = rows.documents[:ROWS].tolist()
        self.modules = MODULES[slug]
        self.norm = self.model.get_submodule(self.modules.norm)
        self.n_layers = artifact.meta["sizes"]["n_layers"]
        modules = self._in_layers(a=self.modules.neurons, r="") | {"final": self.norm}
        self.states = [hidden_states(self.model, row, modules) for row in self.rows]
        watched = {"attention": self.modules.attention, "mlp": self.modules.mlp}
        modules = self._in_layers(**watched | ({"gate": self.modules.gate} if self.modules.gate else {}))
        self.outputs = [module_outputs(self.model, row, modules) for row in self.rows]

    def _in_layers(self, **paths: str) -> dict[str, torch.nn.Module]:
        """Modules of every block, by the name given here and the number of the layer."""
        blocks = [self.model.get_submodule(f"{self.modules.blocks}.{layer}") for layer in range(self.n_layers)]
        return {
            f"{name}{layer}": block.get_submodule(path)
            for layer, block in enumerate(blocks)
            for name, path in paths.items()
        }

    def after(self, layer: int) -> list[np.ndarray]:
        """The residual stream that leaves a layer [pos, d_model], of every row."""
        return [states[f"r{layer + 1}" if layer + 1 < self.n_layers else "final"] for states in self.states]

    def activations(self, layer: int) -> list[np.ndarray]:
        """[pos, neuron] of every row."""
        return [states[f"a{layer}"] for states in self.states]


@pytest.fixture(scope="module", params=sorted(MODULES))
def slow(request: pytest.FixtureRequest, store: Path) -> Slow:
    return Slow(store, request.param)


def by_document(slow: Slow, sums: list[float], counts: list[int]) -> tuple[float, float]:
    """A mean over the documents of the first rows and its standard error, by hand, from each row's sum and number."""
    totals: dict[int, list[float]] = {}
    for document, s, c in zip(slow.documents[: len(sums)], sums, counts, strict=True):
        total = totals.setdefault(document, [0.0, 0])
        total[0] += s
        total[1] += c
    number = sum(c for _, c in totals.values())
    mean = sum(s for s, _ in totals.values()) / number
    squares = sum((s - mean * c) ** 2 for s, c in totals.values())
    n = len(totals)
    return mean, (n / (n - 1) * squares) ** 0.5 / number


def test_moments_of_neurons_are_those_of_the_plain_activations(slow: Slow) -> None:
    read = functools.partial(slow.artifact.read, file="summary")
    for layer in range(slow.n_layers):
        rows = slow.activations(layer)
        live = np.concatenate([row[1:] for row in rows])
        sampled = [[p for p in range(1, len(row)) if (p + i) % 8 == 0] for i, row in enumerate(rows)]
        sample = np.concatenate([row[positions] for row, positions in zip(rows, sampled, strict=True)])
        np.testing.assert_allclose(read("neuron.mean", layer), live.mean(0), atol=1e-6)
        np.testing.assert_allclose(read("neuron.maximum", layer), live.max(0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(read("neuron.minimum", layer), live.min(0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(read("neuron.standard_deviation", layer), sample.std(0, ddof=1), rtol=1e-4)
        standard = (sample - sample.mean(0)) / sample.std(0)
        np.testing.assert_allclose(read("neuron.skewness", layer), (standard**3).mean(0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(read("neuron.kurtosis", layer), (standard**4).mean(0), rtol=1e-3)
        for neuron in (0, 3, 17):
            sums, counts = [row[1:, neuron].sum() for row in rows], [len(row) - 1 for row in rows]
            mean, error = by_document(slow, sums, counts)
            assert read("neuron.mean", (layer, neuron)) == pytest.approx(mean, abs=1e-6)
            assert read("neuron.mean.error", (layer, neuron)) == pytest.approx(error, rel=1e-4)
            gates = [outputs[f"gate{layer}"] for outputs in slow.outputs] if slow.modules.gate else rows
            active = [(gate[positions, neuron] > 0).sum() for gate, positions in zip(gates, sampled, strict=True)]
            share, error = by_document(slow, active, [len(positions) for positions in sampled])
            assert read("neuron.share_active", (layer, neuron)) == pytest.approx(share, abs=1e-6)
            assert read("neuron.share_active.error", (layer, neuron)) == pytest.approx(error, rel=1e-4)


def test_histograms_count_the_sampled_activations_between_the_ends_that_calibration_fixed(slow: Slow) -> None:
    for layer in range(slow.n_layers):
        rows = slow.activations(layer)
        sample = np.concatenate(
            [row[[p for p in range(1, len(row)) if (p + i) % 8 == 0]] for i, row in enumerate(rows)]
        )
        first = np.concatenate([row[1:] for row in rows[: SIZES["batch_rows"]]])
        ends = slow.artifact.read("neuron.range", file=f"layer-{layer}")
        margin = (first.max(0) - first.min(0)) / 10
        np.testing.assert_allclose(ends[:, 0], first.min(0) - margin, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(ends[:, 1], first.max(0) + margin, rtol=1e-3, atol=1e-6)
        found = slow.artifact.read("neuron.histogram", file=f"layer-{layer}")
        assert (found.sum(1) == len(sample)).all()
        for neuron in (0, 5, 11):
            low, high = ends[neuron].astype(np.float64)
            clipped = np.clip(sample[:, neuron], low, np.nextafter(high, low))
            expected, _ = np.histogram(clipped, bins=64, range=(low, high))
            # a value on the edge of a bin may be rounded into either
            assert np.abs(np.cumsum(expected) - np.cumsum(found[neuron])).max() <= 1


def test_means_by_token_are_those_of_tokens_seen_ten_times(slow: Slow) -> None:
    tokens = np.concatenate([row[1:] for row in slow.rows])
    counts = np.bincount(tokens)
    often = np.flatnonzero(counts >= 10)
    assert slow.artifact.read("frequent", file="rows").tolist() == often.tolist()
    assert slow.artifact.read("frequent_counts", file="rows").tolist() == counts[often].tolist()
    live = np.concatenate([row[1:] for row in slow.activations(1)])
    means = np.stack([live[tokens == token].mean(0) for token in often])  # [token, neuron]
    found, values = (slow.artifact.read(f"neuron.{name}", file="layer-1") for name in ("tokens", "token_means"))
    for neuron in range(live.shape[1]):
        ordered = np.sort(means[:, neuron])
        np.testing.assert_allclose(values[neuron, :10], ordered[::-1][:10], atol=1e-6)
        np.testing.assert_allclose(values[neuron, 10:], ordered[:10], atol=1e-6)
        own = [means[often.tolist().index(token), neuron] for token in found[neuron]]
        np.testing.assert_allclose(values[neuron], own, atol=1e-6)


def slow_strongest(slow: Slow, scores: np.ndarray) -> list[int]:
    """The rows with the highest scores, one a document."""
    rows, seen = [], set()
    for row in sorted(range(ROWS), key=lambda row: (-scores[row], row)):
        if slow.documents[row] not in seen:
            seen.add(slow.documents[row])
            rows.append(row)
    return rows[:N_STRONGEST]


def test_examples_are_the_strongest_rows_one_a_document_with_their_windows(slow: Slow) -> None:
    for layer in range(slow.n_layers):
        rows = slow.activations(layer)
        found = {
            name: slow.artifact.read(f"neuron.example_{name}", file=f"layer-{layer}")
            for name in ("row", "score", "position", "start", "scale", "window")
        }
        for neuron in range(0, rows[0].shape[1], 3):
            for sign, offset in ((1, 0), (-1, N_STRONGEST)):
                scores = np.array([(sign * row[1:, neuron]).max() for row in rows])
                expected = slow_strongest(slow, scores)
                own = slice(offset, offset + len(expected))
                np.testing.assert_allclose(sign * found["score"][neuron, own], scores[expected], rtol=1e-4, atol=1e-7)
                assert (found["row"][neuron, own] >= 0).all()
                assert (found["row"][neuron, own.stop : offset + N_STRONGEST] == -1).all()
                for slot in range(own.start, own.stop):
                    row = rows[found["row"][neuron, slot]][:, neuron]
                    start, position = found["start"][neuron, slot], found["position"][neuron, slot]
                    assert row[position] == pytest.approx(found["score"][neuron, slot], rel=1e-4, abs=1e-7)
                    assert 1 <= start <= position < start + WINDOW <= len(row)
                    steps = found["window"][neuron, slot] / 127 * found["scale"][neuron, slot]
                    np.testing.assert_allclose(
                        steps, row[start : start + WINDOW], atol=found["scale"][neuron, slot] / 200
                    )


def test_each_interval_has_its_first_rows_one_a_document(slow: Slow) -> None:
    for layer in range(slow.n_layers):
        rows = slow.activations(layer)
        maxima = np.stack([row[1:].max(0) for row in rows])
        edges = slow.calibration.read("edges", layer)
        np.testing.assert_allclose(
            edges, np.quantile(maxima[: SIZES["batch_rows"]], (0.2, 0.4, 0.6, 0.8), axis=0).T, rtol=1e-4, atol=1e-7
        )
        found = slow.artifact.read("neuron.example_row", file=f"layer-{layer}")[:, 2 * N_STRONGEST :]
        for neuron in range(maxima.shape[1]):
            intervals = (maxima[:, neuron, None] > edges[neuron]).sum(1)
            if np.abs(maxima[:, neuron, None] - edges[neuron]).min() < 1e-6:
                continue  # too near to an edge to tell by another way of computing
            for interval in range(5):
                seen: dict[int, int] = {}
                for row in np.flatnonzero(intervals == interval):
                    seen.setdefault(slow.documents[row], int(row))
                expected = list(seen.values())[:N_IN_INTERVAL]
                slots = found[neuron, interval * N_IN_INTERVAL : (interval + 1) * N_IN_INTERVAL]
                assert slots.tolist() == expected + [-1] * (N_IN_INTERVAL - len(expected))


def assert_layer(slow: Slow, key: str, layer: int, sums: list[float], counts: list[int], *, atol: float = 1e-9) -> None:
    """A metric of a layer and its standard error are those of a sum and a number of each row."""
    mean, error = by_document(slow, sums, counts)
    assert slow.artifact.read(f"layer.{key}", layer, file="summary") == pytest.approx(mean, rel=1e-4, abs=atol), key
    found = slow.artifact.read(f"layer.{key}.error", layer, file="summary")
    assert found == pytest.approx(error, rel=1e-3, abs=atol), key


def test_layers_are_as_plain_residual_streams_say(slow: Slow) -> None:
    for layer in range(slow.n_layers):
        lengths = [np.linalg.norm(row, axis=1) for row in slow.after(layer)]
        live = [len(row) - 1 for row in lengths]
        assert_layer(slow, "residual_norm", layer, [row[1:].sum() for row in lengths], live)
        assert_layer(slow, "residual_norm_first", layer, [row[0] for row in lengths], [1] * ROWS)


@pytest.mark.parametrize("part", ["attention", "mlp"])
def test_what_attention_and_mlp_write_is_what_their_modules_give(slow: Slow, part: str) -> None:
    for layer in range(slow.n_layers):
        shares = [
            np.linalg.norm(outputs[f"{part}{layer}"][1:], axis=1) / np.linalg.norm(after[1:], axis=1)
            for outputs, after in zip(slow.outputs, slow.after(layer), strict=True)
        ]
        assert_layer(slow, f"{part}_written", layer, [row.sum() for row in shares], [len(row) for row in shares])


def test_attention_and_mlp_are_all_that_a_layer_adds(slow: Slow) -> None:
    for layer in range(slow.n_layers):
        for states, outputs, after in zip(slow.states, slow.outputs, slow.after(layer), strict=True):
            written = outputs[f"attention{layer}"] + outputs[f"mlp{layer}"]
            np.testing.assert_allclose(states[f"r{layer}"] + written, after, rtol=1e-4, atol=1e-4)


def test_the_logit_lens_is_the_models_own_head_on_each_layers_output(slow: Slow) -> None:
    head, cap = slow.model.get_output_embeddings(), slow.modules.cap
    n_rows = SIZES["lens_rows"]
    for layer in range(slow.n_layers):
        agree, divergence = [], []
        for row, after in zip(slow.rows[:n_rows], slow.after(layer)[:n_rows], strict=True):
            with torch.no_grad():
                final = slow.model(torch.tensor([row])).logits[0].double().log_softmax(-1)
                logits = head(slow.norm(torch.from_numpy(after).float())).double()
                lens = (cap * torch.tanh(logits / cap) if cap else logits).log_softmax(-1)
            at = [31, 63, 95, 127]
            agree.append(sum(bool(final[i].argmax() == lens[i].argmax()) for i in at))
            divergence.append(sum(float((final[i].exp() * (final[i] - lens[i])).sum()) for i in at))
        assert_layer(slow, "lens_agreement", layer, agree, [4] * n_rows)
        assert_layer(slow, "lens_divergence", layer, divergence, [4] * n_rows, atol=1e-5)
    assert slow.artifact.read("layer.lens_agreement", slow.n_layers - 1, file="summary") == 1
    assert slow.artifact.meta["queries"]["lens_agreement"] == 4 * n_rows


def test_any_order_of_shards_and_any_worker_gives_equal_bytes(slow: Slow, tmp_path: Path) -> None:
    store, spec = slow.artifact.path.parent.parent, SurveySpec.from_json(slow.artifact.meta["spec"])
    for order in ([0, 1, 2], [1, 2, 0]):
        other = tmp_path / str(order[0])
        for folder in ("models", "datasets"):
            shutil.copytree(store / folder, other / folder)
        again = survey(other, spec, order)
        assert {n: f["sha256"] for n, f in again.files.items()} == {
            n: f["sha256"] for n, f in slow.artifact.files.items()
        }


def test_another_sharding_finds_the_same(slow: Slow, tmp_path: Path) -> None:
    store = slow.artifact.path.parent.parent
    for folder in ("models", "datasets"):
        shutil.copytree(store / folder, tmp_path / folder)
    slug = slow.artifact.meta["spec"]["model"]
    other = survey(tmp_path, spec_of(tmp_path, slug, shard_rows=11, batch_rows=5), list(range(7)))
    for name in slow.artifact.names(file="summary"):
        found, expected = (artifact.read(name, file="summary") for artifact in (other, slow.artifact))
        loose = 1e-4 if "skewness" in name or "kurtosis" in name else 1e-6
        np.testing.assert_allclose(found, expected, rtol=loose, atol=loose, err_msg=name)
    for name in ("neuron.histogram", "head.histogram", "head.key_tokens", "neuron.tokens"):
        same = other.read(name, file="layer-1") == slow.artifact.read(name, file="layer-1")
        assert same.mean() > 0.999, name
    rows = other.read("neuron.example_row", file="layer-1") == slow.artifact.read("neuron.example_row", file="layer-1")
    assert rows.mean() > 0.999  # rows whose scores differ by less than rounding may change places


def test_moments_of_a_neuron_that_never_varies_are_absent() -> None:
    powers = np.array([[4.0], [8.0], [16.0], [32.0], [64.0]])  # four times the activation 2
    deviation, skewness, kurtosis = central_moments(powers)
    assert deviation[0] == 0
    assert np.isnan(skewness[0])
    assert np.isnan(kurtosis[0])


@pytest.mark.parametrize("n_tokens", [0, 3, 10, 25])
@pytest.mark.parametrize("n_values", [2, 1000])
def test_tokens_with_equal_means_are_in_their_own_order(n_tokens: int, n_values: int) -> None:
    generator = np.random.default_rng(n_tokens)
    sums = generator.integers(n_values, size=(n_tokens, 40)).astype(np.float64)
    tokens = generator.permutation(100)[:n_tokens].astype(np.int32)
    found, means = _tokens_by_mean(sums, tokens, np.full(n_tokens, 2))
    for neuron, of_tokens in enumerate((sums / 2).T.tolist()):
        order = sorted(range(n_tokens), key=lambda token: -of_tokens[token])
        expected = [*order[:10], *order[::-1][:10]]
        assert found[neuron].tolist() == [tokens[token] for token in expected]
        assert means[neuron].tolist() == [of_tokens[token] for token in expected]


def slots(generator: np.random.Generator, rows: range, n_slots: int) -> dict[str, np.ndarray]:
    """A shard's examples of 30 neurons, in any order of slots, some empty, many with equal scores."""
    row = np.stack([generator.permutation(rows)[:n_slots] for _ in range(30)]).astype(np.int32)
    row[generator.random(row.shape) < 0.2] = -1
    score = np.where(row < 0, -np.inf, generator.integers(4, size=row.shape)).astype(np.float32)
    return {"score": score, "row": row, "window": np.repeat(row[..., None] % 100, 3, axis=2).astype(np.int8)}


def test_merged_examples_are_those_of_going_through_all_of_them() -> None:
    generator = np.random.default_rng(5)
    documents = generator.integers(40, size=90)
    strongest = [slots(generator, range(start, start + 30), 20) for start in (0, 30, 60)]
    found = merge_strongest(strongest, documents)
    intervals = [slots(generator, range(start, start + 30), 25) for start in (0, 30, 60)]
    of_intervals = merge_intervals(intervals, documents)
    for neuron in range(30):
        examples = [
            pair for part in strongest for pair in zip(-part["score"][neuron], part["row"][neuron], strict=True)
        ]
        expected = one_a_document([int(row) for _, row in sorted(examples) if row >= 0], documents, 20)
        assert found["row"][neuron].tolist() == expected
        for interval in range(5):
            places = slice(5 * interval, 5 * interval + 5)
            rows = sorted(row for part in intervals for row in part["row"][neuron, places].tolist() if row >= 0)
            assert of_intervals["row"][neuron, places].tolist() == one_a_document(rows, documents, 5)
    for merged in (found, of_intervals):
        there = merged["row"] >= 0
        np.testing.assert_array_equal(
            merged["window"][there], np.repeat(merged["row"][there][:, None] % 100, 3, axis=1)
        )
    assert (found["score"][found["row"] >= 0] > -np.inf).all()


@pytest.mark.parametrize("shard_rows", [10, 60])
@pytest.mark.parametrize("n_scores", [2, 6])
def test_of_rows_with_equal_scores_the_earlier_is_an_example(shard_rows: int, n_scores: int) -> None:
    generator = np.random.default_rng(n_scores)
    documents = generator.integers(40, size=60)
    # −0 and 0 are equal
    activation = (generator.integers(n_scores, size=(60, 9, 30)) * generator.choice([-1.0, 1.0], size=30)).astype("f4")
    shards, floor = [], torch.full((60,), -torch.inf)
    for shard in range(0, 60, shard_rows):
        strongest = Strongest(floor, length=9)
        for first in range(shard, shard + shard_rows, 5):
            rows = range(first, first + 5)
            tokens = torch.zeros(5, 9, dtype=torch.int64)
            batch = Batch(rows, documents=tuple(documents[list(rows)].tolist()), tokens=tokens, frequent=tokens)
            strongest.add(Extremes(torch.from_numpy(activation[first : first + 5])), batch)
        floor = strongest.floor
        shards.append(strongest.arrays())
    found = merge_strongest(shards, documents)["row"]
    scores = np.concatenate([activation[:, 1:].max(1), -activation[:, 1:].min(1)], axis=1)
    for end in range(60):
        order = sorted(range(60), key=lambda row: (-scores[row, end], row))
        assert found[end].tolist() == one_a_document(order, documents, N_STRONGEST)


def one_a_document(rows: list[int], documents: np.ndarray, number: int) -> list[int]:
    """The first rows, each of another document, and −1 where there are no more."""
    first = {int(documents[row]): row for row in reversed(rows)}
    return [*(row for row in rows if first[int(documents[row])] == row), *[-1] * number][:number]
