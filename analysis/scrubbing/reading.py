"""What one forward pass of a model gives of the parts and streams that are wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from analysis.scrubbing.attending import Attended, attending
from analysis.scrubbing.parts import EMBED, ROOT, place_of
from analysis.scrubbing.streams import before, middle

if TYPE_CHECKING:
    from analysis.scrubbing.transformer import TransformerGraph


class Reading:
    """Hooks that read a graph's model while it runs; `values` is what they read, by part and stream."""

    def __init__(self, graph: TransformerGraph, wanted: set[str]) -> None:
        self.graph, self.values = graph, dict[str, Tensor]()
        streams = {part for part in wanted if part in (ROOT, EMBED) or " " in part}
        self.streams = streams
        shares = {part for part in wanted - streams if graph.parts.carrier(part) in graph.parts.estimated}
        self.wanted = wanted - shares | {graph.parts.carrier(part) for part in shares}
        self.by_layer: dict[int, list[str]] = {}
        for part in self.wanted - streams:
            self.by_layer.setdefault(place_of(part).layer, []).append(part)

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        handles: list[Any] = []
        try:
            for layer, block in enumerate(self.graph.blocks):
                handles += self._of_layer(layer, block)
            with attending(self.graph.model, self._at_attention):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _at_attention(self, layer: int, attended: Attended) -> None:
        for part in self.by_layer.get(layer, []):
            match place_of(part).kind:
                case "head":
                    self.values[part] = attended.z[:, :, place_of(part).head]
                case "q" | "k" | "v":
                    self.values[part] = self.graph.slot(part, attended)

    def _of_layer(self, layer: int, block: nn.Module) -> list[Any]:
        graph, handles = self.graph, []

        def at_start(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            for name in self.streams & ({before(layer), EMBED} if layer == 0 else {before(layer)}):
                self.values[name] = inputs[0]
            if middle(layer) in self.streams:
                self.values[middle(layer)] = inputs[0]

        def at_attention(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values[middle(layer)] = self.values[middle(layer)] + output

        def at_neurons(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            for part in neurons:
                self.values[part] = inputs[0][..., list(place_of(part).neurons)]

        def at_mlp(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values[f"L{layer}.mlp"] = output

        def at_end(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values[ROOT] = output

        handles.append(block.register_forward_pre_hook(at_start))
        if middle(layer) in self.streams and not graph.parts.parallel:
            added = block.get_submodule(graph.family.attention_added)
            handles.append(added.register_forward_hook(at_attention))
        neurons = [part for part in self.by_layer.get(layer, []) if place_of(part).kind == "neurons"]
        if neurons and graph.family.w_out:
            handles.append(block.get_submodule(graph.family.w_out).register_forward_pre_hook(at_neurons))
        if graph.family.mlp_added and f"L{layer}.mlp" in self.wanted:
            handles.append(block.get_submodule(graph.family.mlp_added).register_forward_hook(at_mlp))
        if layer == len(graph.blocks) - 1 and ROOT in self.streams:
            handles.append(block.register_forward_hook(at_end))
        return handles
