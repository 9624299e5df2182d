"""Read all that a model's weights say of its parts, once, and publish it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel

from analysis.anatomy import AnatomyError, attention_scaling, normalises_queries, rotary_frequencies, sizes_of
from analysis.families import absent_from_weights
from analysis.models import load_model, model_path
from analysis.schema import CODE_VERSION, WeightsSpec
from analysis.store import (
    Artifact,
    discard_unless_whole,
    open_artifact,
    publish,
    remove,
    survey_path,
    weights_path,
    write_arrays,
)
from analysis.weights.composition import (
    baseline,
    composition,
    key_reader,
    query_reader,
    strongest,
    value_reader,
    writer,
)
from analysis.weights.definitions import definitions
from analysis.weights.heads import N_QUERIES, copying, ov_tokens, overlap, own_first_share, qk_tokens
from analysis.weights.neurons import excited, nearest, promoted
from analysis.weights.residual import Heads, Tokens, heads_of, neurons_of, rotated

# Where positions rotate queries and keys: how many positions the key is before the query. The first is the main one.
OFFSETS = (1, 8)
# Matrices of all heads by all heads are kept up to this size; the ten strongest of each head always are.
_MATRICES_BYTES = 2_000_000

Arrays = dict[str, np.ndarray]

_PACE_SECONDS = 1.0  # each call may ask the site


class WeightsError(Exception):
    """The weights of a model cannot be read as asked; the message is one sentence."""


def measure_weights(store: Path, spec: WeightsSpec, *, on_layer: Callable[[int], None]) -> None:
    """Read a model's weights and publish what they say; what is there whole is kept, and of a reading that was stopped
    its finished layers.

    `on_layer` is called with the number of layers finished so far: before the first, after each, and every second in
    between, since nearest neurons take a minute; what it raises ends the reading.

    `layer-<n>`: `head.…` arrays, first axis head, and `neuron.…` arrays, first axis neuron, so that one component is a
    slice; `summary`: arrays [layer, head], and `composition.…` [offset, head, earlier head] over all heads of the
    model where they are small. Tokens are int32, heads and neurons int32 layer × (number in a layer) + number, both −1
    where there is none; values are float32. What each array means is in `meta["definitions"]`, what is not there in
    `meta["absent"]`, each with one sentence.
    """
    path, partials = weights_path(store, spec.hash), store / "partials" / spec.hash
    if discard_unless_whole(path):
        remove(partials)
        return
    if spec.code != CODE_VERSION:
        raise WeightsError(
            f"Reading the weights of {spec.model}: expected a reading by code {CODE_VERSION}, got one by code "
            f"{spec.code}; ask for a new one."
        )
    survey = open_artifact(survey_path(store, spec.survey))
    if survey.meta["spec"]["model_hash"] != spec.model_hash:
        raise WeightsError(
            f"Reading the weights of {spec.model}: expected a survey of weights {spec.model_hash[:12]}…, got one of "
            f"{survey.meta['spec']['model_hash'][:12]}…."
        )
    survey.verify()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(store, spec.model, expected_hash=spec.model_hash, device=device)
    tokenizer = Tokenizer.from_file(str(model_path(store, spec.model) / "tokenizer.json"))
    n_tokens = min(sizes_of(model.config).d_vocab, 1 + max(tokenizer.get_vocab().values()))
    with torch.inference_mode():
        files, meta = _read(model, n_tokens, survey, partials, on_layer=_paced(on_layer))
    with publish(path, meta=meta | {"spec": spec.to_json(), "torch": torch.__version__}) as folder:
        for file, arrays in files.items():
            write_arrays(folder, arrays, file=file)
    remove(partials)


def _read(
    model: PreTrainedModel, n_tokens: int, survey: Artifact, partials: Path, *, on_layer: Callable[[int], None]
) -> tuple[dict[str, Arrays], dict[str, Any]]:
    """The arrays of each file, and meta."""
    _require_finite(model)
    sizes, tokens = sizes_of(model.config), Tokens(model, n_tokens)
    frequencies, absent = _positions(model)
    absent |= absent_from_weights(model.config.model_type)
    offsets = (0,) if frequencies is None else OFFSETS
    on_layer(0)
    nearest_neurons, seconds = Arrays(), 0.0
    if "neurons" not in absent:
        part = functools.partial(_nearest_neurons, model, on_pair=lambda: on_layer(0))
        nearest_neurons, seconds = _part(partials / "nearest", part)

    # all norms of a model normalise alike
    shared = None if "ov_tokens" in absent else overlap(heads_of(model, 0), tokens)
    writers: list[Tensor] = []

    def read_layer(layer: int) -> dict[str, Tensor]:
        heads = heads_of(model, layer)
        on_block = functools.partial(on_layer, layer)
        keys, queries = (
            torch.from_numpy(survey.read(name, file=f"layer-{layer}").astype(np.int64)).to(model.device)
            for name in ("head.key_tokens", "head.query_tokens")
        )
        of_heads, of_all = {"key_tokens": keys}, dict[str, Tensor]()
        if shared is not None:
            of_heads |= ov_tokens(heads, tokens, keys)
            of_all["summary.ov_copying"] = copying(heads, shared)
            of_all["summary.ov_own_first_share"] = own_first_share(of_heads["ov_own_rank"])
        if "qk_tokens" not in absent:
            queries = queries[:, :N_QUERIES]
            scaling = attention_scaling(model, layer)
            of_heads |= {"query_tokens": queries} | qk_tokens(
                heads, tokens, queries, scaling=scaling, frequencies=frequencies, offsets=offsets
            )
        for kind, readers in _readers(heads, absent, frequencies=frequencies, offsets=offsets).items():
            ratios = _with_earlier(readers, writers)
            of_heads[f"{kind}_composition"], of_heads[f"{kind}_composition_heads"] = strongest(ratios)
            missing = (0, sizes.n_layers * sizes.n_heads - ratios.shape[-1])
            padded = torch.nn.functional.pad(ratios, missing, value=torch.nan)
            of_all[f"composition.{kind}"] = padded.transpose(0, 1)
        of_neurons = _neurons(model, layer, tokens, absent, on_block=on_block)
        return (
            of_all
            | {f"head.{name}": array for name, array in of_heads.items()}
            | {f"neuron.{name}": array for name, array in of_neurons.items()}
        )

    layers: list[Arrays] = []
    for layer in range(sizes.n_layers):
        arrays, seconds_of_layer = _part(partials / f"layer-{layer}", functools.partial(read_layer, layer))
        writers.append(writer(heads_of(model, layer)))
        layers.append(arrays | {f"neuron.{name}": array[layer] for name, array in nearest_neurons.items()})
        seconds += seconds_of_layer
        on_layer(layer + 1)

    of_components = ("head.", "neuron.")
    files = {
        f"layer-{layer}": {name: array for name, array in arrays.items() if name.startswith(of_components)}
        for layer, arrays in enumerate(layers)
    }
    summary = [name for name in layers[0] if name.startswith("summary.")]
    whole = {
        name: np.concatenate([arrays[name] for arrays in layers], axis=1)
        for name in layers[0]
        if name.startswith("composition.")
    }
    size = sum(matrix.nbytes for matrix in whole.values())
    if size > _MATRICES_BYTES:
        absent["composition_matrices"] = (
            f"The compositions of all heads with all earlier heads take {size / 1e6:.0f} MB; the ten strongest of each "
            "head are kept."
        )
        whole = {}
    files["summary"] = whole | {
        name.removeprefix("summary."): np.stack([arrays[name] for arrays in layers]) for name in summary
    }
    meta = {
        "tokens": n_tokens,
        "offsets": [None] if frequencies is None else list(offsets),
        "baseline": baseline(sizes.d_model, sizes.d_head),
        "definitions": definitions({name for arrays in files.values() for name in arrays}),
        "absent": absent,
        "seconds": round(seconds, 1),
    }
    return files, meta


def _neurons(
    model: PreTrainedModel, layer: int, tokens: Tokens, absent: dict[str, str], *, on_block: Callable[[], None]
) -> dict[str, Tensor]:
    """What a layer's neurons promote and what excites them, as far as it is not absent."""
    if "neurons" in absent:
        return {}
    neurons = neurons_of(model, layer)
    found = excited(neurons, tokens, on_block=on_block)
    return found if "promoted_tokens" in absent else promoted(neurons, tokens, on_block=on_block) | found


