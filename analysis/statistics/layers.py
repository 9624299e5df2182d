"""The residual stream through the layers: its length, what attention and MLP write into it, and the logit lens."""

from __future__ import annotations

import time

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from analysis.anatomy import logits_of
from analysis.capture import ResidualReading
from analysis.schema import Sizes

from .batch import Batch

RESIDUAL_KEYS = ("residual_norm", "residual_norm_first", "attention_written", "mlp_written")
LENS_KEYS = ("lens_agreement", "lens_divergence")
# Positions of a row that the logit lens reads, as many as this, evenly spaced, the row's last one among them.
LENS_POSITIONS = 4


def lens_positions(length: int) -> list[int]:
    """The stated positions in a row of so many tokens: 31, 63, 95 and 127 of 128."""
    return [length * (i + 1) // LENS_POSITIONS - 1 for i in range(LENS_POSITIONS)]


class LayerSums:
    """Sums and counts of each metric of every layer, document by document: what a shard adds to a survey."""

    def __init__(self, sizes: Sizes, *, n_documents: int, lens_rows: int) -> None:
        shape = (n_documents, sizes.n_layers)
        self.sums = {key: np.zeros(shape) for key in (*RESIDUAL_KEYS, *LENS_KEYS)}
        self.counts = {key: np.zeros(shape, dtype=np.int64) for key in self.sums}
        self.seconds_of_lens = 0.0
        self._lens_rows = lens_rows
        self._kept: list[Float[Tensor, "batch pos d_model"]] = []

    def add(self, layer: int, reading: ResidualReading, batch: Batch) -> None:
        """Count every row of a batch, and keep what the logit lens reads."""
        after = torch.linalg.vector_norm(reading.after, dim=-1)
        n = batch.length
        self._count("residual_norm", layer, batch, after[:, 1:].sum(1), n - 1)
        self._count("residual_norm_first", layer, batch, after[:, 0], 1)
        for key, added in (("attention_written", reading.attention_added), ("mlp_written", reading.mlp_added)):
            if added is None:
                continue
            share = torch.linalg.vector_norm(added, dim=-1) / after
            self._count(key, layer, batch, share[:, 1:].sum(1), n - 1)
        n_rows = self._n_lens_rows(batch)
        if n_rows:
            self._kept.append(reading.after[:n_rows, lens_positions(n)].clone())

    def read_lens(self, model: PreTrainedModel, batch: Batch) -> None:
        """Once all layers are read: compare what each would predict with what the last one does."""
        if not self._kept:
            return
        start = time.perf_counter()
        final = logits_of(model, self._kept[-1]).log_softmax(-1)
        first, probabilities = final.argmax(-1), final.exp()
        rows = range(self._n_lens_rows(batch))
        for layer, residual in enumerate(self._kept):
            lens = final if layer == len(self._kept) - 1 else logits_of(model, residual).log_softmax(-1)
            agreement = (lens.argmax(-1) == first).sum(-1)
            divergence = (probabilities * (final - lens)).sum((-2, -1))
            self._count("lens_agreement", layer, batch, agreement, LENS_POSITIONS, rows=rows)
            self._count("lens_divergence", layer, batch, divergence, LENS_POSITIONS, rows=rows)
        self._kept.clear()
        self.seconds_of_lens += time.perf_counter() - start

    def _n_lens_rows(self, batch: Batch) -> int:
        return max(0, min(batch.rows.stop, self._lens_rows) - batch.rows.start)

    def _count(
        self, key: str, layer: int, batch: Batch, sums: Tensor, number: int, *, rows: range | None = None
    ) -> None:
        documents = list(batch.documents)[: len(batch.documents) if rows is None else len(rows)]
        np.add.at(self.sums[key][:, layer], documents, sums.double().cpu().numpy())
        np.add.at(self.counts[key][:, layer], documents, number)

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored: `layer.sum.<key>` float64 and `layer.count.<key>` int64 [document, layer]."""
        sums = {f"layer.sum.{key}": array for key, array in self.sums.items()}
        return sums | {f"layer.count.{key}": array for key, array in self.counts.items()}
