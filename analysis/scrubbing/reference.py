"""The published recursion, one run of the whole graph for every evaluation: slow, and obviously right."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from analysis.scrubbing.graph import Graph, Slot
from analysis.scrubbing.plan import Plan
from analysis.scrubbing.wiring import Draw, Evaluation, Wiring


def scrub_by_recursion(graph: Graph, wiring: Wiring, plan: Plan) -> Tensor:
    """The scrubbed value of the graph's output, for every sample of the plan."""
    values: list[Tensor] = []  # what an evaluation reads comes before it, so that none is computed twice
    for evaluation in wiring.evaluations:
        values.append(_value(graph, wiring, evaluation, plan=plan, values=values))
    return values[-1]


def _value(graph: Graph, wiring: Wiring, evaluation: Evaluation, *, plan: Plan, values: list[Tensor]) -> Tensor:
    items = plan.rows[evaluation.draw].ravel()
    if not evaluation.replaced:
        return graph.run(items, [evaluation.part])[evaluation.part]
    reads = graph.parts.inputs(evaluation.part)
    clean = graph.run(items, {*reads, *(replaced.part for replaced in evaluation.replaced)})
    inputs: dict[Slot, Tensor] = {(read, None): clean[read] for read in reads}
    for replaced in evaluation.replaced:
        read, new = wiring.evaluations[replaced.value], values[replaced.value]
        if is_diagonal(read, evaluation, plan=plan):
            new = diagonal(new, plan.rows[read.draw].shape[1])
        slot = (replaced.through, replaced.offset)
        at = None if replaced.at is None else plan.at[replaced.at].reshape(len(items), -1)
        before = inputs.get(slot, clean[replaced.through])
        inputs[slot] = graph.replace(before, part=replaced.part, old=clean[replaced.part], new=new, at=at)
    return graph.compute(evaluation.part, inputs, mask_rows=mask_items(evaluation, plan=plan))


def is_diagonal(read: Evaluation, reader: Evaluation, *, plan: Plan) -> bool:
    """Whether what is read was drawn for each position by a node whose parent has one draw for all."""
    return plan.rows[read.draw].ndim > plan.rows[reader.draw].ndim


def diagonal(value: Tensor, positions: int) -> Tensor:
    """Of items that are samples × positions, each item's value at its own position: a value for each sample."""
    by_sample = value.view(-1, positions, *value.shape[1:])
    return torch.stack([by_sample[:, at, at] for at in range(positions)], dim=1)


def mask_items(evaluation: Evaluation, *, plan: Plan) -> Int[np.ndarray, " items"]:
    """The row whose mask each item uses."""
    return plan.rows[Draw(evaluation.mask.path, is_other=evaluation.mask.is_other)].ravel()
