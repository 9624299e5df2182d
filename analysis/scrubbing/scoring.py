"""What a task's metric says of residual streams at the counted positions: a loss and an output for each sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.datasets.task import TaskMetric, TaskRows
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.transformer import TransformerGraph

# Logits that are in memory at once: 28 MiB, for the reason that holds for batches (`fast`).
LOGITS = 7 * 2**20


@dataclasses.dataclass(frozen=True)
class Scored:
    """Of each sample what the metric says, and what the model said.

    Losses are means over the counted positions, in nats; of a logit difference they are that difference. Outputs are
    the log-probabilities of the classes, or of the right token at each position (NaN where none is counted), or the
    logit difference.
    """

    losses: Float[np.ndarray, " n"]
    outputs: Float[np.ndarray, "n ..."]

    def __getitem__(self, samples: np.ndarray | slice) -> Scored:
        return Scored(self.losses[samples], self.outputs[samples])


def join(pieces: list[Scored]) -> Scored:
    """The samples of several, one after another."""
    return Scored(
        np.concatenate([piece.losses for piece in pieces]), np.concatenate([piece.outputs for piece in pieces])
    )


class Scorer:
    """The metric of a task on its rows."""

    def __init__(self, graph: TransformerGraph, rows: TaskRows, metric: TaskMetric) -> None:
        self.graph, self.rows, self.metric = graph, rows, metric
        if not rows.counted.any(axis=1).all():
            raise ScrubError("Scoring rows: expected a counted position in each of them, got rows without one.")
        counted = np.flatnonzero(rows.counted.any(axis=0))
        # the positions at which streams are read at all; None where leaving out the others would spare little
        self.read_at = tuple(counted.tolist()) if len(counted) <= rows.counted.shape[1] // 2 else None

    @torch.no_grad()
    def score(
        self,
        streams: Float[Tensor, "items some d_model"],
        reference: Int[np.ndarray, " items"],
        *,
        labels_of: Int[np.ndarray, " items"] | None = None,
        at: Sequence[int] | None = None,
    ) -> Scored:
        """Residual streams against the labels, and at the counted positions, of reference rows. With `labels_of` the
        labels are those of other rows, in their order; streams of some positions alone are `at` these."""
        counted = self.rows.counted[reference]
        item, position = np.nonzero(counted)
        labels = self._labels(self.rows.labels, reference, item=item, labels_of=labels_of)
        column = position if at is None else np.searchsorted(np.asarray(at), position)
        flat = streams[torch.from_numpy(item), torch.from_numpy(column)]
        wrong = None
        if self.metric is TaskMetric.LOGIT_DIFFERENCE:
            assert self.rows.wrong_labels is not None
            wrong = self._labels(self.rows.wrong_labels, reference, item=item, labels_of=labels_of)
        values, classes = self._read(flat, labels, wrong)
        per_item = counted.sum(axis=1)
        losses = np.bincount(item, weights=values, minlength=len(reference)) / per_item
        if self.metric is TaskMetric.LOGIT_DIFFERENCE:
            return Scored(losses, losses[:, None].copy())
        if self.metric is TaskMetric.CLASS_LOSS:
            outputs = np.zeros((len(reference), classes.shape[1]))
            np.add.at(outputs, item, classes)
            return Scored(losses, outputs / per_item[:, None])
        outputs = np.full(counted.shape, np.nan)
        outputs[item, position] = -values
        return Scored(losses, outputs)

    def _labels(
        self, labels: np.ndarray, reference: np.ndarray, *, item: np.ndarray, labels_of: np.ndarray | None
    ) -> np.ndarray:
        """The label of each counted position. Of other rows the first one's goes to the first position, and so on; who
        has fewer begins again."""
        counted = self.rows.counted[reference]
        if labels_of is None:
            return labels[reference][counted]
        chosen, places = self.rows.counted[labels_of], np.cumsum(counted, axis=1)[counted] - 1
        starts = np.cumsum(chosen.sum(axis=1)) - chosen.sum(axis=1)
        return labels[labels_of][chosen][starts[item] + places % chosen.sum(axis=1)[item]]

    def _read(self, flat: Tensor, labels: np.ndarray, wrong: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The value of the metric at each counted position, and the log-probabilities of classes where it has some."""
        values, classes = [], []
        right = torch.from_numpy(labels).to(flat.device)
        other = None if wrong is None else torch.from_numpy(wrong).to(flat.device)
        step = max(1, LOGITS // max(self.graph.parts.sizes.d_vocab, 1))
        for start in range(0, len(flat), step):
            logits = self.graph.readout(self.graph.model, flat[start : start + step])
            if self.metric is TaskMetric.CLASS_LOSS:
                logits = logits.double()  # few classes; of a whole vocabulary this would cost more than the span
            of_right = logits.gather(1, right[start : start + step, None])[:, 0].double()
            if other is not None:
                values.append(of_right - logits.gather(1, other[start : start + step, None])[:, 0].double())
                continue
            values.append(logits.logsumexp(1).double() - of_right)
            if self.metric is TaskMetric.CLASS_LOSS:
                classes.append(logits.log_softmax(1))
        together = torch.cat(values).cpu().numpy()
        if not np.isfinite(together).all():
            raise ScrubError("Reading the metric: expected numbers, got NaN or infinity; weights may be damaged.")
        return together, torch.cat(classes).cpu().numpy() if classes else np.zeros((len(flat), 0))
