"""What each array of the weights artifact means, in one sentence for readers. Axes first; no torch."""

from __future__ import annotations

_DIRECT = "on the direct path from the embedding, without what positions and earlier layers add"
_HEADS = "as layer × heads + head"
_NEURONS = "as layer × neurons + neuron"
_EARLIER = "[offset, head, earlier head]"  # of whole matrices
_STRONGEST = "[head, offset, 10]"

_DEFINITIONS = {
    "ov_copying": "[layer, head] Σ Re λ / Σ |λ| over the eigenvalues of the full OV circuit W_U W_O W_V W_E (norms "
    "folded in, logits centred over the vocabulary), from −1 to 1: 1 where attending to a token raises its own logit.",
    "ov_own_first_share": "[layer, head] Share of the head's top key tokens that its OV circuit promotes above all "
    "other tokens; not a number where it has none.",
    "composition.q": f"{_EARLIER} Q-composition of all heads; not a number where the other is not earlier.",
    "composition.k": f"{_EARLIER} K-composition of all heads; not a number where the other is not earlier.",
    "composition.v": f"{_EARLIER} V-composition of all heads (one offset: none); not a number where the other is not "
    "earlier.",
    "head.key_tokens": "[head, key] The head's top key tokens in the survey that the spec names.",
    "head.ov_tokens": "[head, key, 10] The tokens promoted most when the head attends to a key token, " + _DIRECT + ".",
    "head.ov_logits": "[head, key, 10] Their logits, centred over the vocabulary, where the final norm divides by 1.",
    "head.ov_own_rank": "[head, key] 1 + the number of tokens promoted more than the key token itself.",
    "head.query_tokens": "[head, query] The head's top query tokens in the survey that the spec names.",
    "head.qk_tokens": "[head, offset, query, 5] The key tokens, of the whole vocabulary, with the highest attention "
    f"score for a query token, {_DIRECT}.",
    "head.qk_scores": "[head, offset, query, 5] Their attention scores, before softmax and soft cap.",
    "head.q_composition": f"{_STRONGEST} The largest ‖W_QKᵀ W_OV‖ / (‖W_QK‖ ‖W_OV‖) with W_OV of an earlier layer.",
    "head.q_composition_heads": f"{_STRONGEST} The earlier heads, {_HEADS}.",
    "head.k_composition": f"{_STRONGEST} The largest ‖W_QK W_OV‖ / (‖W_QK‖ ‖W_OV‖) with W_OV of an earlier layer; "
    "W_K is that of the head's KV head.",
    "head.k_composition_heads": f"{_STRONGEST} The earlier heads, {_HEADS}.",
    "head.v_composition": f"{_STRONGEST} The largest ‖W_OV W_OV′‖ / (‖W_OV‖ ‖W_OV′‖) with W_OV′ of an earlier layer "
    "(one offset: none); W_V is that of the head's KV head.",
    "head.v_composition_heads": f"{_STRONGEST} The earlier heads, {_HEADS}.",
    "neuron.promoted_tokens": "[neuron, 10] The tokens whose logits the neuron's output raises most.",
    "neuron.promoted_logits": "[neuron, 10] By how much for one unit of activation, centred over the vocabulary, "
    "where the final norm divides by 1.",
    "neuron.suppressed_tokens": "[neuron, 10] The tokens whose logits the neuron's output lowers most.",
    "neuron.suppressed_logits": "[neuron, 10] By how much, as for promoted tokens.",
    "neuron.input_tokens": f"[neuron, 10] The tokens with the highest pre-activation, {_DIRECT}.",
    "neuron.input_values": "[neuron, 10] Their pre-activations.",
    "neuron.gate_tokens": f"[neuron, 10] The tokens with the highest gate pre-activation, {_DIRECT}.",
    "neuron.gate_values": "[neuron, 10] Their gate pre-activations.",
    "neuron.up_tokens": f"[neuron, 10] The tokens with the highest up input, {_DIRECT}.",
    "neuron.up_values": "[neuron, 10] Their up inputs.",
    "neuron.up_negative_tokens": f"[neuron, 10] The tokens with the most negative up input, {_DIRECT}.",
    "neuron.up_negative_values": "[neuron, 10] Their up inputs.",
    "neuron.nearest_input_neurons": "[neuron, 10] The neurons of the model that read the most similar direction (of "
    f"gated neurons: the gate's), norms folded in, {_NEURONS}.",
    "neuron.nearest_input_cosines": "[neuron, 10] The cosines of those directions.",
    "neuron.nearest_output_neurons": "[neuron, 10] The neurons of the model that write the most similar direction, "
    f"{_NEURONS}.",
    "neuron.nearest_output_cosines": "[neuron, 10] The cosines of those directions.",
}


def definitions(names: set[str]) -> dict[str, str]:
    """The definitions of the arrays with these names."""
    return {name: _DEFINITIONS[name] for name in sorted(names)}
