"""What `anatomy` says of each family, held to what its model does when it runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    DeepseekV3Config,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    PreTrainedModel,
    Qwen2MoeConfig,
    T5Config,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from analysis.anatomy import (
    FAMILIES,
    AnatomyError,
    Norm,
    NormKind,
    attention_norm,
    attention_weights,
    embedding_of,
    family_of,
    final_norm,
    is_parallel,
    layers_of,
    logits_of,
    mlp_norm,
    neuron_weights,
    normalises_queries,
    rotary_frequencies,
    sizes_of,
    unembedding_of,
)
from tests import tiny

SLUGS = (*tiny.FAMILIES, *tiny.CAPPED)
LENGTH = 21


@dataclasses.dataclass
class Run:
    """A model and everything that entered and left its modules on some tokens."""

    model: PreTrainedModel
    tokens: Tensor
    logits: Tensor
    inputs: dict[nn.Module, Tensor]
    outputs: dict[nn.Module, Tensor]
    scored: list[tuple[Tensor, Tensor, Tensor]]  # a layer's queries, keys and values when scores are taken

    def block(self, layer: int, path: str) -> nn.Module:
        return layers_of(self.model)[layer].get_submodule(path)

    def residual(self, layer: int) -> Tensor:
        return self.inputs[layers_of(self.model)[layer]]

    @property
    def n_layers(self) -> int:
        return self.model.config.num_hidden_layers


def ran(model: PreTrainedModel, **arguments: Tensor) -> Run:
    tokens = torch.randint(1, tiny.VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(1))
    run = Run(model, tokens, torch.empty(0), {}, {}, [])

    def see(module: nn.Module, positional: Any, named: Any, output: Any) -> None:
        entered = positional[0] if positional else named.get("hidden_states")
        if isinstance(entered, Tensor):
            run.inputs[module] = entered
        run.outputs[module] = output[0] if isinstance(output, tuple) else output

    def score(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any) -> Any:
        run.scored.append((query, key, value))
        kwargs.pop("softcap", None)  # what is held here is true whatever the heads attend to
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)

    hooks = [module.register_forward_hook(see, with_kwargs=True) for module in model.modules()]
    AttentionInterface.register("scores-seen-by-a-test", score)
    before = model.config._attn_implementation
    model.set_attn_implementation("scores-seen-by-a-test")
    with torch.no_grad():
        run.logits = model(tokens, use_cache=False, **arguments).logits
    model.set_attn_implementation(before)
    for hook in hooks:
        hook.remove()
    return run


@pytest.fixture(scope="module", params=SLUGS)
def run(request: pytest.FixtureRequest) -> Run:
    return ran(tiny.unsettled(request.param))


def assert_equal(found: Tensor, expected: Tensor, *, relative: float = 1e-5) -> None:
    """Within `relative` of the largest number."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= relative * expected.abs().max()


def normed_by_module(run: Run, layer: int, path: str | None, residual: Tensor) -> Tensor:
    with torch.no_grad():
        return run.block(layer, path)(residual) if path else residual


def mlp_residual(run: Run, layer: int) -> Tensor:
    """The residual stream where the MLP's norm reads it."""
    added = run.outputs[run.block(layer, family_of(run.model.config).attention_added)]
    return run.residual(layer) if is_parallel(run.model.config) else run.residual(layer) + added


def final_residual(run: Run) -> Tensor:
    family = family_of(run.model.config)
    return run.inputs[run.model.get_submodule(f"{family.body}.{family.final_norm}")]


def with_bias(values: Tensor, bias: Tensor | None) -> Tensor:
    return values if bias is None else values + bias


def test_every_family_has_a_tiny_model() -> None:
    # those that Loupe trained itself are held to what they do in tests/organisms
    ours = {"attention_only", "bracket_classifier"}
    assert {tiny.build(slug).config.model_type for slug in SLUGS} == set(FAMILIES) - ours


