"""Which heads of a language model do induction, look at the previous token, or at their own, by attention and
ablation alone."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from analysis.datasets.task import TaskRows

from .ablating import Head, name_of, replacing
from .looking import attention_to_places

# A head looks at a place if it gives it more than two fifths of its attention.
LOOKS = 0.4


@dataclasses.dataclass(frozen=True)
class LookingHead:
    """What is measured of one head."""

    name: str
    induction: float  # share of attention on what came after the query's token before
    previous_token: float
    itself: float
    lost: float | None  # loss at counted positions that its mean in its place adds, in nats; None: not measured


@dataclasses.dataclass(frozen=True)
class LookingHeads:
    """What is measured of the heads, and the roles that follow by rule: strongest first."""

    heads: tuple[LookingHead, ...]

    def role(self, place: str, *, below: int | None = None) -> tuple[str, ...]:
        """The heads that look at a place, of layers below one if it is given."""
        found = [
            head
            for head in self.heads
            if getattr(head, place) > LOOKS and (below is None or layer_of(head.name) < below)
        ]
        return tuple(head.name for head in sorted(found, key=lambda head: -getattr(head, place)))


def layer_of(name: str) -> int:
    return int(name[1:].partition("H")[0])


def find_looking_heads(model: PreTrainedModel, rows: TaskRows, *, ablate: bool) -> LookingHeads:
    """Measure each head on rows; ablating takes one more pass a head. The model stays as it is."""
    queries = rows.counted & rows.mask
    of = attention_to_places(model, rows, queries)
    layers, heads = of["induction"].shape
    names: list[Head] = [(layer, head) for layer in range(layers) for head in range(heads)]
    lost = _lost(model, rows, names) if ablate else dict[Head, float]()
    return LookingHeads(
        tuple(
            LookingHead(
                name_of(at),
                float(of["induction"][at]),
                float(of["previous_token"][at]),
                float(of["itself"][at]),
                lost.get(at),
            )
            for at in names
        )
    )


@torch.no_grad()
def _lost(model: PreTrainedModel, rows: TaskRows, heads: list[Head]) -> dict[Head, float]:
    """The loss that each head's mean over rows, position by position, in its place adds."""
    tokens, mask = torch.from_numpy(rows.tokens), torch.from_numpy(rows.mask).long()
    counted, labels = torch.from_numpy(rows.counted), torch.from_numpy(rows.labels)

    def loss() -> float:
        logits: Float[Tensor, "counted d_vocab"] = model(tokens, attention_mask=mask).logits[counted]
        return float(cross_entropy(logits, labels[counted]))

    before, found = loss(), {}
    for at, head in heads:

        def replace(layer: int, z: Tensor, at: int = at, head: int = head) -> None:
            if layer == at:
                z[:, :, head] = z[:, :, head].mean(dim=0)

        with replacing(model, replace):
            found[at, head] = loss() - before
    return found
