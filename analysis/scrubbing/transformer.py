"""The graph of a transformer: its own modules, part by part. Norms are recomputed, never frozen.

Values: of `embed` and MLPs what they add to the residual stream [items, pos, d_model]; of a head its z, to which W_O is
applied when it is read [items, pos, d_head]; of queries, keys and values the vectors that attention multiplies
[items, pos, d_head]; of neurons their activations [items, pos, neuron]; of the output the residual stream before the
final norm [items, pos, d_model]. An estimated head, and its shares, are what they add to the residual stream.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis.anatomy import attention_weights, family_of, is_parallel, layers_of, logits_of, neuron_weights
from analysis.schema import Sizes
from analysis.scrubbing.attending import Attended, attend, attending, call_at, read_calls
from analysis.scrubbing.graph import ScrubError, Slot
from analysis.scrubbing.parts import EMBED, ROOT, TransformerParts, place_of
from analysis.scrubbing.reading import Reading
from analysis.scrubbing.streams import Streams, before, beginning_at, ending_after, layer_of

Readout = Callable[[nn.Module, Float[Tensor, "*positions d_model"]], Float[Tensor, "*positions d_vocab"]]
# Of an estimated head: what each row's positions are estimated to add.
Estimates = Mapping[str, Callable[[Int[np.ndarray, " items"]], Float[Tensor, "items pos d_model"]]]


# So many numbers are in a residual stream of a batch.
BATCH_VALUES = 2**20


class TransformerGraph:
    """A model on the rows of a dataset. `readout` takes a residual stream to logits."""

    def __init__(
        self,
        model: PreTrainedModel,
        parts: TransformerParts,
        *,
        tokens: Int[np.ndarray, "rows pos"],
        mask: Bool[np.ndarray, "rows pos"],
        readout: Readout = logits_of,
        estimates: Estimates | None = None,
    ) -> None:
        refuse_unless_parts_add_up(model)
        self.model, self.parts, self.readout = model, parts, readout
        # small models run many rows at once
        self.batch = max(8, BATCH_VALUES // (tokens.shape[1] * parts.sizes.d_model))
        self.tokens = torch.from_numpy(np.ascontiguousarray(tokens)).long().to(model.device)
        self.mask = torch.from_numpy(np.ascontiguousarray(mask)).bool().to(model.device)
        self.estimates = estimates or {}
        self.family, self.blocks = family_of(model.config), layers_of(model)
        self.calls = read_calls(model, tokens.shape[1])
        self.w_o = [attention_weights(model, layer) for layer in range(parts.sizes.n_layers)]
        self.streams = Streams(parts.sizes.n_layers, len(tokens))
        has_mlp = bool(parts.sizes.d_mlp)
        self.neurons = [neuron_weights(model, layer).writes for layer in range(parts.sizes.n_layers) if has_mlp]

    def rewritten(self, parts: TransformerParts, estimates: Estimates) -> TransformerGraph:
        """The same model on the same rows with other parts."""
        graph = copy.copy(self)
        graph.parts, graph.estimates = parts, estimates
        return graph

    @property
    def layers(self) -> int:
        return self.parts.sizes.n_layers

    def layer(self, part: str) -> int | None:
        return None if part in (ROOT, EMBED) else place_of(part).layer

    @property
    def n_positions(self) -> int:
        return self.tokens.shape[1]

    @property
    def d_model(self) -> int:
        return self.parts.sizes.d_model

    def run(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> Mapping[str, Tensor]:
        """The values of parts, and of streams (`before`, `middle`), on rows."""
        if len(rows) <= self.batch:
            return self._run(rows, parts)
        pieces = [self._run(batch, parts) for batch in np.split(rows, range(self.batch, len(rows), self.batch))]
        return {part: torch.cat([piece[part] for piece in pieces]) for part in parts}

    def cost(self, rows: Int[np.ndarray, " items"], parts: Collection[str]) -> int:
        """How many layers are computed on how many rows when these parts are run."""
        layers = len(self._by_layer(parts)) if self.streams.has(rows) else self.layers
        return layers * len(rows)

    def _by_layer(self, parts: Collection[str]) -> dict[int, list[str]]:
        """The parts by the layer that must be run for them."""
        found: dict[int, list[str]] = {}
        for part in parts:
            found.setdefault(layer_of(part, self.layers), []).append(part)
        return found

    @torch.no_grad()
    def _run(self, rows: np.ndarray, parts: Collection[str]) -> dict[str, Tensor]:
        if self.streams.has(rows):
            pieces = [self._run_layer(rows, layer, of) for layer, of in self._by_layer(parts).items()]
            return {part: value for piece in pieces for part, value in piece.items()}
        keeps = self.streams.fits(torch.empty(self.n_positions, self.d_model, dtype=self.w_o[0].o.dtype))
        entering = [before(layer) for layer in range(self.layers)] if keeps else []
        reading = Reading(self, {*parts, *entering})
        with reading.hooks():
            self._forward(rows)
        if keeps:
            self.streams.keep(rows, [reading.values[name] for name in entering])
        return self._read(reading, rows, parts)

    def _run_layer(self, rows: np.ndarray, layer: int, parts: Collection[str]) -> dict[str, Tensor]:
        """The values of parts of one layer on rows whose streams are kept."""
        reading = Reading(self, set(parts))
        stream = self.streams.entering(layer, rows)
        with beginning_at(self.blocks, layer, stream), reading.hooks(), ending_after(self._last(layer, parts)):
            self._forward(rows)
        return self._read(reading, rows, parts)

    def _last(self, layer: int, parts: Collection[str]) -> nn.Module:
        """The module of a layer that gives the last of these parts: what an MLP reads is known after the attention."""
        plain = [part for part in parts if " " not in part and part != EMBED]
        if any(part == ROOT or place_of(part).kind in ("mlp", "neurons") for part in plain):
            return self.blocks[layer]
        return self.blocks[layer].get_submodule(self.family.attention)

    def _forward(self, rows: np.ndarray) -> None:
        index = torch.from_numpy(rows).to(self.tokens.device)
        self.model(input_ids=self.tokens[index], attention_mask=self.mask[index].long(), use_cache=False)

    def _read(self, reading: Reading, rows: np.ndarray, parts: Collection[str]) -> dict[str, Tensor]:
        for head in self.parts.estimated & set(reading.values):
            output = reading.values[head] = self.output(head, reading.values[head])
            estimate = reading.values[f"{head}.estimate"] = self.estimates[head](rows).to(output)
            reading.values[f"{head}.rest"] = output - estimate
        values = {part: reading.values[part] for part in parts}
        # a sum is quicker than a look at each number, and of numbers alone hardly ever none itself
        if not all(value.sum().isfinite() or value.isfinite().all() for value in values.values()):
            raise ScrubError("Running the model: expected numbers, got NaN or infinity; its weights may be damaged.")
        return values

    def output(self, head: str, z: Float[Tensor, "items pos d_head"]) -> Float[Tensor, "items pos d_model"]:
        place = place_of(head)
        return z @ self.w_o[place.layer].o[place.head].T

    def contribution(self, part: str, value: Tensor) -> Float[Tensor, "items pos d_model"]:
        """What a summand's value adds to the residual stream, biases that belong to no part left out."""
        if part == EMBED:
            return value
        place = place_of(part)
        if place.kind == "head":
            return value if part in self.parts.estimated else self.output(part, value)
        return value @ self.neurons[place.layer][list(place.neurons)] if place.kind == "neurons" else value

    def compute(self, part: str, inputs: Mapping[Slot, Tensor], *, mask_rows: Int[np.ndarray, " items"]) -> Tensor:
        with torch.no_grad():
            if part != ROOT and place_of(part).kind == "head":
                return self.attend(part, inputs, mask_rows=mask_rows)
            stream = self._biases(part) + sum(
                self.contribution(read, value) for (read, offset), value in inputs.items() if offset is None
            )
            return stream if part == ROOT else self.read(part, self.normalise(part, stream))

    def _biases(self, part: str) -> Float[Tensor, " d_model"]:
        """The sum of the biases that attention adds before a part reads the residual stream: they belong to no head."""
        layers = self.parts.sizes.n_layers if part == ROOT else place_of(part).layer
        if part != ROOT and place_of(part).kind in ("mlp", "neurons") and not self.parts.parallel:
            layers += 1
        biases = [weights.o_bias for weights in self.w_o[:layers] if weights.o_bias is not None]
        return torch.stack(biases).sum(0) if biases else torch.zeros(self.d_model, device=self.model.device)

    def normalise(self, part: str, stream: Float[Tensor, "items some d_model"]) -> Float[Tensor, "items some d_model"]:
        """The norm through which a part reads the residual stream."""
        place = place_of(part)
        path = self.family.mlp_norm if place.kind in ("mlp", "neurons") else self.family.attention_norm
        return self.blocks[place.layer].get_submodule(path)(stream) if path else stream

    def read(self, part: str, normalised: Float[Tensor, "items pos d_model"]) -> Tensor:
        """A part's value from the normalised residual stream: queries, keys, values, neurons or an MLP."""
        return self.read_together([part], normalised)[part]

    @torch.no_grad()
    def read_together(
        self,
        parts: Collection[str],
        normalised: Float[Tensor, "items some d_model"],
        *,
        at: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """The values of parts of one layer that read through one norm; where the stream is that of some positions
        alone, they are `at`."""
        values: dict[str, Tensor] = {}
        layer = place_of(next(iter(parts))).layer
        block = self.blocks[layer]
        if place_of(next(iter(parts))).kind in ("mlp", "neurons"):
            activations: list[Tensor] = []
            assert self.family.w_out  # only layers with an MLP have such parts
            handle = block.get_submodule(self.family.w_out).register_forward_pre_hook(
                lambda _, inputs: activations.append(inputs[0])
            )
            try:
                added = block.get_submodule(self.family.w_out.rpartition(".")[0])(normalised)
            finally:
                handle.remove()
            for part in parts:
                neurons = place_of(part).neurons
                values[part] = activations[0][..., list(neurons)] if neurons else added
            return values

        def reader(_: int, attended: Attended) -> None:
            values.update({part: self.slot(part, attended) for part in parts})

        call = self.calls[layer] if at is None else call_at(self.calls[layer], at)
        module = block.get_submodule(self.family.attention)
        with attending(self.model, reader, only_projects=True):
            if call.by_name:
                module(hidden_states=normalised, **call.kwargs)
            else:
                module(normalised, *call.args, **call.kwargs)
        return values

    def slot(self, part: str, attended: Attended) -> Float[Tensor, "items pos d_head"]:
        """Queries, keys or values of one head out of a layer's."""
        place = place_of(part)
        if place.kind == "q":
            return attended.query[:, place.head]
        kv_head = place.kv_head if place.head is None else self.parts.kv_head_of(place.head)
        return (attended.key if place.kind == "k" else attended.value)[:, kv_head]

    def attend(
        self,
        head: str,
        inputs: Mapping[Slot, Tensor],
        *,
        mask_rows: Int[np.ndarray, " items"],
        at: Sequence[int] | None = None,
    ) -> Float[Tensor, "items some d_head"]:
        """A head's z (of an estimated one its output) from its queries, at some positions or all, keys and values."""
        q, k, v = self.parts.inputs(head)
        call = self.calls[place_of(head).layer]
        mask = self.mask[torch.from_numpy(mask_rows.copy()).to(self.mask.device)]
        z = attend(
            inputs[q, None],
            {offset: value for (read, offset), value in inputs.items() if read == k},
            {offset: value for (read, offset), value in inputs.items() if read == v},
            allowed=call.allowed & mask[:, None, :],
            scaling=call.scaling,
            at=None if at is None else list(at),
        )
        return self.output(head, z) if head in self.parts.estimated else z

    def replace(
        self,
        value: Tensor,
        *,
        part: str,
        old: Tensor,
        new: Tensor,
        at: Bool[np.ndarray, "items pos"] | None,
    ) -> Tensor:
        if self.parts.carrier(part) != part:
            new = value + self.contribution(part, new) - self.contribution(part, old)
        if at is None:
            return new
        return torch.where(torch.from_numpy(at.copy()).to(value.device)[..., None], new, value)


def refuse_unless_parts_add_up(model: PreTrainedModel) -> None:
    """A `ScrubError` if the outputs of heads, neurons and embedding do not sum to the residual stream."""
    family = family_of(model.config)
    if not (family.heads_add_up and family.neurons_add_up):
        raise ScrubError(
            f"Scrubbing a model of the family {model.config.model_type}: expected heads and neurons whose outputs add "
            "up to the residual stream, but a norm stands between."
        )


def parts_of(model: PreTrainedModel, sizes: Sizes) -> TransformerParts:
    """The parts of a model, no rewrites."""
    return TransformerParts(sizes, parallel=is_parallel(model.config))
