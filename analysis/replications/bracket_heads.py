"""Which head of the classifier of brackets plays which part of the published roles, by attention and ablation alone.

Published: 0.0 says of each position how much of what follows is open; position 0 reads through 1.0 and 2.0 whether the
numbers of brackets are equal, and through 2.1 whether the horizon is ever crossed. Another training seed may do it in
other heads, so they are looked for before any scrub.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from analysis.anatomy import sizes_of
from analysis.capture import AttentionReading, reading
from analysis.datasets.task import ABSENT, Split, TaskRows
from analysis.datasets.tasks.brackets import CLOSE, FAILURES, FEATURES, OPEN, PROPORTION_SCALE, make_rows

from .ablating import Head, name_of, replacing, shapley
from .looking import attention_to_places

ROWS, SEED = 2_000, 1
# A head that hides less than this share of what all heads hide plays no part in a test.
LEAST_SHARE = 0.05
COUNT_FAILS, HORIZON_FAILS = FAILURES.index("count alone fails"), FAILURES.index("horizon alone fails")


@dataclasses.dataclass(frozen=True)
class BracketHead:
    """What is measured of one head."""

    name: str
    to_the_right: float  # share of a bracket's attention that goes to itself and what follows
    proportion: float  # share of the variance of its output at brackets that is linear in the open proportion
    # Share of a test that position 0 reads through it: of the loss on strings that fail that test alone, when heads
    # say there what they say of balanced strings of that length (Shapley value over all sets of heads).
    count: float
    horizon: float

    @property
    def test(self) -> str | None:
        """The test in which it plays the greater part; None: in neither."""
        if max(self.count, self.horizon) < LEAST_SHARE:
            return None
        return "count" if self.count >= self.horizon else "horizon"


@dataclasses.dataclass(frozen=True)
class BracketHeads:
    """What is measured of all heads, and the roles that follow by rule."""

    heads: tuple[BracketHead, ...]

    @property
    def count(self) -> tuple[str, ...]:
        return tuple(head.name for head in self.heads if head.test == "count")

    @property
    def horizon(self) -> tuple[str, ...]:
        return tuple(head.name for head in self.heads if head.test == "horizon")

    @property
    def proportion(self) -> str:
        """The head of layer 0 whose output is most nearly a line in the open proportion."""
        return max((head for head in self.heads if head.name.startswith("L0")), key=lambda head: head.proportion).name


@functools.lru_cache(maxsize=1)
def find_bracket_heads(model: PreTrainedModel) -> BracketHeads:
    """Measure each head on strings of the split in which hypotheses are looked for. The model stays as it is."""
    rows = make_rows(Split.SEARCH, n=ROWS, seed=SEED)
    brackets = (rows.tokens == OPEN) | (rows.tokens == CLOSE)
    to_the_right = attention_to_places(model, rows, brackets)["to_the_right"]
    outputs = _outputs(model, rows)
    heads = [(layer, head) for layer in range(len(outputs)) for head in range(sizes_of(model.config).n_heads)]
    parts = _parts_in_tests(model, rows, outputs, heads=heads)
    return BracketHeads(
        tuple(
            BracketHead(
                name_of((layer, head)),
                float(to_the_right[layer, head]),
                _linear_in_proportion(outputs[layer][:, :, head], rows),
                *parts[number].tolist(),
            )
            for number, (layer, head) in enumerate(heads)
        )
    )


@torch.no_grad()
def _outputs(model: PreTrainedModel, rows: TaskRows) -> list[Float[Tensor, "rows pos heads d_head"]]:
    """Each layer's head outputs (z, before W_O)."""
    found: dict[int, Tensor] = {}

    def keep(layer: int, read: AttentionReading) -> None:
        found[layer] = read.z

    with reading(model, attention=keep):
        model(torch.from_numpy(rows.tokens), attention_mask=torch.from_numpy(rows.mask).long())
    return [found[layer] for layer in sorted(found)]


def _linear_in_proportion(z: Float[Tensor, "rows pos d_head"], rows: TaskRows) -> float:
    """The share of the variance of a head's output at brackets that a line in the open proportion explains."""
    feature = next(feature for feature in FEATURES if feature.key == "open_proportion")
    shares = feature.values(rows)
    here = ((rows.tokens == OPEN) | (rows.tokens == CLOSE)) & (shares != ABSENT)
    p = shares[here] / PROPORTION_SCALE
    p = p - p.mean()
    output = z.double().numpy()[here]
    output = output - output.mean(axis=0)
    slopes = p @ output / (p @ p)
    return float((slopes**2).sum() * (p @ p) / (output**2).sum())


def _parts_in_tests(
    model: PreTrainedModel, rows: TaskRows, outputs: Sequence[Tensor], *, heads: Sequence[Head]
) -> Float[Tensor, "heads tests"]:
    """Each head's part in the count test and in the horizon test, as shares that sum to 1."""
    failure = rows.classes["failure"]
    balanced = _said_of_balanced(rows, outputs)
    failing = np.flatnonzero((failure == COUNT_FAILS) | (failure == HORIZON_FAILS))
    tokens, mask = (torch.from_numpy(of[failing]) for of in (rows.tokens, rows.mask))
    labels = torch.from_numpy(rows.labels[failing, 0])
    of_test = [torch.from_numpy(failure[failing] == which) for which in (COUNT_FAILS, HORIZON_FAILS)]
    said = [at_start[failing] for at_start in balanced]

    @torch.no_grad()
    def hidden(chosen: Collection[Head]) -> Float[Tensor, " tests"]:
        def replace(layer: int, z: Tensor) -> None:
            for at, head in chosen:
                if at == layer:
                    z[:, 0, head] = said[layer][:, head]

        with replacing(model, replace):
            logits = model(tokens, attention_mask=mask.long()).logits
        losses = cross_entropy(logits, labels, reduction="none")
        return torch.stack([losses[which].mean() for which in of_test]).double()

    shares = shapley(hidden, heads)
    together = torch.stack([shares[head] for head in heads])
    return together / together.sum(dim=0)


def _said_of_balanced(rows: TaskRows, outputs: Sequence[Tensor]) -> list[Float[Tensor, "rows heads d_head"]]:
    """What heads give at position 0 in the mean over balanced strings, for each row those of its length."""
    balanced = rows.classes["failure"] == FAILURES.index("balanced")
    lengths = rows.roles["last"]
    said = [torch.zeros_like(z[:, 0]) for z in outputs]
    for length in np.unique(lengths):
        here, like = torch.from_numpy(lengths == length), torch.from_numpy(balanced & (lengths == length))
        for mean, z in zip(said, outputs, strict=True):
            # of the shortest strings there may be no balanced one: then of all balanced ones
            mean[here] = z[like if like.any() else torch.from_numpy(balanced), 0].mean(dim=0)
    return said