def _part(path: Path, measure: Callable[[], dict[str, Tensor]]) -> tuple[Arrays, float]:
    """What a reading that was stopped left whole at `path`, or what `measure` finds, left there; and its seconds."""
    if discard_unless_whole(path):
        artifact = open_artifact(path)
        return {name: artifact.read(name) for name in artifact.names()}, artifact.meta["seconds"]
    started = time.monotonic()
    arrays = {name: _as_stored(array) for name, array in measure().items()}
    seconds = time.monotonic() - started
    with publish(path, meta={"seconds": seconds}) as folder:
        write_arrays(folder, arrays)
    return arrays, seconds


def _readers(
    heads: Heads, absent: dict[str, str], *, frequencies: Float[Tensor, " half"] | None, offsets: tuple[int, ...]
) -> dict[str, list[Tensor]]:
    """Per kind of composition the readers of a layer's heads, one for each offset where there are offsets."""
    readers = {"v": [value_reader(heads)]}
    if "q_composition" not in absent:
        turned = [heads.q if frequencies is None else rotated(heads.q.mT, frequencies, o).mT for o in offsets]
        readers["q"] = [query_reader(q, heads.k) for q in turned]
        readers["k"] = [key_reader(q, heads.k) for q in turned]
    return readers


def _with_earlier(readers: list[Tensor], writers: list[Tensor]) -> Float[Tensor, "head offset earlier"]:
    """Composition of a layer's heads with all heads of earlier layers."""
    if not writers:
        return readers[0].new_empty(len(readers[0]), len(readers), 0)
    earlier = torch.cat(writers)
    return torch.stack([composition(reader, earlier) for reader in readers], 1)


