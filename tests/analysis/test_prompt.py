"""A person's own text, measured on tiny models and compared with loops over what transformers itself computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from analysis.models import model_path
from analysis.patterns import decompress_pattern, decompress_patterns
from analysis.prompt import MAX_TOKENS, PromptError, measure_promoted, measure_prompt, tokens_of
from analysis.schema import PromotedSpec, PromptSpec
from analysis.store import Artifact, open_artifact, promoted_path, prompt_path
from tests import tiny
from tests.oracles import eager_attentions
from tests.tiny import BOS

TEXT = "The cat sat on the mat, and the cat ate <bos> 🐈."


def spec_of(store: Path, slug: str, text: str = TEXT) -> PromptSpec:
    return PromptSpec(slug, open_artifact(model_path(store, slug)).meta["hash"], text)


@dataclasses.dataclass
class Seen:
    """What hooks of our own saw on one row: float64, by layer."""

    tokens: list[int]
    v: list[np.ndarray]  # [src, kv_head, d_head]
    z: list[np.ndarray]  # [dest, head, d_head]
    w_o: list[np.ndarray]  # [head, d_head, d_model]
    neurons: list[np.ndarray]  # [pos, neuron]
    final: np.ndarray  # [pos, d_model]: what the final norm reads


def watch(model: PreTrainedModel, slug: str, tokens: list[int]) -> Seen:
    """Run the model with plain hooks on modules named here, once for each kind of architecture."""
    config: Any = model.config
    n_heads = config.num_attention_heads
    seen = Seen(tokens, [], [], [], [], np.empty(0))
    if slug == "tiny-gpt2":
        body: Any = model.transformer
        blocks, norm = body.h, body.ln_f
        qkv, out, w_out = (
            [b.attn.c_attn for b in blocks],
            [b.attn.c_proj for b in blocks],
            [b.mlp.c_proj for b in blocks],
        )
        matrices = [o.weight for o in out]  # [in, out]
    elif slug.startswith("tiny-neox"):
        body = model.gpt_neox
        blocks, norm = body.layers, body.final_layer_norm
        qkv = [b.attention.query_key_value for b in blocks]
        out, w_out = [b.attention.dense for b in blocks], [b.mlp.dense_4h_to_h for b in blocks]
        matrices = [o.weight.T for o in out]
    else:
        body = model.model
        is_phi = slug == "tiny-phi"
        blocks, norm = body.layers, body.final_layernorm if is_phi else body.norm
        qkv, out = (
            [b.self_attn.v_proj for b in blocks],
            [b.self_attn.dense if is_phi else b.self_attn.o_proj for b in blocks],
        )
        w_out = [b.mlp.fc2 if is_phi else b.mlp.down_proj for b in blocks]
        matrices = [o.weight.T for o in out]
    qkv_out: list[torch.Tensor] = []
    o_in: list[torch.Tensor] = []
    neurons: list[torch.Tensor] = []
    final: list[torch.Tensor] = []
    handles = [
        *(module.register_forward_hook(lambda m, i, o: qkv_out.append(o[0])) for module in qkv),
        *(module.register_forward_pre_hook(lambda m, i: o_in.append(i[0][0])) for module in out),
        *(module.register_forward_pre_hook(lambda m, i: neurons.append(i[0][0])) for module in w_out),
        norm.register_forward_pre_hook(lambda m, i: final.append(i[0][0])),
    ]
    with torch.no_grad():
        model(torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    for layer, matrix in enumerate(matrices):
        w_o = matrix.detach().double().numpy().reshape(n_heads, -1, matrix.shape[1])
        d_head, n, read = w_o.shape[1], len(tokens), qkv_out[layer].double().numpy()
        if slug == "tiny-gpt2":
            v = read[:, 2 * n_heads * d_head :].reshape(n, n_heads, d_head)
        elif slug.startswith("tiny-neox"):
            v = read.reshape(n, n_heads, 3, d_head)[:, :, 2]
        else:
            v = read.reshape(n, -1, d_head)
        seen.v.append(v)
        seen.w_o.append(w_o)
        seen.z.append(o_in[layer].double().numpy().reshape(n, n_heads, d_head))
        seen.neurons.append(neurons[layer].double().numpy())
    seen.final = final[0].double().numpy()
    return seen


# Where the outputs of heads are not summands of the residual stream.
NORMED_AFTER = ("tiny-olmo2", "tiny-gemma2")


@pytest.fixture(scope="module", params=[*tiny.FAMILIES, *tiny.CAPPED])
def measured(request: pytest.FixtureRequest, store: Path) -> tuple[PreTrainedModel, Artifact, Artifact, Seen]:
    spec = spec_of(store, request.param)
    layers: list[int] = []
    measure_prompt(store, spec)
    measure_promoted(store, PromotedSpec(**spec.to_json()), on_layer=layers.append)
    model = tiny.unsettled(request.param)
    assert layers == list(range(model.config.num_hidden_layers + 1))
    tokens = tokens_of(model_path(store, request.param) / "tokenizer.json", TEXT, bos=0).tolist()
    prompt, promoted = open_artifact(prompt_path(store, spec.hash)), open_artifact(promoted_path(store, spec.hash))
    return model, prompt, promoted, watch(model, request.param, tokens)


def test_patterns_are_those_of_eager_within_half_a_step(
    measured: tuple[PreTrainedModel, Artifact, Artifact, Seen],
) -> None:
    model, prompt, _, seen = measured
    expected = eager_attentions(model, seen.tokens)
    n = len(seen.tokens)
    for layer in range(len(expected)):
        ends = prompt.read("pattern_ends.0", file=f"layer-{layer}")
        frames = prompt.read("pattern.0", file=f"layer-{layer}")
        together = decompress_patterns(frames, ends, n_tokens=n)
        for head, start in enumerate([0, *ends[:-1]]):
            pattern = decompress_pattern(frames[start : ends[head]], n_tokens=n)
            assert np.abs(pattern / 255 - expected[layer, head]).max() <= 0.5 / 255 + 1e-5
            assert np.array_equal(pattern, together[head])


def test_value_norms_are_the_lengths_of_what_each_head_would_write(
    measured: tuple[PreTrainedModel, Artifact, Artifact, Seen],
) -> None:
    _, prompt, _, seen = measured
    for layer, (v, w_o) in enumerate(zip(seen.v, seen.w_o, strict=True)):
        found = prompt.read("value_norm.0", file=f"layer-{layer}")
        assert found.shape == (len(w_o), len(seen.tokens))
        for head in range(len(w_o)):
            for src in range(len(seen.tokens)):
                written = v[src, head * v.shape[1] // len(w_o)] @ w_o[head]
                assert found[head, src] == pytest.approx(np.sqrt((written**2).sum()), rel=1e-4)


def test_promoted_tokens_are_the_highest_direct_logits_through_the_final_norm_held_still(
    measured: tuple[PreTrainedModel, Artifact, Artifact, Seen],
) -> None:
    model, _, promoted, seen = measured
    if promoted.meta["spec"]["model"] not in NORMED_AFTER:
        assert_promoted(promoted, model, seen, n_tokens=tiny.VOCABULARY)


def assert_promoted(promoted: Artifact, model: PreTrainedModel, seen: Seen, *, n_tokens: int) -> None:
    """Compare every head's promoted tokens at every position with all direct logits, by their definition."""
    paths = {"gpt2": "transformer.ln_f", "gpt_neox": "gpt_neox.final_layer_norm", "phi": "model.final_layernorm"}
    norm: Any = model.get_submodule(paths.get(model.config.model_type, "model.norm"))
    centres = isinstance(norm, torch.nn.LayerNorm)
    eps = norm.eps if centres else norm.variance_epsilon
    gain = norm.weight.detach().double().numpy()
    unembedding: Any = model.get_output_embeddings()
    w_u = unembedding.weight.detach().double().numpy()[:n_tokens]
    for layer, (z, w_o) in enumerate(zip(seen.z, seen.w_o, strict=True)):
        tokens, logits = (promoted.read(name, file=f"layer-{layer}") for name in ("promoted.0", "promoted_logit.0"))
        assert tokens.shape == (len(w_o), len(seen.tokens), 8)
        for head in range(len(w_o)):
            for dest in range(len(seen.tokens)):
                residual = seen.final[dest]
                written = z[dest, head] @ w_o[head]
                if centres:
                    residual, written = residual - residual.mean(), written - written.mean()
                effect = w_u @ (written / np.sqrt((residual**2).mean() + eps) * gain)
                effect -= effect.mean()
                top = np.sort(effect)[::-1][:8]
                np.testing.assert_allclose(logits[head, dest], top, rtol=1e-3, atol=1e-5)
                np.testing.assert_allclose(effect[tokens[head, dest]], top, rtol=1e-3, atol=1e-5)