def test_embedding_and_what_the_layers_add_make_the_residual_stream(run: Run) -> None:
    family = family_of(run.model.config)
    stream = embedding_of(run.model)[run.tokens]
    if run.model.config.model_type == "gpt2":
        stream = stream + run.model.transformer.wpe.weight[:LENGTH]
    for layer in range(run.n_layers):
        assert_equal(stream, run.residual(layer))
        stream = stream + run.outputs[run.block(layer, family.attention_added)]
        stream = stream + run.outputs[run.block(layer, family.mlp_added)]
    assert_equal(stream, final_residual(run))


def test_heads_and_neurons_add_up_exactly_where_no_norm_comes_after_them(run: Run) -> None:
    family = family_of(run.model.config)
    adds_up = run.model.config.model_type not in ("olmo2", "gemma2")
    assert (family.heads_add_up, family.neurons_add_up) == (adds_up, adds_up)
    for layer in range(run.n_layers):
        weights = attention_weights(run.model, layer)
        z = run.inputs[run.block(layer, family.w_o)].unflatten(-1, (weights.o.shape[0], -1))
        per_head = [z[..., head, :] @ weights.o[head].T for head in range(len(weights.o))]
        heads = with_bias(torch.stack(per_head).sum(0), weights.o_bias)
        assert_equal(heads, run.outputs[run.block(layer, family.w_o)])
        added = run.outputs[run.block(layer, family.attention_added)]
        assert torch.allclose(heads, added, atol=1e-5) == adds_up

        activations = run.inputs[run.block(layer, family.w_out)]
        neurons = activations @ neuron_weights(run.model, layer).writes
        neurons = with_bias(neurons, getattr(run.block(layer, family.w_out), "bias", None))
        assert torch.allclose(neurons, run.outputs[run.block(layer, family.mlp_added)], atol=1e-5) == adds_up


def test_queries_keys_and_values_are_the_weights_times_the_normed_residual(run: Run) -> None:
    # with every position at 0 rotary embedding turns nothing
    still = ran(run.model, position_ids=torch.zeros(1, LENGTH, dtype=torch.long))
    for layer in range(run.n_layers):
        q, k, v = projected(still, layer)
        for found, expected in zip((q, k, v), still.scored[layer], strict=True):
            assert_equal(found, expected)


