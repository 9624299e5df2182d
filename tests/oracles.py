"""The slow way to every statistic: transformers' own `eager` attentions and loops over queries, in plain Python.

Shares no code with `analysis`; only the definitions printed on the pages.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from transformers import PreTrainedModel


def eager_attentions(model: PreTrainedModel, tokens: list[int]) -> np.ndarray:
    """Every pattern of one row: float64 [layer, head, dest, src]."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(torch.tensor([tokens]), output_attentions=True)
    model.set_attn_implementation(before)
    return np.stack([layer[0].double().numpy() for layer in output.attentions])


def slow_metric(key: str, patterns: list[np.ndarray]) -> float:
    """One metric of one head, from its patterns [dest, src] on several rows."""
    values: list[float] = []
    for pattern in patterns:
        n = len(pattern)
        for q in range(n):
            row = [float(a) for a in pattern[q]]
            if key == "previous_token" and q >= 2:
                values.append(row[q - 1])
            elif key == "self" and q >= 1:
                values.append(row[q])
            elif key == "first_token" and q >= 1:
                values.append(row[0])
            elif key == "entropy" and q >= 1:
                values.append(-sum(a * math.log(a) for a in row if a > 0))
            elif key == "distance_mean" and q >= 1:
                values.append(sum(a * (q - k) for k, a in enumerate(row)))
            elif key == "induction_repeated" and q >= 51:
                assert n == 101
                values.append(row[q - 49])
    return sum(values) / len(values)