def test_activations_are_kept_within_half_a_step_and_position_0_is_left_out(
    measured: tuple[PreTrainedModel, Artifact, Artifact, Seen],
) -> None:
    _, prompt, _, seen = measured
    for layer, activation in enumerate(seen.neurons):
        steps = prompt.read("neuron_steps.0", file=f"layer-{layer}")
        scale = prompt.read("neuron_scale.0", file=f"layer-{layer}")
        assert steps.dtype == np.int8
        assert steps.shape == activation.T.shape
        assert not steps[:, 0].any()
        np.testing.assert_allclose(scale, np.abs(activation[1:]).max(0), rtol=1e-4)
        wrong = np.abs(steps[:, 1:] * (scale / 127)[:, None] - activation[1:].T)
        assert (wrong <= scale[:, None] * (0.5 / 127 + 1e-4)).all()


def test_no_token_is_promoted_that_the_tokenizer_does_not_have(tmp_path: Path) -> None:
    model = tiny.unsettle(tiny.tiny_llama(vocab_size=tiny.VOCABULARY + 24))
    with torch.no_grad():
        # rows that only fill the unembedding up would be the first everywhere, and move the mean
        model.get_output_embeddings().weight[tiny.VOCABULARY :] *= 50
    tiny.put_into(tmp_path, "tiny-padded", model)
    spec = spec_of(tmp_path, "tiny-padded")
    measure_promoted(tmp_path, PromotedSpec(**spec.to_json()), on_layer=lambda n: None)
    tokens = tokens_of(model_path(tmp_path, "tiny-padded") / "tokenizer.json", TEXT, bos=0).tolist()
    promoted = open_artifact(promoted_path(tmp_path, spec.hash))
    assert promoted.read("promoted.0", file="layer-0").max() < tiny.VOCABULARY
    assert_promoted(promoted, model, watch(model, "tiny-llama", tokens), n_tokens=tiny.VOCABULARY)