def projected(run: Run, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """A layer's queries, keys and values [batch, head, pos, d_head], before rotary embedding."""
    family, weights = family_of(run.model.config), attention_weights(run.model, layer)
    x = normed_by_module(run, layer, family.attention_norm, run.residual(layer))

    def project(matrix: Tensor, bias: Tensor | None) -> Tensor:
        return with_bias(torch.einsum("bpm,hdm->bphd", x, matrix), bias)

    q, k, v = (
        project(weights.q, weights.q_bias),
        project(weights.k, weights.k_bias),
        project(weights.v, weights.v_bias),
    )
    with torch.no_grad():
        match run.model.config.model_type:
            case "qwen3":
                q, k = run.block(layer, "self_attn.q_norm")(q), run.block(layer, "self_attn.k_norm")(k)
            case "olmo2":
                q = run.block(layer, "self_attn.q_norm")(q.flatten(2)).view_as(q)
                k = run.block(layer, "self_attn.k_norm")(k.flatten(2)).view_as(k)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def test_families_that_normalise_queries_say_so(run: Run) -> None:
    names = {name.rsplit(".", 1)[-1] for name, _ in run.model.named_modules()}
    assert normalises_queries(run.model.config) == bool(names & {"q_norm", "q_layernorm"})


def test_rotary_frequencies_turn_queries_into_the_scores_of_the_model_at_every_offset(run: Run) -> None:
    frequencies = rotary_frequencies(run.model)
    if run.model.config.model_type == "gpt2":
        assert frequencies is None
        return
    assert frequencies is not None
    half = len(frequencies)
    assert half == {"gpt_neox": 1, "phi": 2}.get(run.model.config.model_type, sizes_of(run.model.config).d_head // 2)
    for layer in range(run.n_layers):
        q, k, _ = projected(run, layer)
        k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
        q_turning = torch.complex(q[..., :half], q[..., half : 2 * half])
        k_turning = torch.complex(k[..., :half], k[..., half : 2 * half])
        model_q, model_k, _ = run.scored[layer]
        model_k = model_k.repeat_interleave(model_q.shape[1] // model_k.shape[1], dim=1)
        expected = model_q @ model_k.mT
        for offset in range(LENGTH):
            turn = torch.polar(torch.ones(half), offset * frequencies)
            scores = (q_turning * turn @ k_turning.mH).real + q[..., 2 * half :] @ k[..., 2 * half :].mT
            found = torch.diagonal(scores, -offset, -2, -1)
            torch.testing.assert_close(found, torch.diagonal(expected, -offset, -2, -1), rtol=1e-4, atol=1e-4)


def test_the_mlp_reads_what_the_table_says_and_its_neurons_are_the_rows_of_its_weights(run: Run) -> None:
    family = family_of(run.model.config)
    for layer in range(run.n_layers):
        weights = neuron_weights(run.model, layer)
        assert len(weights.reads) == len(weights.writes) == sizes_of(run.model.config).d_mlp
        x = normed_by_module(run, layer, family.mlp_norm, mlp_residual(run, layer))
        reads = run.block(layer, family.w_in)
        assert_equal(with_bias(x @ weights.reads.T, getattr(reads, "bias", None)), run.outputs[reads])
        assert (weights.gate is None) == (run.model.config.model_type in ("gpt2", "gpt_neox", "phi"))
        if weights.gate is not None:
            assert family.w_gate
            gate = run.block(layer, family.w_gate)
            gated = run.block(layer, "mlp.act_fn")(with_bias(x @ weights.gate.T, getattr(gate, "bias", None)))
            assert_equal(gated * run.outputs[reads], run.inputs[run.block(layer, family.w_out)])


def test_logits_of_the_final_residual_stream_are_those_of_the_model(run: Run) -> None:
    with torch.no_grad():
        found = logits_of(run.model, final_residual(run))
    assert_equal(found, run.logits)
    assert (found.abs().max() < 3.0) or run.model.config.model_type != "gemma2"


def test_the_unembedding_reads_the_final_norm(run: Run) -> None:
    residual = final_residual(run)
    bias = run.model.get_output_embeddings().bias  # type: ignore[union-attr]
    by_hand = with_bias(undone(final_norm(run.model), residual) @ unembedding_of(run.model).T, bias)
    if run.model.config.model_type == "gemma2":
        cap = run.model.config.final_logit_softcapping
        by_hand = cap * torch.tanh(by_hand / cap)
    assert_equal(by_hand, run.logits, relative=1e-4)


def undone(norm: Norm, x: Tensor) -> Tensor:
    """The norm of x by its definition."""
    match norm.kind:
        case NormKind.LAYER:
            x = (x - x.mean(-1, keepdim=True)) / scale(norm, x)
        case NormKind.RMS:
            x = x / scale(norm, x)
    return with_bias(x * norm.gain, norm.bias)


def scale(norm: Norm, x: Tensor) -> Tensor:
    """What the norm divides by."""
    match norm.kind:
        case NormKind.LAYER:
            return (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        case NormKind.RMS:
            return (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        case NormKind.NONE:
            return torch.ones_like(x[..., :1])


@pytest.mark.parametrize("place", ["attention", "mlp", "final"])
def test_a_folded_vector_reads_the_residual_stream_as_the_vector_reads_the_norm(run: Run, place: str) -> None:
    family = family_of(run.model.config)
    reads = torch.randn(5, run.model.config.hidden_size, generator=torch.Generator().manual_seed(2))
    for layer in range(run.n_layers):
        with torch.no_grad():
            match place:
                case "attention":
                    norm, x = attention_norm(run.model, layer), run.residual(layer)
                    normed = normed_by_module(run, layer, family.attention_norm, x)
                case "mlp":
                    norm, x = mlp_norm(run.model, layer), mlp_residual(run, layer)
                    normed = normed_by_module(run, layer, family.mlp_norm, x)
                case _:
                    norm, x = final_norm(run.model), final_residual(run)
                    normed = run.model.get_submodule(f"{family.body}.{family.final_norm}")(x)
        folded = x @ norm.fold(reads).T / scale(norm, x)
        constant = 0 if norm.bias is None else reads @ norm.bias
        assert_equal(folded + constant, normed @ reads.T, relative=1e-4)


@pytest.mark.parametrize(
    ("slug", "kind"),
    [
        ("tiny-gpt2", NormKind.LAYER),
        ("tiny-phi", NormKind.LAYER),
        ("tiny-llama", NormKind.RMS),
        ("tiny-olmo2", NormKind.NONE),
        ("tiny-gemma2", NormKind.RMS),
    ],
)
def test_the_kind_of_the_norm_that_attention_reads_through(slug: str, kind: NormKind) -> None:
    assert attention_norm(tiny.build(slug), 0).kind is kind


def test_layers_in_parallel_are_known() -> None:
    parallel = {slug for slug in SLUGS if is_parallel(tiny.build(slug).config)}
    assert parallel == {"tiny-neox", "tiny-phi"}


def test_a_neuron_count_that_gpt2_leaves_unsaid_is_four_times_the_residual_stream() -> None:
    assert sizes_of(GPT2Config(n_embd=24)).d_mlp == 96
    assert sizes_of(GPT2Config(n_embd=24, n_inner=50)).d_mlp == 50


def test_heads_wider_than_the_residual_stream_are_counted_as_they_are() -> None:
    assert sizes_of(tiny.build("tiny-qwen3").config).d_head == 12


@pytest.mark.parametrize("config", [DeepseekV3Config(), MixtralConfig(), Qwen2MoeConfig(), T5Config()])
def test_families_that_are_not_in_the_table_are_refused(config: Any) -> None:
    known = "attention_only, bracket_classifier, gemma2, gpt2, gpt_neox, llama, mistral, olmo2, phi, qwen2, qwen3"
    with pytest.raises(AnatomyError, match=f"expected a family among {known}, got {config.model_type}"):
        sizes_of(config)


@pytest.mark.parametrize(
    ("config", "feature"),
    [
        (GPT2Config(add_cross_attention=True), "cross attention"),
        (Gemma2Config(use_bidirectional_attention=True), "attention to later tokens"),
        (LlamaConfig(is_encoder_decoder=True), "an encoder"),
    ],
)
def test_features_that_are_not_measured_are_refused(config: Any, feature: str) -> None:
    with pytest.raises(AnatomyError, match=rf"Reading the anatomy of a model: expected .*, got one with {feature}\."):
        family_of(config)


@pytest.mark.parametrize(
    "rope", [{"rope_type": "dynamic", "factor": 2.0}, {"rope_type": "yarn", "factor": 4.0}], ids=["dynamic", "yarn"]
)
def test_rotary_embeddings_that_are_more_than_a_turn_by_position_are_refused(rope: dict[str, Any]) -> None:
    model = tiny.tiny_llama(rope_parameters={"rope_theta": 10000.0} | rope)
    with pytest.raises(AnatomyError, match=f"expected rotary embedding by fixed angles, got {rope['rope_type']}"):
        rotary_frequencies(model)


def test_rotary_angles_that_llama3_stretches_are_those_of_the_model() -> None:
    stretch = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    plain, stretched = (
        tiny.tiny_llama(rope_parameters={"rope_theta": 10000.0} | more)
        for more in ({"rope_type": "default"}, {"rope_type": "llama3"} | stretch)
    )
    a, b = rotary_frequencies(plain), rotary_frequencies(stretched)
    assert a is not None
    assert b is not None
    assert (b < a).any()
