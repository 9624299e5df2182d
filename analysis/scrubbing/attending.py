"""Queries, keys, values and head outputs of a model's own attention, read as it runs or projected from any stream."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from analysis.anatomy import family_of, layers_of
from analysis.scrubbing.graph import ScrubError

NAME = "loupe-scrub"


@dataclasses.dataclass(frozen=True)
class Attended:
    """What a layer's attention computed, queries and keys as they are multiplied (after rotary embedding)."""

    query: Float[Tensor, "batch head pos d_head"]
    key: Float[Tensor, "batch kv_head pos d_head"]
    value: Float[Tensor, "batch kv_head pos d_head"]
    z: Float[Tensor, "items pos head d_head"]  # of no item where it is not computed
    mask: Tensor | None
    scaling: float
    is_causal: bool


Reader = Callable[[int, Attended], None]


@dataclasses.dataclass(frozen=True)
class _Asked:
    reader: Reader
    only_projects: bool  # z is not computed and must not be read


class _ProjectedError(Exception):
    """Not an error: what was asked for is read, and the module need not go on."""


_asked: contextvars.ContextVar[_Asked | None] = contextvars.ContextVar("scrubbing_reader", default=None)


def _attention(
    module: nn.Module,
    query: Float[Tensor, "batch head pos d_head"],
    key: Float[Tensor, "batch kv_head pos d_head"],
    value: Float[Tensor, "batch kv_head pos d_head"],
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch pos head d_head"], None]:
    for feature in ("s_aux", "position_bias", "softcap"):
        if kwargs.get(feature) is not None:
            raise ScrubError(f"Reading attention: expected plain softmax attention, got a model with {feature}.")
    asked = _asked.get()
    assert asked is not None
    if asked.only_projects:
        z = query.new_empty(0, query.shape[2], query.shape[1], query.shape[3])
    else:
        z, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    layer: Any = module.layer_idx
    scaling, said = kwargs.get("scaling"), kwargs.get("is_causal")
    asked.reader(
        layer,
        Attended(
            query,
            key,
            value,
            z,
            attention_mask,
            query.shape[-1] ** -0.5 if scaling is None else scaling,
            bool(getattr(module, "is_causal", True) if said is None else said),
        ),
    )
    if asked.only_projects:
        raise _ProjectedError
    return z, None


AttentionInterface.register(NAME, _attention)
# Without a mask function of the same name transformers passes no mask at all.
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextlib.contextmanager
def attending(model: PreTrainedModel, reader: Reader, *, only_projects: bool = False) -> Iterator[None]:
    """While the block runs, hand what each layer's attention computes to `reader`. The model is restored afterwards.

    Where it `only_projects`, the block ends once the first layer's queries, keys and values were read."""
    # transformers' own setter looks through all modules for other configs, which takes as long as a layer's attention
    config = model.config
    before = config._attn_implementation  # noqa: SLF001
    config._attn_implementation = NAME  # noqa: SLF001
    token = _asked.set(_Asked(reader, only_projects))
    try:
        yield
    except _ProjectedError:
        assert only_projects
    finally:
        _asked.reset(token)
        config._attn_implementation = before  # noqa: SLF001


@dataclasses.dataclass(frozen=True)
class Call:
    """How a layer's attention module is called, but for the stream that it reads, and where it may look."""

    args: tuple[Any, ...]  # after the stream
    kwargs: dict[str, Any]
    by_name: bool  # whether the stream is given by name
    scaling: float
    allowed: Bool[Tensor, "pos pos"]  # whether a query may read a key, padding apart


def call_at(call: Call, positions: Sequence[int]) -> Call:
    """The same call on a stream of some positions alone, for what does not look at others."""
    n_positions = call.allowed.shape[0]
    chosen = torch.tensor(positions, device=call.allowed.device)

    def at(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(at(each) for each in value)
        if isinstance(value, Tensor) and value.ndim >= 1 and value.ndim < 4:
            axis = 0 if value.ndim == 1 else 1
            return value.index_select(axis, chosen) if value.shape[axis] == n_positions else value
        return value

    kwargs = {name: None if name == "attention_mask" else at(value) for name, value in call.kwargs.items()}
    return dataclasses.replace(call, args=at(call.args), kwargs=kwargs)


def read_calls(model: PreTrainedModel, n_positions: int) -> list[Call]:
    """How each layer's attention is called on rows of this length, read from one run on one row without padding."""
    family, calls = family_of(model.config), dict[int, Call]()
    given: dict[int, tuple[tuple[Any, ...], dict[str, Any], bool]] = {}
    handles = []
    for layer, block in enumerate(layers_of(model)):

        def at_call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], layer: int = layer) -> None:
            others = {name: value for name, value in kwargs.items() if name not in ("hidden_states", "past_key_values")}
            given[layer] = (args[1:], others, not args)

        handles.append(block.get_submodule(family.attention).register_forward_pre_hook(at_call, with_kwargs=True))

    def reader(layer: int, attended: Attended) -> None:
        calls[layer] = Call(*given[layer], attended.scaling, _allowed(attended, n_positions))

    try:
        with torch.no_grad(), attending(model, reader):
            ids = torch.zeros(1, n_positions, dtype=torch.long, device=model.device)
            model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return [calls[layer] for layer in range(len(calls))]


