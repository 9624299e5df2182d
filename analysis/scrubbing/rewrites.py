"""Rewrites of a graph that leave what it computes as it is, and the proof that they do.

A head's output becomes the sum of an estimate, which is a function of a feature, and the rest; a query head of a
group gets keys and values of its own. Either is refused unless the rewritten graph is equal to the model on some rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.datasets.features import is_by_position
from analysis.datasets.task import ABSENT, Feature
from analysis.scrubbing.graph import ScrubError, Slot
from analysis.scrubbing.hypothesis import EstimateForm, Rewrite, RewriteKind
from analysis.scrubbing.parts import EMBED, ROOT, PartError, TransformerParts, place_of
from analysis.scrubbing.transformer import TransformerGraph

# The rewritten graph must give the model's logits on so many rows, within this.
ROWS_COMPARED = 64
TOLERANCE = 1e-4

Estimate = Callable[[Int[np.ndarray, " items"]], Float[Tensor, "items pos d_model"]]
Values = Callable[[Any], np.ndarray]


def rewrite_graph(
    graph: TransformerGraph, rewrites: Sequence[Rewrite], *, values: Values, features: Mapping[str, Feature]
) -> TransformerGraph:
    """The graph with its rewrites; `values` gives a feature expression's values on the graph's rows."""
    if not rewrites:
        return graph
    parts = graph.parts
    estimates: dict[str, Estimate] = {}
    for rewrite in rewrites:
        head = _head(rewrite, parts)
        if rewrite.kind is RewriteKind.UNGROUP:
            parts = dataclasses.replace(parts, ungrouped=parts.ungrouped | {head})
            continue
        if head in estimates:
            raise ScrubError(f"Rewriting {head}: expected one estimate of it, got two.")
        parts = dataclasses.replace(parts, estimated=parts.estimated | {head})
        estimates[head] = _estimate(graph, head, rewrite, values=values, features=features)
    rewritten = graph.rewritten(parts, estimates)
    refuse_unless_equal(rewritten, what=", ".join(_head(rewrite, graph.parts) for rewrite in rewrites))
    return rewritten


def _head(rewrite: Rewrite, parts: TransformerParts) -> str:
    try:
        (head,) = parts.named(rewrite.head)
    except (PartError, ValueError) as error:
        raise ScrubError(f"Rewriting {rewrite.head[:80]}: expected one head of the model.") from error
    if head in (ROOT, EMBED) or place_of(head).kind != "head":
        raise ScrubError(f"Rewriting {rewrite.head[:80]}: expected one head of the model, got another part.")
    return head


def _estimate(
    graph: TransformerGraph, head: str, rewrite: Rewrite, *, values: Values, features: Mapping[str, Feature]
) -> Estimate:
    of_rows = values(rewrite.feature)
    if rewrite.form is EstimateForm.SLOPE:
        feature = features.get(rewrite.feature) if isinstance(rewrite.feature, str) else None
        if feature is None:
            raise ScrubError(f"Estimating {head} by a slope: expected the name of a feature, got an expression.")
        shares = np.where(of_rows == ABSENT, np.nan, of_rows / feature.scale)
        return by_slope(graph, head, _everywhere(shares, graph))
    is_here = is_by_position(rewrite.feature, features)
    return by_mean(graph, head, of_rows if is_here else _everywhere(of_rows, graph))


def _everywhere(values: np.ndarray, graph: TransformerGraph) -> np.ndarray:
    """A value at each position of each row."""
    return values if values.ndim == 2 else np.repeat(values[:, None], graph.n_positions, axis=1)


def by_mean(graph: TransformerGraph, head: str, values: Int[np.ndarray, "rows pos"]) -> Estimate:
    """The mean of a head's outputs over the rows that have a value at a position, for each value and position."""
    distinct, number = np.unique(values, return_inverse=True)
    number = number.reshape(values.shape)
    positions = np.arange(values.shape[1])
    sums = torch.zeros(len(distinct), values.shape[1], graph.d_model, dtype=torch.float64)
    counts = np.zeros((len(distinct), values.shape[1]))
    for rows, output in _outputs(graph, head):
        place = (
            torch.from_numpy(number[rows]),
            torch.from_numpy(np.broadcast_to(positions, number[rows].shape).copy()),
        )
        sums.index_put_(place, output.double().cpu(), accumulate=True)
        np.add.at(counts, (number[rows], np.broadcast_to(positions, number[rows].shape)), 1)
    means = sums / torch.from_numpy(np.maximum(counts, 1))[..., None]

    def estimate(rows: Int[np.ndarray, " items"]) -> Float[Tensor, "items pos d_model"]:
        return means[torch.from_numpy(number[rows]), torch.from_numpy(positions)[None]]

    return estimate


def by_slope(graph: TransformerGraph, head: str, shares: Float[np.ndarray, "rows pos"]) -> Estimate:
    """v · (2p − 1), with the v that comes closest to the head's outputs wherever the share p is there."""
    scaled = np.nan_to_num(2 * shares - 1, nan=0.0)
    weighted, squares = torch.zeros(graph.d_model, dtype=torch.float64), 0.0
    for rows, output in _outputs(graph, head):
        weights = torch.from_numpy(scaled[rows])
        weighted += torch.einsum("rp,rpd->d", weights, output.double().cpu())
        squares += float((weights**2).sum())
    if squares == 0:
        raise ScrubError(f"Estimating {head} by a slope: expected shares other than ½, got none.")
    slope = weighted / squares

    def estimate(rows: Int[np.ndarray, " items"]) -> Float[Tensor, "items pos d_model"]:
        return torch.from_numpy(scaled[rows])[..., None] * slope

    return estimate


def _outputs(graph: TransformerGraph, head: str) -> Any:
    """All rows of the graph by parts, each with what the head adds to the residual stream."""
    for rows in np.array_split(np.arange(len(graph.tokens)), range(256, len(graph.tokens), 256)):
        yield rows, graph.output(head, graph.run(rows, [head])[head])


def refuse_unless_equal(graph: TransformerGraph, *, what: str) -> None:
    """A `ScrubError` unless the graph, computed part by part from its embedding, gives the model's own logits."""
    rows = np.arange(min(ROWS_COMPARED, len(graph.tokens)))
    clean = graph.run(
        rows, [ROOT, *(f"{head}.{share}" for head in sorted(graph.parts.estimated) for share in ("estimate", "rest"))]
    )
    values: dict[str, Tensor] = dict(graph.run(rows, [EMBED]))
    for part in graph.parts.named("*"):
        if part != EMBED:
            values[part] = _computed(graph, part, values, rows)
        if part in graph.parts.estimated:
            # read in two shares, which must be the whole
            values[part] = clean[f"{part}.estimate"] + clean[f"{part}.rest"]
    stream = _computed(graph, ROOT, values, rows)
    mask = graph.mask[torch.from_numpy(rows)]
    with torch.no_grad():
        found, expected = (graph.readout(graph.model, of[mask]) for of in (stream, clean[ROOT]))
    apart = float((found - expected).abs().max())
    if not apart <= TOLERANCE:
        raise ScrubError(
            f"Rewriting {what}: expected a graph equal to the model within {TOLERANCE} on {len(rows)} rows, got logits "
            f"that are {apart:.2g} apart."
        )


def _computed(graph: TransformerGraph, part: str, values: Mapping[str, Tensor], rows: np.ndarray) -> Tensor:
    inputs: dict[Slot, Tensor] = {(read, None): values[read] for read in graph.parts.inputs(part)}
    return graph.compute(part, inputs, mask_rows=rows)
