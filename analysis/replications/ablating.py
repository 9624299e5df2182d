"""What is lost when heads are taken away: their outputs replaced by a mean, one head or several at once."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis.anatomy import family_of, layers_of, sizes_of

Head = tuple[int, int]  # layer, number
Replace = Callable[[int, Float[Tensor, "batch pos heads d_head"]], None]


def name_of(head: Head) -> str:
    return f"L{head[0]}H{head[1]}"


@contextlib.contextmanager
def replacing(model: PreTrainedModel, replace: Replace) -> Iterator[None]:
    """While the block runs, each layer's head outputs (z, before W_O) are what `replace` makes of them, in place. The
    model is restored afterwards."""
    n_heads, handles = sizes_of(model.config).n_heads, []

    def hook(layer: int) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        def at_output(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            z = inputs[0].clone()
            replace(layer, z.view(*z.shape[:2], n_heads, -1))
            return (z, *inputs[1:])

        return at_output

    try:
        for layer, block in enumerate(layers_of(model)):
            w_o = block.get_submodule(family_of(model.config).w_o)
            handles.append(w_o.register_forward_pre_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def shapley(
    value: Callable[[Collection[Head]], Float[Tensor, " what"]], heads: Sequence[Head]
) -> Mapping[Head, Tensor]:
    """Each head's share of what all of them together are worth: the mean, over the orders in which they may be taken
    away one after the other, of what its turn adds (Shapley 1953). Heads that stand in for each other, so that none
    alone is missed, share. 2^heads values are asked for."""
    n = len(heads)
    values = {
        frozenset(chosen): value(chosen) for size in range(n + 1) for chosen in itertools.combinations(heads, size)
    }
    shares = {}
    for head in heads:
        total = torch.zeros_like(values[frozenset()])
        for chosen, of_chosen in values.items():
            if head not in chosen:
                weight = math.factorial(len(chosen)) * math.factorial(n - len(chosen) - 1) / math.factorial(n)
                total += weight * (values[chosen | {head}] - of_chosen)
        shares[head] = total
    return shares