@pytest.mark.parametrize("slug", NORMED_AFTER)
def test_nothing_is_promoted_where_a_norm_stands_after_the_heads(store: Path, slug: str) -> None:
    spec = spec_of(store, slug)
    measure_promoted(store, PromotedSpec(**spec.to_json()), on_layer=lambda n: None)
    assert open_artifact(promoted_path(store, spec.hash)).names(file="layer-0") == []


def test_special_tokens_typed_as_text_are_plain_text_and_bos_comes_once(store: Path) -> None:
    row = measured_row(store, "tiny-llama", "The <bos> sat. <bos>")
    assert row["tokens"][0] == BOS
    assert BOS not in row["tokens"][1:]
    assert "".join(row["tokens"][1:]) == "The <bos> sat. <bos>"
    tokens = tokens_of(model_path(store, "tiny-llama") / "tokenizer.json", "The <bos> sat. <bos>", bos=0)
    assert tokens[0] == 0
    assert (tokens == 0).sum() == 1


def measured_row(store: Path, slug: str, text: str) -> dict[str, Any]:
    spec = spec_of(store, slug, text)
    measure_prompt(store, spec)
    row: dict[str, Any] = open_artifact(prompt_path(store, spec.hash)).meta["pattern_rows"][0]
    return row


def test_a_text_has_1_to_255_tokens(store: Path) -> None:
    tokenizer = model_path(store, "tiny-llama") / "tokenizer.json"
    assert len(tokens_of(tokenizer, "\t", bos=0)) == 2
    assert len(tokens_of(tokenizer, "\t" * (MAX_TOKENS - 1), bos=0)) == MAX_TOKENS
    for text, n in (("", 0), ("\t" * MAX_TOKENS, 256), ("\t" * 100_000, 100_000)):
        with pytest.raises(PromptError, match=rf"^Reading a text: expected 1 to 255 tokens, got {n}; shorten it\.$"):
            tokens_of(tokenizer, text, bos=0)


def test_a_text_is_no_longer_than_the_model_reads(store: Path) -> None:
    assert len(measured_row(store, "tiny-gpt2", "\t" * 159)["tokens"]) == 160
    with pytest.raises(PromptError, match="expected 1 to 159 tokens, got 160"):
        measure_prompt(store, spec_of(store, "tiny-gpt2", "\t" * 160))


def test_a_text_asked_for_by_other_code_is_refused(store: Path) -> None:
    spec = dataclasses.replace(spec_of(store, "tiny-llama"), code="0.0.1")
    with pytest.raises(
        PromptError, match=r"^Reading a text: expected one asked for by code .*, got 0\.0\.1; ask again"
    ):
        measure_prompt(store, spec)


def test_what_is_there_whole_is_kept_and_what_is_damaged_is_measured_anew(store: Path) -> None:
    spec = spec_of(store, "tiny-llama", "twice")
    measure_prompt(store, spec)
    path = prompt_path(store, spec.hash)
    manifest = (path / "manifest.json").stat().st_mtime_ns
    measure_prompt(store, spec)
    assert (path / "manifest.json").stat().st_mtime_ns == manifest
    damaged = path / "layer-1.safetensors"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    measure_prompt(store, spec)
    assert damaged.read_bytes() == good
