"""Where heads look: shares of attention that name a place, by head, on the rows of a task."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import PreTrainedModel

from analysis.anatomy import body_of
from analysis.capture import reading_patterns
from analysis.datasets.task import TaskRows
from analysis.datasets.tasks.words import latest_earlier

BATCH = 64
# From a query's position: what a head that names the place looks at.
PLACES = ("itself", "previous_token", "induction", "to_the_right")

Shares = dict[str, Float[np.ndarray, "layers heads"]]


@torch.no_grad()
def attention_to_places(model: PreTrainedModel, rows: TaskRows, queries: Bool[np.ndarray, "rows pos"]) -> Shares:
    """The mean share, 0 to 1, that each head gives to each of `PLACES` from the queries that are chosen: itself, the
    position before, the position after the latest earlier occurrence of the query's token (of the queries that have
    one), and itself with all tokens to the right. The model stays as it is."""
    sums: dict[str, dict[int, Float[Tensor, " heads"]]] = {place: {} for place in PLACES}
    counts = dict.fromkeys(PLACES, 0)
    for start in range(0, len(rows), BATCH):
        some = slice(start, start + BATCH)
        tokens, mask = torch.from_numpy(rows.tokens[some]), torch.from_numpy(rows.mask[some])
        masks = _masks(rows, some, torch.from_numpy(queries[some]))
        for place, chosen in masks.items():
            counts[place] += int(chosen.any(dim=2).sum())

        def add(layer: int, pattern: Tensor, masks: dict[str, Tensor] = masks) -> None:
            for place, chosen in masks.items():
                share = torch.einsum("bhqk,bqk->h", pattern.cpu(), chosen.float())
                sums[place][layer] = sums[place].get(layer, torch.zeros(())) + share

        with reading_patterns(model, add):
            body_of(model)(tokens.to(model.device), attention_mask=mask.to(model.device).long())
    return {
        place: torch.stack([of[layer] for layer in sorted(of)]).numpy() / max(counts[place], 1)
        for place, of in sums.items()
    }


def _masks(
    rows: TaskRows, some: slice, queries: Bool[Tensor, "batch pos"]
) -> dict[str, Bool[Tensor, "batch dest src"]]:
    """Which keys are at each place, of the chosen queries; a query whose place is not there has none."""
    n_positions = queries.shape[1]
    positions = torch.arange(n_positions)
    after = torch.from_numpy(latest_earlier(rows.tokens[some])) + 1
    keys = torch.from_numpy(rows.mask[some])[:, None, :]
    places = {
        "itself": (positions[:, None] == positions[None]).expand(len(queries), -1, -1),
        "previous_token": (positions[:, None] - 1 == positions[None]).expand(len(queries), -1, -1),
        "induction": (after[..., None] == positions) & (after[..., None] > 0),
        "to_the_right": (positions[None] >= positions[:, None]).expand(len(queries), -1, -1),
    }
    return {place: at & keys & queries[..., None] for place, at in places.items()}