def _allowed(attended: Attended, n_positions: int) -> Bool[Tensor, "pos pos"]:
    if attended.mask is None:
        everywhere = torch.ones(n_positions, n_positions, dtype=torch.bool, device=attended.query.device)
        return everywhere.tril() if attended.is_causal else everywhere
    mask = attended.mask[0, 0]
    return mask if mask.dtype == torch.bool else mask >= 0


def attend(
    query: Float[Tensor, "items some d_head"],
    keys: dict[int | None, Float[Tensor, "items pos d_head"]],
    values: dict[int | None, Float[Tensor, "items pos d_head"]],
    *,
    allowed: Bool[Tensor, "items pos pos"],
    scaling: float,
    at: list[int] | None = None,
) -> Float[Tensor, "items some d_head"]:
    """One head's z. Under an offset stand the keys or values that are read from the position so many further on, under
    None those that are read from everywhere else. The queries may be those of some positions alone, `at`."""
    n_positions = allowed.shape[-1]
    rows = torch.arange(n_positions, device=query.device) if at is None else torch.tensor(at, device=query.device)
    allowed = allowed if at is None else allowed[:, rows]
    scores = _over_offsets(lambda key: query @ key.mT, keys, rows)
    least = torch.finfo(scores.dtype).min
    pattern = (scores * scaling).masked_fill(~allowed, least).softmax(-1)
    if len(values) == 1:
        return pattern @ values[None]
    z = torch.zeros_like(query)
    for offset, value in values.items():
        z = z + (pattern * _pairs(rows, n_positions, offset, set(values))) @ value
    return z


def _over_offsets(
    score: Callable[[Tensor], Tensor], keys: dict[int | None, Tensor], rows: Tensor
) -> Float[Tensor, "items some pos"]:
    scores = score(keys[None])
    for offset, key in keys.items():
        if offset is not None:
            at_offset = _pairs(rows, scores.shape[-1], offset, set(keys))
            scores = torch.where(at_offset, score(key), scores)
    return scores


def _pairs(rows: Tensor, n_positions: int, offset: int | None, offsets: set[int | None]) -> Bool[Tensor, "some pos"]:
    """Which (query, key) pairs an offset is about, of queries at these positions; None: those that no other is."""
    further = torch.arange(n_positions, device=rows.device)[None, :] - rows[:, None]
    if offset is not None:
        return further == offset
    named = [other for other in offsets if other is not None]
    return ~torch.isin(further, torch.tensor(named, device=rows.device))
