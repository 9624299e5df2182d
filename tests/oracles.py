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


def slow_metric(key: str, patterns: list[np.ndarray], rows: list[list[int]]) -> tuple[float, float]:
    """One metric of one head and its standard error, each row a document of its own, from its patterns [dest, src]."""
    sums, counts = [], []
    for pattern, tokens in zip(patterns, rows, strict=True):
        values = slow_values(key, pattern, tokens)
        sums.append(sum(values))
        counts.append(len(values))
    mean = sum(sums) / sum(counts)
    n = sum(count > 0 for count in counts)
    squares = sum((s - mean * c) ** 2 for s, c in zip(sums, counts, strict=True))
    error = math.sqrt(n / (n - 1) * squares) / sum(counts) if n > 1 else math.nan
    return mean, error


def slow_values(key: str, pattern: np.ndarray, tokens: list[int]) -> list[float]:
    """A metric's value at each query that it counts."""
    n = len(pattern)
    if key == "largest_off_sink":
        return [max(float(pattern[q, k]) for q in range(1, n) for k in range(1, n))]
    values: list[float] = []
    for q in range(n):
        row = [float(a) for a in pattern[q]]
        earlier = [j for j in range(1, q) if tokens[j] == tokens[q]]
        after = [j + 1 for j in earlier if j + 1 < q]
        off_sink = sum(row[1:])
        alone = [0.0] + [a / off_sink for a in row[1:]] if off_sink else row
        if key == "previous_token" and q >= 2:
            values.append(row[q - 1])
        elif key == "self" and q >= 1:
            values.append(row[q])
        elif key == "first_token" and q >= 1:
            values.append(row[0])
        elif key == "duplicate_token" and earlier:
            values.append(sum(row[j] for j in earlier))
        elif key == "induction" and after:
            values.append(sum(row[j] for j in after))
        elif key == "entropy" and q >= 1:
            values.append(-sum(a * math.log(a) for a in row if a > 0))
        elif key == "entropy_off_sink" and q >= 1 and off_sink > 1e-4:
            values.append(-sum(a * math.log(a) for a in alone if a > 0))
        elif key == "distance_mean" and q >= 1:
            values.append(sum(a * (q - k) for k, a in enumerate(row)))
        elif key == "distance_off_sink" and q >= 1 and off_sink > 1e-4:
            values.append(sum(a * (q - k) for k, a in enumerate(alone)))
        elif key == "induction_repeated" and q >= 51:
            assert n == 101
            values.append(row[q - 49])
    return values


def slow_masses(pattern: np.ndarray, tokens: list[int]) -> list[float]:
    """The mean attention over q ≥ 1 to: the first token, itself, the previous, duplicates, after duplicates, others."""
    totals = [0.0] * 6
    n = len(pattern)
    for q in range(1, n):
        for k in range(n):
            if k == 0:
                kind = 0
            elif k == q:
                kind = 1
            elif k == q - 1:
                kind = 2
            elif k < q and tokens[k] == tokens[q]:
                kind = 3
            elif 2 <= k < q and tokens[k - 1] == tokens[q]:
                kind = 4
            else:
                kind = 5
            totals[kind] += float(pattern[q, k])
    return [total / (n - 1) for total in totals]


def hidden_states(
    model: PreTrainedModel, tokens: list[int], modules: dict[str, torch.nn.Module]
) -> dict[str, np.ndarray]:
    """What goes into some modules in one plain forward pass: float64 [pos, …] by name."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str):
        return lambda module, inputs: found.update({name: inputs[0][0].double().numpy()})

    handles = [module.register_forward_pre_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        model(torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    return found


def module_outputs(
    model: PreTrainedModel, tokens: list[int], modules: dict[str, torch.nn.Module]
) -> dict[str, np.ndarray]:
    """What some modules give in one plain forward pass: float64 [pos, …] by name."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str):
        return lambda module, inputs, output: found.update({name: output[0].double().numpy()})

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        model(torch.tensor([tokens]))
    for handle in handles:
        handle.remove()
    return found