def _nearest_neurons(model: PreTrainedModel, *, on_pair: Callable[[], None]) -> dict[str, Tensor]:
    """By the cosine of what neurons read (of gated ones: their gates), and of what they write: [layer, neuron, 10]."""
    layers = range(sizes_of(model.config).n_layers)
    by_input = nearest(torch.stack([neurons_of(model, layer).first for layer in layers]), on_pair=on_pair)
    by_output = nearest(torch.stack([neurons_of(model, layer).writes for layer in layers]), on_pair=on_pair)
    return {
        f"nearest_{name}_{key}": array
        for name, found in (("input", by_input), ("output", by_output))
        for key, array in (("neurons", found.neurons), ("cosines", found.cosines))
    }


def _positions(model: PreTrainedModel) -> tuple[Float[Tensor, " half"] | None, dict[str, str]]:
    """The rotary angles, if the model has them, and what its weights cannot say of its scores, each with one
    sentence."""
    of_scores = ("qk_tokens", "q_composition", "k_composition")
    try:
        frequencies = rotary_frequencies(model)
    except AnatomyError as error:
        return None, dict.fromkeys(of_scores, str(error))
    if normalises_queries(model.config):
        reason = (
            f"Models of the family {model.config.model_type} normalise queries and keys after W_Q and W_K, so that "
            "attention scores are no bilinear form of weights alone."
        )
        return frequencies, dict.fromkeys(of_scores, reason)
    return frequencies, {}


def _paced(on_layer: Callable[[int], None]) -> Callable[[int], None]:
    """`on_layer`, passed every number of layers once, and the same again when a second has gone by."""
    last: tuple[int, float] = -1, 0.0

    def call(layers: int) -> None:
        nonlocal last
        if layers != last[0] or time.monotonic() - last[1] >= _PACE_SECONDS:
            on_layer(layers)
            last = layers, time.monotonic()

    return call


def _require_finite(model: PreTrainedModel) -> None:
    for name, weights in model.named_parameters():
        if not weights.isfinite().all():
            raise WeightsError(
                f"Reading the weights of a {model.config.model_type} model: expected finite numbers, got others "
                f"in {name}; the weights may be damaged."
            )


def _as_stored(array: Tensor) -> np.ndarray:
    return (array.float() if array.is_floating_point() else array.int()).cpu().numpy()
