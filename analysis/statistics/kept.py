"""What is kept of single texts, so that a page can show what every head does on them.

Patterns are kept as bytes (255 is 1.0) and compressed head by head; beside them how long a vector each key would make
the head write, and which tokens the head's output at each query promotes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis.anatomy import attention_weights, body_of, family_of, final_norm, unembedding_of
from analysis.capture import AttentionReading
from analysis.families import predicts_tokens
from analysis.patterns import compress_patterns
from analysis.schema import Sizes

from .heads import output_gram, output_length

N_PROMOTED = 8


class KeptNeurons:
    """Every neuron's activations on one row, layer by layer."""

    def __init__(self) -> None:
        self._arrays: dict[int, dict[str, np.ndarray]] = {}

    def add(self, layer: int, activation: Float[Tensor, "batch pos neuron"]) -> None:
        """Keep a batch of one row."""
        activation = activation[0].float().T  # [neuron, pos]
        activation = torch.cat([torch.zeros_like(activation[:, :1]), activation[:, 1:]], dim=1)
        scale = activation.abs().amax(1)
        steps = (activation * (127 / scale.clamp(min=torch.finfo(scale.dtype).tiny))[:, None]).round().to(torch.int8)
        self._arrays[layer] = {"neuron_steps.0": steps.cpu().numpy(), "neuron_scale.0": scale.cpu().numpy()}

    def arrays(self) -> dict[int, dict[str, np.ndarray]]:
        """By layer: `neuron_scale.0` float32 [neuron], the largest magnitude, and `neuron_steps.0` int8 [neuron, pos],
        activations in steps of a 127th of it: a byte an activation, 12 MB for 46,080 neurons on 256 tokens. Position
        0, the BOS token, is 0: activations there are of another size and say nothing of a text."""
        return self._arrays


class KeptRows:
    """Every head's attention and output on some rows."""

    def __init__(self, model: PreTrainedModel, sizes: Sizes) -> None:
        self._model, self._sizes = model, sizes
        self._adds_up = family_of(model.config).heads_add_up
        self._patterns: dict[int, np.ndarray] = {}  # uint8 [layer, head, dest, src] by row
        self._value_norms: dict[int, np.ndarray] = {}
        self._outputs: dict[int, Float[Tensor, "layer dest head d_head"]] = {}
        self._scales: dict[int, Float[Tensor, " dest"]] = {}

    def add(self, layer: int, reading: AttentionReading, rows: dict[int, int]) -> None:
        """Keep some rows of a batch. `rows`: the number each is kept by, by its place in the batch."""
        weights = attention_weights(self._model, layer)
        values = reading.value.repeat_interleave(len(weights.o) // len(weights.v), dim=1).transpose(1, 2)
        for place, row in rows.items():
            n = reading.pattern.shape[-1]
            if row not in self._patterns:
                shape = (self._sizes.n_layers, self._sizes.n_heads, n)
                self._patterns[row] = np.zeros((*shape, n), dtype=np.uint8)
                self._value_norms[row] = np.zeros(shape, dtype=np.float32)
                self._outputs[row] = torch.zeros(
                    self._sizes.n_layers, *reading.z.shape[1:], dtype=reading.z.dtype, device=reading.z.device
                )
            self._patterns[row][layer] = (reading.pattern[place] * 255).round().byte().cpu().numpy()
            lengths = output_length(values[place], output_gram(weights.o))
            self._value_norms[row][layer] = lengths.T.cpu().numpy()
            self._outputs[row][layer] = reading.z[place]

    def add_final(self, residual: Float[Tensor, "batch pos d_model"], rows: dict[int, int]) -> None:
        """Note what the final norm divides by; `residual` is what it reads."""
        norm: nn.Module = body_of(self._model).get_submodule(family_of(self._model.config).final_norm)
        eps = float(getattr(norm, "eps", getattr(norm, "variance_epsilon", 0.0)))
        centred = residual - residual.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else residual
        scales = (centred.square().mean(-1) + eps).sqrt()
        for place, row in rows.items():
            self._scales[row] = scales[place]

    def patterns(self) -> dict[int, dict[str, np.ndarray]]:
        """By layer, for every row kept: `pattern.<row>` uint8 [bytes] and `pattern_ends.<row>` int64 [head], zstd
        frames of uint8 [dest, src]; `value_norm.<row>` float32 [head, src], the length of W_O v."""
        arrays: dict[int, dict[str, np.ndarray]] = {layer: {} for layer in range(self._sizes.n_layers)}
        for row, patterns in self._patterns.items():
            for layer in range(self._sizes.n_layers):
                frames, ends = compress_patterns(patterns[layer])
                arrays[layer][f"pattern.{row}"] = frames
                arrays[layer][f"pattern_ends.{row}"] = ends
                arrays[layer][f"value_norm.{row}"] = self._value_norms[row][layer]
        return arrays

    def promoted(
        self, *, n_tokens: int | None = None, on_layer: Callable[[int], None] | None = None
    ) -> dict[int, dict[str, np.ndarray]]:
        """By layer, for every row kept: `promoted.<row>` int32 and `promoted_logit.<row>` float32 [head, dest,
        `N_PROMOTED`]; nothing where the outputs of heads do not add up to the residual stream, or that ends in no
        unembedding.

        `n_tokens`: rows of the unembedding that are tokens; None: all. `on_layer` is called with the number of layers
        that are finished.
        """
        promotes = self._adds_up and self._outputs and predicts_tokens(self._model.config.model_type)
        unembedding = unembedding_of(self._model)[:n_tokens] if promotes else None
        arrays: dict[int, dict[str, np.ndarray]] = {}
        for layer in range(self._sizes.n_layers):
            arrays[layer] = {} if unembedding is None else self._promoted(layer, unembedding)
            if on_layer:
                on_layer(layer + 1)
        return arrays

    def _promoted(self, layer: int, unembedding: Float[Tensor, "token d_model"]) -> dict[str, np.ndarray]:
        """The direct effect of each head's output on the logits, through the final norm as it was on the row, against
        the mean over the tokens: its `N_PROMOTED` highest."""
        rows = list(self._outputs)
        norm = final_norm(self._model)
        lengths = [len(self._scales[row]) for row in rows]
        outputs = torch.cat([self._outputs[row][layer] / self._scales[row][:, None, None] for row in rows])
        o = attention_weights(self._model, layer).o
        found: list[tuple[Tensor, Tensor]] = []
        for head in range(self._sizes.n_heads):
            # [d_head, token], once for all positions of all rows
            circuit = norm.carry(o[head].T) @ unembedding.T
            circuit -= circuit.mean(-1, keepdim=True)
            logits = outputs[:, head] @ circuit
            top = logits.topk(min(N_PROMOTED, logits.shape[-1]), dim=-1)
            found.append((top.indices.to(torch.int32), top.values))
        tokens, values = (torch.stack(part).split(lengths, dim=1) for part in zip(*found, strict=True))
        return {f"promoted.{row}": part.cpu().numpy() for row, part in zip(rows, tokens, strict=True)} | {
            f"promoted_logit.{row}": part.cpu().numpy() for row, part in zip(rows, values, strict=True)
        }
